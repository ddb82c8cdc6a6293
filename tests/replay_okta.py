"""Replays recorded Okta answers over HTTP on loopback: the whole transport takes part, and the network none."""

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from collectors.contract import Run, Target, Unreachable
from collectors.okta import SOURCE

ORG = "https://acme.okta.com"


class _Recording:
    """The answers by what was asked for: the same question may come again, and gets the same answer."""

    def __init__(self, answers: list[dict]):
        self.answers = {_question(answer["call"], answer["parameters"]): answer for answer in answers}
        assert len(self.answers) == len(answers), "two answers to one call"
        self.asked: set[tuple] = set()
        self.unknown: list[str] = []

    def take(self, method: str, target: str) -> dict:
        parts = urlsplit(target)
        question = method, parts.path, tuple(sorted(parse_qsl(parts.query)))
        if question not in self.answers:
            self.unknown.append(f"{method} {target}")
            return {"status": 599, "answer": {"errorCode": "E-REPLAY", "errorSummary": "no such answer"}}
        self.asked.add(question)
        return self.answers[question]

    def unasked(self) -> list[str]:
        return [answer["call"] for question, answer in self.answers.items() if question not in self.asked]


def _question(call: str, parameters: dict[str, str]) -> tuple[str, str, tuple]:
    method, template = call.split(" ", 1)
    named = re.findall(r"\{(\w+)\}", template)
    path = re.sub(r"\{(\w+)\}", lambda match: quote(parameters[match[1]], safe=""), template)
    query = sorted((name, str(value)) for name, value in parameters.items() if name not in named)
    return method, path, tuple(query)


def _linked(answer, host: str):
    """The answer with its link to a next page, if it has one, on this host."""
    links = answer.get("_links") if isinstance(answer, dict) else None
    if not isinstance(links, dict) or "next" not in links:
        return answer
    following = {**links["next"], "href": links["next"]["href"].replace(ORG, host)}
    return {**answer, "_links": {**links, "next": following}}


def _handler(recording: _Recording) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            found = recording.take(self.command, self.path)
            host = f"http://{self.headers['Host']}"
            body = json.dumps(_linked(found["answer"], host)).encode() if "answer" in found else b""
            given = {"Date": formatdate(usegmt=True), **found.get("headers", {})}.items()
            values = [(name, value) for name, many in given for value in (many if isinstance(many, list) else [many])]
            lines = [f"{name}: {value.replace(ORG, host)}\r\n" for name, value in values]
            head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            self.wfile.write(f"HTTP/1.1 {found.get('status', 200)} .\r\n{head}{''.join(lines)}\r\n".encode() + body)

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def replay(answers: list[dict], settings: dict, run: Run) -> Iterator[Iterator[Target | Unreachable]]:
    """The targets of an org that gives these answers.

    Fails on a call without an answer, and on an answer that nobody asked for.
    A header that comes several times is a list of its values.
    """
    recording = _Recording(answers)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(recording))
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    targets: list[Target | Unreachable] = []
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder, "token")
        token.write_text("00replayedToken")
        here = {"token_file": token, **settings, "org_url": f"http://127.0.0.1:{server.server_port}"}
        try:
            targets.extend(SOURCE.connect(SOURCE.settings.model_validate(here), run))
            yield iter(targets)
        finally:
            for target in targets:
                if isinstance(target, Target):
                    target.close()
            server.shutdown()
            server.server_close()
            assert not recording.unknown, f"no answer was recorded for {', '.join(recording.unknown)}"
    assert not recording.unasked(), f"answers that nobody asked for: {', '.join(recording.unasked())}"
