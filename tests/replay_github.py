"""Replays recorded GitHub answers over HTTP on loopback: the whole transport takes part, and the network none.

A call is named as the journal names it, `GET /orgs/{org}/members` or `POST /graphql DefaultBranches`, and its
parameters are the journal's: what fills the path, the query, or the variables.
"""

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from collectors.contract import Run, Target, Unreachable
from collectors.github import SOURCE

HOST = "https://api.github.com"
# What many evidence types ask beside their subject, as the same classic token is answered in each example.
COMMON = {
    "GET /orgs/acme": {"answer": {"login": "acme", "type": "Organization"}},
    "GET /user": {"answer": {"login": "acme-auditor"}, "headers": {"X-OAuth-Scopes": "admin:org, repo"}},
}


class _Recording:
    def __init__(self, answers: list[dict]):
        self.answers = {_question(answer["call"], answer["parameters"]): answer for answer in answers}
        assert len(self.answers) == len(answers), "two answers to one call"
        self.asked: set[tuple] = set()
        self.unknown: list[str] = []

    def take(self, verb: str, target: str, body: dict | None) -> dict:
        question = _asked(verb, target, body)
        if question not in self.answers and question[0] in COMMON:
            return COMMON[question[0]]
        if question not in self.answers:
            self.unknown.append(" ".join(map(str, question)))
            return {"status": 400, "answer": {"message": "no such answer was recorded"}}
        self.asked.add(question)
        return self.answers[question]

    def unasked(self) -> list[str]:
        return [answer["call"] for question, answer in self.answers.items() if question not in self.asked]


def _question(call: str, parameters: dict) -> tuple:
    verb, template = call.split(" ", 1)
    if verb == "POST":
        return call, json.dumps(parameters, sort_keys=True)
    named = re.findall(r"\{(\w+)\}", template)
    path = re.sub(r"\{(\w+)\}", lambda match: quote(parameters[match[1]], safe=""), template)
    return f"{verb} {path}", json.dumps(
        {name: value for name, value in parameters.items() if name not in named}, sort_keys=True
    )


def _asked(verb: str, target: str, body: dict | None) -> tuple:
    parts = urlsplit(target)
    if body is not None:
        name = re.match(r"\s*query (\w+)", body["query"])
        return f"{verb} {parts.path} {name and name[1]}", json.dumps(body["variables"], sort_keys=True)
    return f"{verb} {parts.path}", json.dumps(dict(parse_qsl(parts.query)), sort_keys=True)


def _handler(recording: _Recording) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = recording.take(self.command, self.path, json.loads(sent) if sent else None)
            body = json.dumps(found["answer"]).encode() if "answer" in found else b""
            headers = {"Content-Type": "application/json; charset=utf-8", **found.get("headers", {})}
            here = f"http://{self.headers['Host']}"
            head = "".join(f"{name}: {value.replace(HOST, here)}\r\n" for name, value in headers.items())
            length = f"Content-Length: {len(body)}\r\n"
            self.wfile.write(f"HTTP/1.1 {found.get('status', 200)} .\r\n{head}{length}\r\n".encode() + body)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def replay(answers: list[dict], settings: dict, run: Run) -> Iterator[Iterator[Target | Unreachable]]:
    """The organizations of a GitHub that gives these answers; `acme` where the settings name none.

    Fails on a call without an answer, and, where nothing else failed, on an answer that was not asked for.
    """
    recording = _Recording(answers)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(recording))
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    targets: list[Target | Unreachable] = []
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder, "token")
        token.write_text("ghreplayed")
        url = f"http://127.0.0.1:{server.server_port}"
        here = {"organizations": ["acme"], "token_file": token, **settings, "base_url": url}
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
