"""A small Okta org on loopback: users in pages, factors, password policies, the token endpoint, and faults on demand.

    with Okta(users=1000) as okta:
        okta.faults.append(Fault("/api/v1/users", answer=Answer(500), on=3))
        ...  # read okta.url with okta.token

`python -m tests.fakes.okta --port 8081` serves one until it is stopped.
"""

import argparse
import base64
import hashlib
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt

_FIRST = ("Ada", "Bruno", "Chiara", "Dmitri", "Esra", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Linnea")
_LAST = ("Abara", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ivanova", "Jansen", "Kim")
_DEPARTMENTS = ("Engineering", "Finance", "People", "Sales", "Support")
_EPOCH = datetime(2024, 3, 4, 8, 30, tzinfo=UTC)
NONCE = "eyJ.nonce.1"
_ACCESS = {"users": "okta.users.read", "policies": "okta.policies.read", "iam": "okta.roles.read"}


# ── What the org holds ─────────────────────────────────────────────────────────────────────────────────────────────


def user(number: int, status: str = "ACTIVE") -> dict:
    """The user of this number: always the same one."""
    first, last = _FIRST[number % len(_FIRST)], _LAST[number // len(_FIRST) % len(_LAST)]
    login = f"{first}.{last}{number}@acme.example".lower()
    created = _EPOCH + timedelta(hours=number)
    signed_in = status not in {"STAGED", "PROVISIONED"}
    return {
        "id": f"00u{number:014d}d7",
        "status": status,
        "created": _time(created),
        "activated": _time(created + timedelta(minutes=5)) if signed_in else None,
        "statusChanged": _time(created + timedelta(minutes=5)),
        "lastLogin": _time(created + timedelta(days=400 + number % 200)) if signed_in and number % 17 else None,
        "lastUpdated": _time(created + timedelta(days=30)),
        "passwordChanged": _time(created + timedelta(days=30)) if signed_in else None,
        "type": {"id": "oty1hkqbq0e3tjLEq0h8"},
        "profile": {
            "firstName": first,
            "lastName": last,
            "mobilePhone": None,
            "secondEmail": None,
            "login": login,
            "email": login,
            "department": _DEPARTMENTS[number % len(_DEPARTMENTS)],
            "employeeNumber": f"{number:06d}",
        },
        "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}},
        "_links": {"self": {"href": f"https://acme.okta.com/api/v1/users/00u{number:014d}d7"}},
    }


def people(count: int, deprovisioned: int) -> list[dict]:
    """`count` users who are not deprovisioned, and `deprovisioned` who are."""
    odd = {7: "SUSPENDED", 11: "STAGED", 13: "LOCKED_OUT", 19: "PASSWORD_EXPIRED"}
    current = [user(number, odd.get(number % 100, "ACTIVE")) for number in range(count)]
    return current + [user(number, "DEPROVISIONED") for number in range(count, count + deprovisioned)]


def factors(user_id: str) -> list[dict]:
    """The factors of a user, by the digits of the id: one user in 20 has none."""
    number = int(re.sub(r"\D", "", user_id[3:17]) or 0)
    types = [("push", "OKTA"), ("token:software:totp", "GOOGLE"), ("webauthn", "FIDO"), ("sms", "OKTA")]
    if number % 20 == 0:
        return []
    chosen = types[number % 4 :][:2]
    return [
        {
            "id": f"fac{number:012d}{place}",
            "factorType": kind,
            "provider": provider,
            "vendorName": provider,
            "status": "ACTIVE" if place == 0 else "PENDING_ACTIVATION",
            "created": _time(_EPOCH + timedelta(hours=number)),
            "lastUpdated": _time(_EPOCH + timedelta(hours=number)),
            "profile": {"credentialId": f"user{number}@acme.example"},
        }
        for place, (kind, provider) in enumerate(chosen)
    ]


def password_policy(policy_id: str, name: str, priority: int, min_length: int, *, system: bool) -> dict:
    return {
        "id": policy_id,
        "status": "ACTIVE",
        "name": name,
        "description": f"{name} for acme",
        "priority": priority,
        "system": system,
        "conditions": {
            "people": {"groups": {"include": [f"00g{policy_id[3:]}"]}},
            "authProvider": {"provider": "OKTA"},
        },
        "created": _time(_EPOCH),
        "lastUpdated": _time(_EPOCH + timedelta(days=200)),
        "settings": {
            "password": {
                "complexity": {
                    "minLength": min_length,
                    "minLowerCase": 1,
                    "minUpperCase": 1,
                    "minNumber": 1,
                    "minSymbol": 0,
                    "excludeUsername": True,
                    "dictionary": {"common": {"exclude": not system}},
                    "excludeAttributes": ["firstName", "lastName"],
                },
                "age": {"maxAgeDays": 0, "expireWarnDays": 0, "minAgeMinutes": 120, "historyCount": 24},
                "lockout": {
                    "maxAttempts": 5,
                    "autoUnlockMinutes": 30,
                    "userLockoutNotificationChannels": ["EMAIL"],
                    "showLockoutFailures": True,
                },
            },
            "recovery": {"factors": {"okta_email": {"status": "ACTIVE"}, "okta_sms": {"status": "INACTIVE"}}},
            "delegation": {"options": {"skipUnlock": False}},
        },
        "type": "PASSWORD",
    }


def password_rule(policy_id: str) -> dict:
    return {
        "id": f"0pr{policy_id[3:]}",
        "status": "ACTIVE",
        "name": "Default Rule",
        "priority": 1,
        "created": _time(_EPOCH),
        "lastUpdated": _time(_EPOCH),
        "system": True,
        "conditions": {"people": {"users": {"exclude": []}}, "network": {"connection": "ANYWHERE"}},
        "actions": {
            "passwordChange": {"access": "ALLOW"},
            "selfServicePasswordReset": {"access": "ALLOW"},
            "selfServiceUnlock": {"access": "DENY"},
        },
        "type": "PASSWORD",
    }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


# ── What it says ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `hang` seconds pass before it; with `cut`, the connection ends in the middle of its body."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    hang: float = 0
    cut: bool = False


@dataclass
class Fault:
    """`answer` instead of the right one, for `times` requests to `path`, from the `on`th such request."""

    path: str
    answer: Answer | Callable[[Answer], Answer]
    on: int = 1
    times: int = 1_000_000
    met: int = 0

    def strikes(self, path: str) -> bool:
        if not re.fullmatch(self.path, path):
            return False
        self.met += 1
        return self.on <= self.met < self.on + self.times


def said(status: int, code: str, summary: str, *headers: tuple[str, str]) -> Answer:
    """An error in Okta's words."""
    body = {"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oaeXbC3", "errorCauses": []}
    return Answer(status, json.dumps(body).encode(), (("Content-Type", "application/json"), *headers))


def limited(*headers: tuple[str, str]) -> Answer:
    return said(429, "E0000047", "API call exceeded rate limit due to too many requests.", *headers)


def in_seconds(seconds: float) -> tuple[tuple[str, str], ...]:
    """The headers of an exhausted limit that is full again in so many seconds."""
    reset = ("X-Rate-Limit-Reset", str(int(time.time() + seconds)))
    return ("X-Rate-Limit-Limit", "600"), ("X-Rate-Limit-Remaining", "0"), reset


SIGN_IN_PAGE = Answer(200, b"<html><body>Sign in to the guest network</body></html>", (("Content-Type", "text/html"),))


@dataclass
class Call:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int = 0


@dataclass
class Okta:
    """An org. `keys` are the public keys of its service apps by client id, `granted` the scopes that they may have
    (None: any to read); `limit` is calls a minute, by first word.

    With `dpop` tokens are given, and taken, with a proof only; the proof for one holds a nonce that the org gave out.
    """

    users: int = 100
    deprovisioned: int = 5
    token: str = "00demoOktaToken"
    keys: Mapping[str, object] = field(default_factory=dict)
    granted: tuple[str, ...] | None = None
    expires_in: int = 3600
    limit: int = 1_000_000
    links: str = "separate"
    dpop: bool = False
    port: int = 0

    def __post_init__(self):
        self.people = people(self.users, self.deprovisioned)
        self.places = {person["id"]: place for place, person in enumerate(self.people)}
        self.policies = [
            password_policy("00p1engineers0d7", "Engineers", 1, 14, system=False),
            password_policy("00p2default000d7", "Default Policy", 2, 8, system=True),
        ]
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.access_tokens: dict[str, tuple[float, frozenset[str]]] = {}
        self.assertions: set[str] = set()
        self.kids: list[str | None] = []
        self.admin_ids = [person["id"] for person in self.people[:2]]
        self._spent: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.block_on_close = False
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def asked(self, path: str) -> list[Call]:
        return [call for call in self.calls if re.fullmatch(path, call.path)]

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        call = Call(method, parts.path, dict(parse_qsl(parts.query)), headers)
        with self._lock:
            self.calls.append(call)
            fault = next((fault for fault in self.faults if fault.strikes(call.path)), None)
        if fault is not None and isinstance(fault.answer, Answer):
            answer = fault.answer
        else:
            answer = self._token(call, body) if call.path == "/oauth2/v1/token" else self._resource(call)
            answer = fault.answer(answer) if fault is not None else answer
        call.status = answer.status
        return answer

    def _resource(self, call: Call) -> Answer:
        word = call.path.split("/")[3] if call.path.startswith("/api/v1/") else ""
        refused = self._refused(call, _ACCESS.get(word))
        if refused is not None:
            return refused
        answer = self._found(call)
        return Answer(answer.status, answer.body, (*answer.headers, *self._limit_headers(word)))

    def _refused(self, call: Call, scope: str | None) -> Answer | None:
        path = call.path
        kind, _, secret = call.headers.get("Authorization", "").partition(" ")
        if kind == "SSWS" and secret == self.token:
            return None
        expires, scopes = self.access_tokens.get(secret, (0.0, frozenset()))
        if kind != ("DPoP" if self.dpop else "Bearer") or time.time() >= expires or self._unproved(call, secret):
            return said(401, "E0000011", "Invalid token provided")
        if scope is None or scope in scopes:
            return None
        challenge = (
            f'Bearer authorization_uri="{self.url}/oauth2/v1/authorize", realm="{self.url}", scope="{scope}", '
            'error="insufficient_scope", error_description="The access token provided does not contain the '
            f'required scopes.", resource="{path}"'
        )
        return Answer(403, b"", (("WWW-Authenticate", challenge),))

    def _limit_headers(self, word: str):
        now = int(time.time())
        with self._lock:
            spent = self._spent[word, now // 60] = self._spent.get((word, now // 60), 0) + 1
        return (
            ("X-Rate-Limit-Limit", str(self.limit)),
            ("X-Rate-Limit-Remaining", str(max(0, self.limit - spent))),
            ("X-Rate-Limit-Reset", str((now // 60 + 1) * 60)),
        )

    def _found(self, call: Call) -> Answer:
        match call.path.split("/")[3:]:
            case ["users"]:
                return self._users(call)
            case ["users", "me"]:
                return _json(user(0))
            case ["iam", "assignees", "users"]:
                return _json({"value": [{"id": user_id} for user_id in self.admin_ids]})
            case ["users", user_id, "factors"] if user_id in self.places:
                return _json(factors(user_id))
            case ["policies", *rest]:
                return self._policies(call.query.get("type"), rest)
        return said(404, "E0000007", f"Not found: Resource not found: {call.path}")

    def _policies(self, kind: str | None, rest: list[str]) -> Answer:
        if rest:
            return _json([password_rule(rest[0])])
        if kind == "PASSWORD":
            return _json(self.policies)
        return said(400, "E0000001", "The request was not valid: Invalid policy type specified.")

    def _users(self, call: Call) -> Answer:
        search = re.fullmatch(r'status eq "(\w+)"', call.query.get("search", ""))
        wanted = (lambda status: status == search[1]) if search else (lambda status: status != "DEPROVISIONED")
        start = self.places[call.query["after"]] + 1 if "after" in call.query else 0
        rest = (person for person in itertools.islice(self.people, start, None) if wanted(person["status"]))
        limit = min(int(call.query.get("limit", "200")), 200)
        page = list(itertools.islice(rest, limit))
        more = next(rest, None) is not None
        return _json(page, *self._links(call, page[-1]["id"] if more else None))

    def _links(self, call: Call, after: str | None):
        """Link headers as Okta writes them: one for each link, self first; or in one of the other layouts."""
        here = f'<{self.url}{call.path}?{urlencode(call.query)}>; rel="self"'
        if after is None:
            return (("Link", here),)
        mark = "&note=a,b" if self.links == "comma" else ""
        there = f'<{self.url}{call.path}?{urlencode({**call.query, "after": after})}{mark}>; rel="next"'
        layouts = {
            "separate": (here, there),
            "next first": (there, here),
            "one line": (f"{here}, {there}",),
            "one line, next first": (f"{there}, {here}",),
            "comma": (here, there),
            "next only": (there,),
        }
        return tuple(("Link", link) for link in layouts[self.links])

    def _unproved(self, call: Call, access_token: str | None = None) -> str | None:
        """What is wrong with a call's proof of possession; for an access token, with which it must be bound."""
        if not self.dpop:
            return None
        try:
            proof = call.headers["DPoP"]
            claims = jwt.decode(proof, jwt.PyJWK(jwt.get_unverified_header(proof)["jwk"]), algorithms=["RS256"])
        except (jwt.PyJWTError, KeyError, TypeError) as error:
            return f"The DPoP proof is not valid: {type(error).__name__}"
        if (claims["htm"], claims["htu"]) != (call.method, self.url + call.path):
            return "The DPoP proof is for another call."
        if access_token is None:
            return None if claims.get("nonce") == NONCE else "use_dpop_nonce"
        digest = hashlib.sha256(access_token.encode()).digest()
        hashed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return None if claims["ath"] == hashed else "The DPoP proof is for another token."

    def _token(self, call: Call, body: bytes) -> Answer:
        wrong = self._unproved(call)
        if wrong == "use_dpop_nonce":
            refused = _oauth_error(400, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof.")
            return Answer(refused.status, refused.body, (*refused.headers, ("dpop-nonce", NONCE)))
        if wrong:
            return _oauth_error(400, "invalid_dpop_proof", wrong)
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        try:
            self.kids.append(jwt.get_unverified_header(form["client_assertion"]).get("kid"))
            claimed = jwt.decode(form["client_assertion"], options={"verify_signature": False})
            claims = jwt.decode(
                form["client_assertion"],
                self.keys[claimed["sub"]],
                algorithms=["RS256"],
                audience=f"{self.url}/oauth2/v1/token",
                issuer=claimed["sub"],
                options={"require": ["exp", "iat", "jti", "sub", "iss", "aud"]},
            )
        except (jwt.PyJWTError, KeyError) as error:
            return _oauth_error(401, "invalid_client", f"The client_assertion is not valid: {type(error).__name__}")
        scopes = frozenset(form["scope"].split())
        if not all(self._may_have(scope) for scope in scopes):
            return _oauth_error(400, "invalid_scope", "One or more scopes are not configured for the client.")
        return self._issue(claims["jti"], scopes)

    def _may_have(self, scope: str) -> bool:
        return bool(re.fullmatch(r"okta\.\w+\.read", scope)) if self.granted is None else scope in self.granted

    def _issue(self, assertion: str, scopes: frozenset[str]) -> Answer:
        with self._lock:
            if assertion in self.assertions:
                return _oauth_error(401, "invalid_client", "The client_assertion token has already been used.")
            self.assertions.add(assertion)
            access_token = f"eyJfake.access.{len(self.assertions)}"
            self.access_tokens[access_token] = (time.time() + self.expires_in, scopes)
        scope = " ".join(sorted(scopes))
        return _json(
            {
                "token_type": "DPoP" if self.dpop else "Bearer",
                "expires_in": self.expires_in,
                "access_token": access_token,
                "scope": scope,
            }
        )


def _json(value: object, *headers: tuple[str, str]) -> Answer:
    return Answer(200, json.dumps(value).encode(), (("Content-Type", "application/json"), *headers))


def _oauth_error(status: int, error: str, description: str) -> Answer:
    body = json.dumps({"error": error, "error_description": description}).encode()
    return Answer(status, body)


def _handler(org: Okta) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = org.answer(self.command, self.path, self.headers, body)
            try:
                self._send(answer)
            except OSError:  # the client has gone
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - http.server's name

        def _send(self, answer: Answer):
            time.sleep(answer.hang)
            headers = [("Date", formatdate(usegmt=True)), *answer.headers, ("Content-Length", str(len(answer.body)))]
            head = "".join(f"{name}: {value}\r\n" for name, value in headers)
            body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
            self.close_connection = self.close_connection or answer.cut
            self.wfile.write(f"HTTP/1.1 {answer.status} .\r\n{head}\r\n".encode() + body)

        def log_message(self, *_):
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a small Okta org on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--users", type=int, default=240)
    parser.add_argument("--deprovisioned", type=int, default=12)
    parser.add_argument("--token", default=Okta.token)
    options = parser.parse_args()
    with Okta(users=options.users, deprovisioned=options.deprovisioned, token=options.token, port=options.port) as okta:
        print(f"okta ready {okta.url}", flush=True)  # noqa: T201 - whoever started this waits for it
        threading.Event().wait()


if __name__ == "__main__":
    main()
