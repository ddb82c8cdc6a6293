"""The server: what it is asked, by whom, and whether the truth or a fault is the answer."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import jwt

from tests.fakes.github import actions, alerts, logs, tokens  # noqa: F401 - each registers its routes
from tests.fakes.github.answers import Answer, Fault, refusal
from tests.fakes.github.answers import time as written
from tests.fakes.github.graph import executed
from tests.fakes.github.pulls import Pulls
from tests.fakes.github.repositories import is_public, repository
from tests.fakes.github.routes import answered

JSON = "application/json; charset=utf-8"


class GitHub(ThreadingHTTPServer):
    """The organization `acme`. `denied` are permissions that the identity lacks, as in `administration`.

    `admin` is whether the user administers the repositories, `writes` whether it may write to them, `owner` whether
    it owns the organization. `given` are the repositories that the identity was given, None all of them; public ones
    are shown to everybody. `installed_in` is the account of the App's installation. `points` are what is left of
    GraphQL's limit until `reset_at`, in Unix seconds, and `refused` how many queries cost more.
    """

    daemon_threads = True
    block_on_close = False
    token = "ghfake"
    app_id = 12
    installation_id = 34

    def __init__(
        self,
        *,
        repositories: int = 40,
        pulls: int = 0,
        members: int = 23,
        teams: int = 4,
        members_without: int = 3,
        until: datetime | None = None,
        days: int = 30,
        delay: float = 0.0,
        port: int = 0,
    ):
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories = repositories
        self.members = members
        self.teams = teams
        self.members_without = members_without
        self.until = (until or datetime.now(UTC)).replace(microsecond=0)
        self.pulls = Pulls(pulls, repositories, self.until, days)
        self.delay = delay
        self._describe()
        self._serve()

    def _describe(self) -> None:
        """As whom it is read, and what of it is shown."""
        self.admin = self.owner = self.writes = True
        self.viewer = "acme-auditor"
        self.scopes: str | None = "admin:org, admin:org_hook, repo"
        self.given: Container[int] | None = None
        self.installed_in = "acme"
        self.denied: set[str] = set()
        self.forbidden_repositories: set[str] = set()
        self.bypass_hidden = self.search_hides = self.shows_secrets = False
        self.refused_inside: dict[int, str] = {}  # repositories whose people are refused, and with which kind of error
        self.reviews_hidden: set[int] = set()
        self.statuses_hidden: set[tuple[int, int]] = set()
        self.two_factor: bool | None = True
        self.single_sign_on = True
        self.plan = "enterprise"
        self.miscounted = self.members_hidden = 0

    def _serve(self) -> None:
        """What it was asked, and how it fails."""
        self.faults: list[Fault] = []
        self.asked: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.public_key: str | None = None
        self.issued: list[str] = []
        self.lifetime = timedelta(hours=1)
        self.points = self.refused = 0
        self.reset_at = 0.0
        self._counted = 0
        self._lock = threading.Lock()

    @property
    def administers(self) -> bool:
        """Whether the identity is shown what is for administrators of the repositories."""
        return self.admin and "administration" not in self.denied

    @property
    def shown(self) -> list[int]:
        """The numbers of the repositories that the identity is shown."""
        return [number for number in range(self.repositories) if self.shows(number)]

    def shows(self, number: int) -> bool:
        return number < self.repositories and (self.gave(number) or is_public(number))

    def gave(self, number: int) -> bool:
        return self.given is None or number in self.given

    @property
    def public(self) -> int:
        """How many repositories are public."""
        return sum(map(is_public, range(self.repositories)))

    def repository(self, number: int) -> dict:
        return repository(self, number)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, verb: str, target: str, headers: dict[str, str], body: dict) -> Answer:
        parts = urlsplit(target)
        if parts.path == "/_fake/asked":
            before, self._counted = self._counted, sum(self.asked.values())
            return Answer(200, self._counted - before)
        time.sleep(self.delay)
        at = re.search(r"query (\w+)", body["query"])[1] if parts.path.endswith("/graphql") else parts.path
        asked = body.get("variables") or dict(parse_qsl(parts.query, keep_blank_values=True))
        fault = self._struck(at, asked)
        if fault is not None:
            time.sleep(fault.hang)
            return Answer(fault.status, fault.body, fault.headers, cut=fault.cut)
        if parts.path.startswith("/app"):
            return self._app(verb, parts.path, headers)
        known = {self.token, *self.issued}
        if headers.get("Authorization", "").partition(" ")[2] not in known:
            return refusal(401, "Bad credentials")
        if parts.path.endswith("/graphql"):
            self.sizes.append(body["variables"].get("first", 0))
            return executed(self, body)
        return answered(self, parts.path, asked)

    def _struck(self, at: str, asked: dict) -> Fault | None:
        with self._lock:
            self.asked[at] += 1
            for fault in self.faults:
                if fault.at == at and fault.times > 0 and fault.when(asked):
                    fault.times -= 1
                    return fault
        return None

    # The App

    def _app(self, verb: str, path: str, headers: dict[str, str]) -> Answer:
        try:
            scheme, _, token = headers.get("Authorization", "").partition(" ")
            claims = jwt.decode(token, self.public_key or "", algorithms=["RS256"], options={"require": ["iat", "exp"]})
        except jwt.PyJWTError:
            return refusal(401, "A JSON web token could not be decoded")
        if scheme != "Bearer" or claims["iss"] != str(self.app_id):
            return refusal(401, "'Issuer' claim ('iss') must be an Integer")
        if (verb, path) == ("GET", "/app"):
            return Answer(200, {"id": self.app_id, "slug": "acme-evidence"})
        if (verb, path) == ("GET", f"/app/installations/{self.installation_id}"):
            held = {name: "read" for name in ("metadata", "members", "contents") if name not in self.denied}
            return Answer(200, self._installation(held))
        if (verb, path) != ("POST", f"/app/installations/{self.installation_id}/access_tokens"):
            return refusal(404, "Not Found")
        token = f"ghsfake{len(self.issued)}"
        self.issued.append(token)
        return Answer(201, {"token": token, "expires_at": written(datetime.now(UTC) + self.lifetime)})

    def _installation(self, permissions: dict[str, str]) -> dict:
        return {
            "id": self.installation_id,
            "app_slug": "acme-evidence",
            "account": {"login": self.installed_in, "type": "Organization"},
            "repository_selection": "all" if self.given is None else "selected",
            "permissions": permissions,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: GitHub

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.answer(self.command, self.path, dict(self.headers), json.loads(sent) if sent else {})
        limits = {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4900",
            "X-RateLimit-Reset": str(int(time.time()) + 3600),
        }
        headers = {"Date": formatdate(usegmt=True), "Content-Type": JSON, **limits, **answer.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        content = answer.content
        length = "" if answer.status == HTTPStatus.NO_CONTENT else f"Content-Length: {len(content)}\r\n"
        shown = content[: len(content) // 2] if answer.cut else content
        self.wfile.write(f"HTTP/1.1 {answer.status} .\r\n{head}{length}\r\n".encode() + shown)
        self.close_connection = self.close_connection or answer.cut

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""
