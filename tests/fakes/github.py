"""A small GitHub on loopback: one organization by REST and GraphQL, with limits, permissions and faults on demand.

    with GitHub(repositories=120) as github:
        github.denied.add("administration")
        github.faults.append(Fault("DefaultBranches", status=502, when=lambda asked: asked["first"] > 10))
        ...  # read github.url with github.token

GraphQL is executed, not imitated: by graphql-core, on the part of GitHub's own schema that is beside this file.
`python -m tests.fakes.github --port 8082` serves one until it is stopped.
"""

import argparse
import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Fault:
    """What is answered in place of the truth, to a path or GraphQL query of this name, `times` times."""

    at: str
    status: int = 500
    body: object = field(default_factory=lambda: {"message": "Server Error"})
    headers: dict[str, str] = field(default_factory=dict)
    times: float = float("inf")
    when: Callable[[dict], bool] = lambda _asked: True
    hang: float = 0.0


# ── What the organization holds ────────────────────────────────────────────────────────────────────────────────────


def classic(number: int) -> dict:
    """The classic protection of the default branch of repository `number`."""
    return {
        "databaseId": 700_000 + number,
        "pattern": "main",
        "isAdminEnforced": number % 4 == 0,
        "requiresApprovingReviews": True,
        "requiredApprovingReviewCount": 1 + number % 2,
        "dismissesStaleReviews": number % 4 == 0,
        "requiresCodeOwnerReviews": number % 6 == 0,
        "requireLastPushApproval": False,
        "requiresConversationResolution": False,
        "requiresStatusChecks": True,
        "requiresStrictStatusChecks": False,
        "requiredStatusChecks": [{"context": "build"}, {"context": "test"}],
        "requiresDeployments": False,
        "requiredDeploymentEnvironments": [],
        "requiresCommitSignatures": number % 8 == 0,
        "requiresLinearHistory": False,
        "allowsForcePushes": False,
        "allowsDeletions": False,
        "blocksCreations": False,
        "restrictsPushes": False,
        "lockBranch": False,
        "bypassPullRequestAllowances": _all({"actor": {"__typename": "App", "slug": "acme-release"}}),
        "bypassForcePushAllowances": _all(),
    }


ORGANIZATION_RULESET = {
    "id": "RRS_org1",
    "databaseId": 41,
    "name": "Default branches",
    "source": {"__typename": "Organization", "login": "acme"},
}
ORGANIZATION_BYPASS = {
    "bypassMode": "PULL_REQUEST",
    "deployKey": False,
    "enterpriseOwner": False,
    "organizationAdmin": False,
    "repositoryRoleName": None,
    "actor": {"__typename": "Team", "combinedSlug": "acme/platform"},
}
ORGANIZATION_RULES = (
    {"type": "NON_FAST_FORWARD", "parameters": None},
    {
        "type": "PULL_REQUEST",
        "parameters": {
            "__typename": "PullRequestParameters",
            "requiredApprovingReviewCount": 2,
            "dismissStaleReviewsOnPush": True,
            "requireCodeOwnerReview": False,
            "requireLastPushApproval": True,
            "requiredReviewThreadResolution": False,
        },
    },
)


def pull(number: int, repository: str, merged_at: datetime) -> dict:
    """The pull request of this number: always the same one but for its time. Every seventh has no approval."""
    head = f"{number:040x}"
    author = {"__typename": "Bot", "login": "dependabot"} if number % 9 == 8 else _user(number)
    review = {
        "state": "APPROVED",
        "submittedAt": _time(merged_at - timedelta(hours=1)),
        "author": _user(number + 1),
        "commit": {"oid": head if number % 5 else f"{number + 1:040x}"},
    }
    run = {
        "__typename": "CheckRun",
        "name": "build",
        "status": "COMPLETED",
        "conclusion": "SUCCESS",
        "completedAt": _time(merged_at - timedelta(hours=2)),
    }
    status = {"__typename": "StatusContext", "context": "deploy", "state": "SUCCESS", "createdAt": _time(merged_at)}
    return {
        "__typename": "PullRequest",
        "id": f"PR_{number:08d}",
        "number": number,
        "url": f"https://github.com/acme/{repository}/pull/{number}",
        "title": f"Change {number}",
        "createdAt": _time(merged_at - timedelta(days=2)),
        "mergedAt": _time(merged_at),
        "baseRefName": "release" if number % 50 == 49 else "main",
        "headRefOid": head,
        "author": author,
        "mergedBy": _user(number + 1),
        "mergeCommit": {"oid": f"{number + 10**9:040x}"},
        "repository": {
            "nameWithOwner": f"acme/{repository}",
            "isArchived": (service := int(repository[-3:])) % 17 == 16,
            "isFork": service % 19 == 18,
            "defaultBranchRef": {"name": "main"},
        },
        "reviews": _all(*([] if number % 7 == 6 else [review])),
        "commits": _all({"commit": {"oid": head, "statusCheckRollup": {"contexts": _all(run, status)}}}),
    }


def _user(number: int) -> dict:
    return {"__typename": "User", "login": f"dev-{number % 23:02d}"}


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _all(*nodes: dict) -> Callable[..., dict]:
    """A connection that gives its first or last nodes, as asked."""

    def connection(_info: object, *, first: int | None = None, last: int | None = None, **_: object) -> dict:
        shown = nodes[:first] if first is not None else nodes[-last:] if last else nodes
        return {"totalCount": len(nodes), "nodes": list(shown)}

    return connection


def _page(nodes: list, first: int, after: str | None) -> dict:
    start = int(base64.b64decode(after)) if after else 0
    end = start + first
    cursor = base64.b64encode(str(end).encode()).decode()
    more = {"hasNextPage": end < len(nodes), "endCursor": cursor if nodes[start:end] else None}
    return {"nodes": nodes[start:end], "pageInfo": more}


@cache
def schema() -> GraphQLSchema:
    return build_schema(Path(__file__).with_suffix(".graphql").read_text(encoding="utf-8"))


# ── How it answers ─────────────────────────────────────────────────────────────────────────────────────────────────


class GitHub(ThreadingHTTPServer):
    """The organization `acme`. `denied` are permissions that the identity lacks, as in `administration`.

    `admin` is whether the identity administers the repositories, `owner` whether it owns the organization.
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
        members_without: int = 3,
        until: datetime | None = None,
        days: int = 30,
        delay: float = 0.0,
        port: int = 0,
    ):
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories = repositories
        self.members_without = members_without
        self.admin = self.owner = True
        self.two_factor: bool | None = True
        self.denied: set[str] = set()
        self.forbidden_repositories: set[str] = set()
        self.bypass_hidden = False
        self.faults: list[Fault] = []
        self.asked: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.public_key: str | None = None
        self.issued: list[str] = []
        self.lifetime = timedelta(hours=1)
        self.miscounted = 0
        self.delay = delay
        self._counted = 0
        self.scopes: str | None = None
        self._lock = threading.Lock()
        end = (until or datetime.now(UTC)).replace(microsecond=0)
        step = timedelta(days=days) / max(1, pulls)
        self.pulls = [
            pull(n, f"service-{n % repositories:03d}", (end - step * (pulls - n)).replace(microsecond=0))
            for n in range(pulls)
        ]

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
        asked = body.get("variables") or dict(parse_qsl(parts.query))
        with self._lock:
            self.asked[at] += 1
            for fault in self.faults:
                if fault.at == at and fault.times > 0 and fault.when(asked):
                    fault.times -= 1
                    time.sleep(fault.hang)
                    return Answer(fault.status, fault.body, fault.headers)
        if parts.path.startswith("/app"):
            return self._app(verb, parts.path, headers)
        known = {self.token, *self.issued}
        if headers.get("Authorization", "").partition(" ")[2] not in known:
            return _refusal(401, "Bad credentials")
        if parts.path.endswith("/graphql"):
            return self._graphql(body)
        return self._rest(parts.path, dict(parse_qsl(parts.query)))

    # The App

    def _app(self, verb: str, path: str, headers: dict[str, str]) -> Answer:
        try:
            scheme, _, token = headers.get("Authorization", "").partition(" ")
            claims = jwt.decode(token, self.public_key or "", algorithms=["RS256"], options={"require": ["iat", "exp"]})
        except jwt.PyJWTError:
            return _refusal(401, "A JSON web token could not be decoded")
        if scheme != "Bearer" or claims["iss"] != str(self.app_id):
            return _refusal(401, "'Issuer' claim ('iss') must be an Integer")
        if (verb, path) == ("GET", "/app"):
            return Answer(200, {"id": self.app_id, "slug": "acme-evidence"})
        if (verb, path) == ("GET", f"/app/installations/{self.installation_id}"):
            held = {name: "read" for name in ("metadata", "members", "contents") if name not in self.denied}
            return Answer(200, {"id": self.installation_id, "app_slug": "acme-evidence", "permissions": held})
        if (verb, path) != ("POST", f"/app/installations/{self.installation_id}/access_tokens"):
            return _refusal(404, "Not Found")
        token = f"ghsfake{len(self.issued)}"
        self.issued.append(token)
        return Answer(201, {"token": token, "expires_at": _time(datetime.now(UTC) + self.lifetime)})

    # REST

    def _rest(self, path: str, query: dict[str, str]) -> Answer:
        if path == "/user":
            told = {} if self.scopes is None else {"X-OAuth-Scopes": self.scopes}
            return Answer(200, {"login": "acme-auditor", "id": 99}, told)
        if path == "/orgs/acme":
            shown = (
                {}
                if "organization_administration" in self.denied
                else {"two_factor_requirement_enabled": self.two_factor}
            )
            return Answer(200, {"login": "acme", "id": 1, **shown})
        if path in ("/orgs/acme/members", "/orgs/acme/outside_collaborators", "/organizations/1/members"):
            return self._people(path, query)
        found = re.fullmatch(r"/repos/acme/service-(\d+)/branches/main/protection", path)
        return self._protection(int(found[1])) if found else _refusal(404, "Not Found")

    def _people(self, path: str, query: dict[str, str]) -> Answer:
        if "members" in self.denied:
            return _refusal(
                403, "Resource not accessible by integration", {"X-Accepted-GitHub-Permissions": "members=read"}
            )
        if query.get("filter") == "2fa_disabled" and not self.owner:
            return _refusal(422, "Only owners can use this filter.")
        names = [f"dev-{n:03d}" for n in range(self.members_without)] if path.endswith("members") else ["consultant"]
        size, number = int(query["per_page"]), int(query.get("page", 1))
        people = [{"login": name, "id": n} for n, name in enumerate(names)][(number - 1) * size : number * size]
        if number * size >= len(names):
            return Answer(200, people)
        # GitHub's own links go by the organization's number.
        further = f"{self.url}/organizations/1/members?{urlencode({**query, 'page': number + 1})}"
        return Answer(200, people, {"Link": f'<{self.url}/last>; rel="last", <{further}>; rel="next"'})

    def _protection(self, number: int) -> Answer:
        if "administration" in self.denied:
            return _refusal(404, "Not Found")
        if number % 2 == 0:
            return Answer(200, {"url": "…"})
        return _refusal(404, "Branch not protected")

    # GraphQL

    def _graphql(self, body: dict) -> Answer:
        self.sizes.append(body["variables"].get("first", 0))
        root = {"organization": self._organization, "search": self._search}
        result = graphql_sync(schema(), body["query"], root, variable_values=body["variables"])
        answer = {"data": result.data}
        if result.errors:
            answer["errors"] = [_error(error) for error in result.errors]
        return Answer(200, answer)

    def _organization(self, _info: object, login: str) -> dict:
        if login != "acme":
            raise _fault("NOT_FOUND", f"Could not resolve to an Organization with the login of '{login}'.")
        return {"login": login, "repositories": self._repositories}

    def _repositories(self, _info: object, first: int, after: str | None = None, **_: object) -> dict:
        start = int(base64.b64decode(after)) if after else 0
        numbers = _page(list(range(self.repositories)), first, after)
        assert start < self.repositories
        return {**numbers, "nodes": [self._repository(number) for number in numbers["nodes"]]}

    def _repository(self, number: int) -> dict:
        name = f"acme/service-{number:03d}"
        governed = number % 3 != 0
        bypass = None if self.bypass_hidden else _all(ORGANIZATION_BYPASS)
        rules = [{**rule, "repositoryRuleset": {"id": "RRS_org1"}} for rule in ORGANIZATION_RULES if governed]
        branch = {
            "name": "main",
            "rules": _all(*rules),
            "branchProtectionRule": lambda _info: self._classic(number, name),
        }
        return {
            "databaseId": 5000 + number,
            "nameWithOwner": name,
            "visibility": ("PRIVATE", "INTERNAL", "PUBLIC")[number % 3],
            "isArchived": number % 17 == 16,
            "isFork": number % 19 == 18,
            "viewerCanAdminister": self.admin,
            "rulesets": _all(*([{**ORGANIZATION_RULESET, "bypassActors": bypass}] if governed else [])),
            "defaultBranchRef": None if number % 29 == 28 else branch,
        }

    def _classic(self, number: int, name: str) -> dict | None:
        if name in self.forbidden_repositories:
            raise _fault("FORBIDDEN", "Resource not accessible by integration")
        hidden = not self.admin and "administration" in self.denied
        return classic(number) if number % 2 == 0 and not hidden else None

    def _search(self, _info: object, query: str, first: int, after: str | None = None, **_: object) -> dict:
        since, until = re.search(r"\borg:acme is:pr is:merged merged:(\S+)\.\.(\S+)", query).groups()
        found = [each for each in self.pulls if since <= each["mergedAt"] <= until]
        page = _page(found[:1000], first, after)
        nodes = [self._shown(each) for each in page["nodes"]]
        return {**page, "nodes": nodes, "issueCount": len(found) + self.miscounted}

    def _shown(self, found: dict) -> dict:
        if "checks" not in self.denied:
            return found

        def refuse(_info: object) -> dict:
            raise _fault("FORBIDDEN", "Resource not accessible by personal access token")

        return {**found, "commits": _all({"commit": {"oid": found["headRefOid"], "statusCheckRollup": refuse}})}


def _fault(kind: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": kind})


def _error(error: GraphQLError) -> dict:
    """As GitHub writes it: its kind beside the message."""
    kind = (error.extensions or {}).get("type")
    return {**({"type": kind} if kind else {}), "path": error.path, "message": error.message}


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, {"message": message, "documentation_url": "https://docs.github.com/rest"}, headers or {})


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
        length = f"Content-Length: {len(answer.content)}\r\n"
        self.wfile.write(f"HTTP/1.1 {answer.status} .\r\n{head}{length}\r\n".encode() + answer.content)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a small GitHub on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--repositories", type=int, default=40)
    parser.add_argument("--pulls", type=int, default=120)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    told = {name: getattr(options, name) for name in ("repositories", "pulls", "delay", "port")}
    with GitHub(**told) as github:
        print(f"github ready {github.url}", flush=True)  # noqa: T201 - what starts it waits for this line
        threading.Event().wait()


if __name__ == "__main__":
    main()
