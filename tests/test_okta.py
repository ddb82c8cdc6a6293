"""The Okta source, against a local org that can be told to misbehave."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from jwcrypto.jwk import JWK
from pydantic import ValidationError

from collectors.contract import Cancelled, Gap, Journal, Run, journaling
from collectors.errors import (
    AccessDenied,
    CollectionError,
    Invalid,
    NotEnabled,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from collectors.okta import SOURCE
from collectors.okta.password import policy
from collectors.okta.settings import Settings
from collectors.okta.targets import Tenant
from collectors.okta.user import lifecycle, mfa
from tests.fakes.okta import SIGN_IN_PAGE, Answer, Fault, Okta, in_seconds, limited, said

USERS = "/api/v1/users"
FACTORS = "/api/v1/users/[^/]+/factors"
DAY = datetime(2026, 4, 15, 9, 14, 22, tzinfo=UTC)


class Clock(threading.Event):
    """A wish to stop that notes how long it is waited for, and lets no time pass."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return self.is_set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said_waits():
    return []


@pytest.fixture
def run(clock, said_waits):
    with ThreadPoolExecutor(8) as pool:
        yield Run("okta", DAY, pool, 8, clock, lambda reason, seconds: said_waits.append((reason, seconds)))


@pytest.fixture
def enter(run):
    """A tenant of an org, closed at the end."""
    tenants = []

    def enter(okta, **options):
        tenants.append(Tenant(run, okta.url, {"authorizationMode": "SSWS", "token": okta.token}, **options))
        return tenants[-1]

    yield enter
    for tenant in tenants:
        tenant.close()


def collected(kind, tenant):
    """What the type yields, the error it ends with, and the journal."""
    found, failure = [], None
    with journaling(Journal()) as journal:
        try:
            found.extend(kind(tenant))
        except CollectionError as error:
            failure = error
    return found, failure, journal


# ── Users, whole ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_user_once(enter):
    """Of 1,000 users and 300 who were deprovisioned, each is in exactly one record."""
    with Okta(users=1000, deprovisioned=300) as okta:
        found, failure, _ = collected(lifecycle, enter(okta))
        assert failure is None
        assert Counter(record.id for record in found) == Counter(person["id"] for person in okta.people)
        assert Counter(record.status for record in found)["DEPROVISIONED"] == 300


def test_user_deprovisioned_meanwhile(enter):
    """A user who is met in both lists is in one record."""
    with Okta(users=10, deprovisioned=2) as okta:
        both = okta.people[10]

        def with_both(answer):
            return replace(answer, body=json.dumps([*json.loads(answer.body), both]).encode())

        okta.faults.append(Fault(USERS, with_both, times=1))
        found, _, _ = collected(lifecycle, enter(okta))
        assert [record.id for record in found].count(both["id"]) == 1
        assert len(found) == 12


def test_pages_fetched_once(enter):
    """Two evidence types want the users, and no page is fetched twice."""
    with Okta(users=450) as okta:
        tenant = enter(okta)
        collected(lifecycle, tenant)
        found, failure, journal = collected(mfa, tenant)
        assert failure is None
        assert len(found) == 450
        assert len(okta.asked(USERS)) == 4
        assert (journal.uses["GET /api/v1/users"].calls, journal.uses["GET /api/v1/users"].reused) == (0, 3)
        assert journal.uses["GET /api/v1/users/{userId}/factors"].calls == 450


@pytest.mark.parametrize("links", ["separate", "next first", "one line", "one line, next first", "comma", "next only"])
def test_link_layouts(enter, links):
    """However the Link headers are laid out, all pages are read."""
    with Okta(users=650, links=links) as okta:
        found, failure, _ = collected(lifecycle, enter(okta))
        assert failure is None
        assert len(found) == 655


def test_unknown_values_pass(enter):
    """A status and a field that nobody knows yet cost no record; a user without a login is a gap of its own."""
    with Okta(users=3, deprovisioned=0) as okta:
        okta.people[0] |= {"status": "QUARANTINED", "novelty": {"a": 1}}
        okta.people[1]["profile"] = None
        found, failure, _ = collected(lifecycle, enter(okta))
        assert failure is None
        assert [getattr(record, "status", None) for record in found] == ["QUARANTINED", None, "ACTIVE"]
        assert isinstance(found[1], Gap)
        assert (found[1].kind, found[1].resource) == ("invalid", f"user {okta.people[1]['id']}")


def test_credentials_stay(enter):
    """The users are asked for without their credentials."""
    with Okta(users=1) as okta:
        collected(lifecycle, enter(okta))
        assert "okta-response=omitCredentials" in okta.asked(USERS)[0].headers["Content-Type"]


# ── Users, not whole ───────────────────────────────────────────────────────────────────────────────────────────────

HTML_500 = Answer(500, b"<h1>Error</h1>", (("Content-Type", "text/html"),))


@pytest.mark.parametrize(
    ("answer", "kind", "cause"),
    [
        (Answer(500), Unavailable, "500 without a reason"),
        (HTML_500, Unavailable, "500 without a reason"),
        (Answer(403), AccessDenied, "okta.users.read"),
        (Answer(401), Unauthenticated, "401"),
        (said(401, "E0000011", "Invalid token provided"), Unauthenticated, "E0000011 Invalid token provided"),
        (Answer(200), Unavailable, "not whole JSON"),
        (Answer(200, b'[{"id": "00u'), Unavailable, "not whole JSON"),
        (Answer(200, b'{"error": 1}'), Invalid, "not a list"),
        (Answer(200, b"[\xff]"), Unavailable, "no whole answer"),
        (Answer(200, b"[" + b"1," * 5000 + b"1]", cut=True), Unavailable, "no whole answer"),
        (SIGN_IN_PAGE, Unavailable, "text/html"),
        (Answer(302, headers=(("Location", "https://evil.example/"),)), Unavailable, "redirect"),
        (limited(), Unavailable, "429 E0000047"),
        (limited(*in_seconds(5)), Unavailable, "429 E0000047"),
    ],
)
def test_page_that_fails(enter, answer, kind, cause):
    """A third page that fails raises its cause and how many were read: never a list that ends early."""
    with Okta(users=1000) as okta:
        okta.faults.append(Fault(USERS, answer, on=3))
        found, failure, _ = collected(lifecycle, enter(okta))
        assert len(found) == 400
        assert type(failure) is kind
        assert failure.message.startswith("page 3 failed, after 400 were read: ")
        assert cause in failure.message
        assert failure.gap().operation == "GET /api/v1/users"


def test_hang(enter):
    """An org that never answers is given up after the timeout, with the reason."""
    with Okta(users=10) as okta:
        okta.faults.append(Fault(USERS, Answer(200, b"[]", hang=1)))
        found, failure, _ = collected(lifecycle, enter(okta, timeout=0.1))
        assert found == []
        assert isinstance(failure, Unavailable)
        assert "no whole answer within 0.1 seconds" in failure.message


def test_nobody_there(enter, run):
    """A port where nobody listens is Unavailable, not a traceback."""
    with Okta(users=0) as okta:
        tenant = enter(okta)
    _, failure, _ = collected(lifecycle, tenant)
    assert isinstance(failure, Unavailable)


def test_transient_failures(enter, clock):
    """Two bad answers in a row are asked again, and nothing is missing at the end."""
    with Okta(users=450) as okta:
        okta.faults += [
            Fault(USERS, Answer(502), on=2, times=1),
            Fault(USERS, Answer(200, b"[1,2]" * 99, cut=True), on=2, times=1),
        ]
        found, failure, _ = collected(lifecycle, enter(okta))
        assert failure is None
        assert len(found) == 455
        assert clock.waits == [0.5, 1.0]


def test_foreign_next_page(enter):
    """A next link to another host is refused, and the token does not go there."""
    with Okta(users=450) as okta, Okta(users=450) as other:

        def astray(answer):
            return replace(answer, headers=tuple((name, v.replace(okta.url, other.url)) for name, v in answer.headers))

        okta.faults.append(Fault(USERS, astray, times=1))
        found, failure, _ = collected(lifecycle, enter(okta))
        assert found == []
        assert isinstance(failure, Invalid)
        assert other.url.removeprefix("http://") in failure.message
        assert other.calls == []


def test_pages_in_a_circle(enter):
    """A next link that leads back is found out."""
    with Okta(users=450) as okta:
        okta.faults.append(Fault(USERS, lambda _: replace(first, headers=links), on=2))
        first = okta.answer("GET", f"{USERS}?limit=200", {"Authorization": f"SSWS {okta.token}"}, b"")
        links = first.headers
        found, failure, _ = collected(lifecycle, enter(okta))
        assert isinstance(failure, Invalid)
        assert "leads back" in failure.message
        assert len(found) == 200


def test_pages_answered_in_order(enter):
    """A deprovisioned list that is denied leaves the users who were read, and says so."""
    with Okta(users=150) as okta:
        okta.faults.append(Fault(USERS, said(403, "E0000006", "No permission"), on=2))
        found, failure, _ = collected(lifecycle, enter(okta))
        assert len(found) == 150
        assert isinstance(failure, AccessDenied)


# ── Limits ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "range_"),
    [
        (lambda: in_seconds(20), (18, 22)),
        (lambda: in_seconds(3600), (90, 90)),
        (lambda: (("Retry-After", "7"),), (7, 7)),
        (lambda: (("Retry-After", formatdate(time.time() + 30, usegmt=True)),), (28, 31)),
        (lambda: (), (1, 1)),
        (lambda: (("X-Rate-Limit-Reset", "soon"), ("Retry-After", "later")), (1, 1)),
    ],
)
def test_limited(enter, clock, said_waits, headers, range_):
    """A 429 is waited out as its headers say, capped, and the wait is told; then the list is whole."""
    with Okta(users=450) as okta:
        okta.faults.append(Fault(USERS, limited(*headers()), on=2, times=1))
        found, failure, _ = collected(lifecycle, enter(okta))
        assert failure is None
        assert len(found) == 455
        assert range_[0] <= clock.waits[0] <= range_[1]
        assert said_waits[0] == ("GET /api/v1/users: it answered 429", clock.waits[0])


def test_limited_for_good(enter, clock):
    """An org that stays limited is asked five times, no more."""
    with Okta(users=10) as okta:
        okta.faults.append(Fault(USERS, limited()))
        collected(lifecycle, enter(okta))
        assert len(okta.calls) == 5
        assert clock.waits == [1, 2, 4, 8]


def test_half_is_left(enter, clock, said_waits):
    """Once half of the limit is gone, the rest of the minute is left to the org's own users."""
    with Okta(users=12, deprovisioned=0, limit=20) as okta:
        found, failure, _ = collected(mfa, enter(okta))
        assert failure is None
        assert len(found) == 12
        assert any("left to the org's users" in reason for reason, _ in said_waits)
        assert all(0 < wait <= 62 for wait in clock.waits)


def test_cancelled_while_waiting(run):
    """The wish to stop ends a wait at once."""
    stop = threading.Event()
    tenant_run = replace(run, cancelled=stop, waiting=lambda *_: stop.set())
    with Okta(users=10) as okta:
        okta.faults.append(Fault(USERS, limited(*in_seconds(60))))
        tenant = Tenant(tenant_run, okta.url, {"authorizationMode": "SSWS", "token": okta.token})
        began = time.monotonic()
        with pytest.raises(Cancelled):
            list(lifecycle(tenant))
        tenant.close()
        assert time.monotonic() - began < 5


def test_cancelled_while_asking(run):
    """The wish to stop does not wait for an answer that hangs."""
    stop = threading.Event()
    with Okta(users=10) as okta:
        okta.faults.append(Fault(USERS, Answer(hang=3)))
        tenant = Tenant(replace(run, cancelled=stop), okta.url, {"authorizationMode": "SSWS", "token": okta.token})
        threading.Timer(0.1, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            list(lifecycle(tenant))
        tenant.close()
        assert time.monotonic() - began < 2.5


def test_closed_while_asking(enter):
    """Closing ends the reads that are under way, and opens nothing again."""
    with Okta(users=10) as okta, ThreadPoolExecutor(1) as pool:
        okta.faults.append(Fault(USERS, Answer(hang=3)))
        tenant = enter(okta)
        reading = pool.submit(lambda: list(lifecycle(tenant)))
        while not okta.calls:
            time.sleep(0.01)
        tenant.close()
        with pytest.raises(Cancelled):
            reading.result(2)
        with pytest.raises(Cancelled):
            list(policy(tenant))
        assert "okta" not in {thread.name for thread in threading.enumerate()}


# ── What is refused, and how ───────────────────────────────────────────────────────────────────────────────────────


def test_one_user_denied(enter):
    """Factors that one user's role hides are a gap of that user; the others have their records."""
    with Okta(users=30) as okta:
        person = okta.people[4]["id"]
        okta.faults.append(Fault(f"{USERS}/{person}/factors", said(403, "E0000006", "You do not have permission")))
        okta.faults.append(Fault(f"{USERS}/{okta.people[5]['id']}/factors", said(404, "E0000007", "Not found")))
        found, failure, _ = collected(mfa, enter(okta))
        (gap,) = [item for item in found if isinstance(item, Gap)]
        assert failure is None
        assert (gap.kind, gap.resource, gap.permission) == ("denied", f"user {person}", "okta.users.read")
        assert len(found) == 29


def test_user_without_an_id(enter):
    """A user who comes without an id is a gap, and nobody else's factors are read."""
    with Okta(users=3, deprovisioned=0) as okta:
        okta.people[2]["id"] = None
        found, failure, _ = collected(mfa, enter(okta))
        assert failure is None
        assert [getattr(item, "kind", None) for item in found] == [None, None, "invalid"]
        assert len(okta.asked(FACTORS)) == 2


def test_administrators_come_first(enter):
    """Who has an admin role is read first, and said to have one; without knowing them, the list's order holds."""
    with Okta(users=50) as okta:
        okta.people[:] = okta.people[::-1]  # the admins are the last to be listed
        okta.places = {person["id"]: place for place, person in enumerate(okta.people)}
        okta.admin_ids = [okta.people[-1]["id"], okta.people[-9]["id"]]
        found, failure, _ = collected(mfa, enter(okta))
        assert failure is None
        assert [user.admin for user in found] == [True] * 2 + [False] * 48
        okta.faults.append(Fault("/api/v1/iam/assignees/users", said(403, "E0000006", "You do not have permission")))
        (gap, *found), failure, _ = collected(mfa, enter(okta))
        assert (gap.kind, gap.permission) == ("denied", "okta.roles.read")
        assert {user.admin for user in found} == {None}


class Kept(dict):
    """What a run that was cut short had read."""

    put = dict.__setitem__


def test_factors_are_gone_on_with_after_a_restart(run):
    """A run that was cut short is gone on with: whose factors were read is not asked again, and as of when is kept."""
    kept = Kept()
    with Okta(users=300) as okta:
        okta.faults.append(Fault(FACTORS, Answer(500), on=101))
        tenant = Tenant(replace(run, unfinished=kept), okta.url, {"authorizationMode": "SSWS", "token": okta.token})
        collected(mfa, tenant)
        tenant.close()
        read = len(kept)
        assert 90 <= read <= 100
        okta.faults.clear()
        okta.calls.clear()
        for told in kept.values():
            told["as_of"] = "2026-04-15T09:00:00Z"
        tenant = Tenant(replace(run, unfinished=kept), okta.url, {"authorizationMode": "SSWS", "token": okta.token})
        found, failure, journal = collected(mfa, tenant)
        tenant.close()
    assert (failure, len(found), len(okta.asked(FACTORS))) == (None, 300, 300 - read)
    assert sum(user.as_of == "2026-04-15T09:00:00Z" for user in found) == read
    use = journal.uses["GET /api/v1/users/{userId}/factors"]
    assert (use.calls, use.reused) == (300 - read, read)
    assert "@" not in json.dumps(kept)


def test_silent_org(enter):
    """An org that stops answering is not asked for each of its users: the rest are gaps at once."""
    with Okta(users=200) as okta:
        okta.faults.append(Fault(FACTORS, Answer(500), on=20))
        found, failure, _ = collected(mfa, enter(okta))
        gaps = [item for item in found if isinstance(item, Gap)]
        assert failure is None
        assert len(found) == 200
        assert len(gaps) > 170
        assert "reads in a row had no good answer" in gaps[-1].message
        assert len(okta.asked(FACTORS)) < 80


def test_token_withdrawn(enter):
    """A token that is revoked midway is not tried on for the rest."""
    with Okta(users=200) as okta:
        okta.faults.append(Fault(FACTORS, said(401, "E0000011", "Invalid token provided"), on=20))
        found, _, _ = collected(mfa, enter(okta))
        assert {gap.kind for gap in found if isinstance(gap, Gap)} == {"unauthenticated"}
        assert len(okta.asked(FACTORS)) < 50


@pytest.mark.parametrize(
    ("answer", "identity_engine", "kind"),
    [
        (said(403, "E0000015", "You do not have permission to access the feature"), False, NotEnabled),
        (said(400, "E0000001", "The request was not valid: Invalid policy type specified."), True, NotEnabled),
        (said(404, "E0000007", "Not found: Resource not found"), True, NotEnabled),
        (said(404, "E0000007", "Not found: Resource not found"), False, NotFound),
        (said(400, "E0000001", "Api validation failed"), False, Unavailable),
    ],
)
def test_kinds_of_absence(enter, answer, identity_engine, kind):
    """Not on this edition, not there, and not understood are different."""
    with Okta(users=0) as okta:
        okta.faults.append(Fault("/api/v1/authenticators", answer))
        pages = enter(okta).pages(
            "GET /api/v1/authenticators", {}, permission="okta.authenticators.read", identity_engine=identity_engine
        )
        with pytest.raises(kind, match=json.loads(answer.body)["errorCode"]):
            list(pages)


def test_password_policies(enter):
    """Each password policy comes with its rules and what Okta says of it, new settings too."""
    with Okta(users=0) as okta:
        okta.policies[0]["settings"]["password"]["breachedProtection"] = {"logoutEnabled": True}
        found, failure, journal = collected(policy, enter(okta))
        assert failure is None
        assert [(record.name, record.min_length, record.history_count) for record in found] == [
            ("Engineers", 14, 24),
            ("Default Policy", 8, 24),
        ]
        assert found[0].settings["breachedProtection"] == {"logoutEnabled": True}
        assert found[0].rules[0].unlock == "DENY"
        assert {use.permission for use in journal.uses.values()} == {"okta.policies.read"}


# ── Signing in ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def key():
    return JWK.generate(kty="RSA", size=2048, kid="acme-1")


def public(key):
    return key.export_to_pem(private_key=False).decode()


@pytest.fixture
def connect(run, tmp_path):
    """A tenant by the settings of a configuration; secrets come as text."""
    tenants = []

    def connect(okta, *, token=None, key=None, **settings):
        for name, text in (("token_file", token), ("private_key_file", key)):
            if text is not None:
                (tmp_path / name).write_text(text)
                settings[name] = tmp_path / name
        tenants.extend(SOURCE.connect(Settings(org_url=okta.url, **settings), run))
        return tenants[-1]

    yield connect
    for tenant in tenants:
        tenant.close()


def test_api_token(connect):
    """An API token goes out as Okta documents it, and its owner's login is the identity, asked for once."""
    with Okta(users=1) as okta:
        tenant = connect(okta, token=okta.token + "\n")
        assert tenant.identity() == tenant.identity() == "ada.abara0@acme.example"
        assert [call.headers["Authorization"] for call in okta.calls] == [f"SSWS {okta.token}"]


@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_service_app(connect, key, form):
    """A service app signs in by its private key, PEM or JWK, and asks for one token for many reads."""
    text = key.export_to_pem(private_key=True, password=None).decode() if form == "pem" else key.export()
    with Okta(users=450, keys={"0oa1": public(key)}) as okta:
        tenant = connect(okta, client_id="0oa1", key=text)
        found, failure, _ = collected(mfa, tenant)
        assert failure is None
        assert len(found) == 450
        assert tenant.identity() == "0oa1"
        assert len(okta.asked("/oauth2/v1/token")) == 1
        assert {call.headers["Authorization"].split()[0] for call in okta.asked(USERS)} == {"Bearer"}


def test_proof_of_possession(connect, key):
    """With dpop a token is asked for with a proof that holds the org's nonce, and each read proves who sends it."""
    with Okta(users=3, keys={"0oa1": public(key)}, dpop=True) as okta:
        found, failure, _ = collected(lifecycle, connect(okta, client_id="0oa1", key=key.export(), dpop=True))
        assert (failure, len(found)) == (None, 8)
        assert [call.status for call in okta.asked("/oauth2/v1/token")] == [400, 200]
        assert {call.headers["Authorization"].split()[0] for call in okta.asked(USERS)} == {"DPoP"}
        _, failure, _ = collected(lifecycle, connect(okta, client_id="0oa1", key=key.export()))
        assert isinstance(failure, Unauthenticated)
        assert "DPoP" in failure.message


def test_key_id(connect, key):
    """Where an app has several keys, its assertion names the one that it is signed with."""
    pem = key.export_to_pem(private_key=True, password=None).decode()
    with Okta(users=1, keys={"0oa1": public(key)}) as okta:
        for settings, named in (({"key": pem, "key_id": "acme-2"}, "acme-2"), ({"key": key.export()}, "acme-1")):
            collected(lifecycle, connect(okta, client_id="0oa1", **settings))
            assert okta.kids[-1] == named


def test_what_is_left_to_users(connect, clock, said_waits):
    """The share of the rate limit that is configured is left to the org's own users."""
    with Okta(users=700, limit=6) as okta:
        _, failure, _ = collected(lifecycle, connect(okta, token=okta.token, leave_to_users=0))
        assert (failure, said_waits) == (None, [])
        collected(lifecycle, connect(okta, token=okta.token, leave_to_users=0.9))
        assert "left to the org's users" in said_waits[0][0]


def test_token_renewed(connect, key):
    """A token is renewed before it runs out."""
    with Okta(users=450, keys={"0oa1": public(key)}, expires_in=61) as okta:
        tenant = connect(okta, client_id="0oa1", key=key.export())
        list(tenant.pages("GET /api/v1/policies", {"type": "PASSWORD"}, permission="okta.policies.read"))
        time.sleep(1.1)
        _, failure, _ = collected(lifecycle, tenant)
        assert failure is None
        assert len(okta.asked("/oauth2/v1/token")) >= 2


def test_scope_missing(connect, key):
    """A scope that the app was not granted is named where it is needed, and what the others allow is read."""
    with Okta(users=3, keys={"0oa1": public(key)}, granted=("okta.policies.read", "okta.logs.read")) as okta:
        tenant = connect(okta, client_id="0oa1", key=key.export())
        found, failure, _ = collected(policy, tenant)
        assert (failure, len(found)) == (None, 2)
        _, failure, _ = collected(lifecycle, tenant)
        assert isinstance(failure, AccessDenied)
        assert failure.gap().remedy == "Grant okta.users.read."
        assert "required scopes" in failure.message


def test_no_scope_at_all(connect, key):
    """Where none of the scopes was granted, Okta's own words say so."""
    with Okta(users=3, keys={"0oa1": public(key)}, granted=()) as okta:
        for scopes in (["okta.logs.read"], ["okta.logs.read", "okta.users.read"]):
            _, failure, _ = collected(lifecycle, connect(okta, client_id="0oa1", key=key.export(), scopes=scopes))
            assert isinstance(failure, AccessDenied)
            assert "invalid_scope" in failure.message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(401, b'{"error": "invalid_client", "error_description": "No such client"}'), Unauthenticated),
        (Answer(503), Unavailable),
        (Answer(200, b"{}"), Unavailable),
        (SIGN_IN_PAGE, Unavailable),
        (Answer(200, b'{"access_token"'), Unavailable),
        (limited(), Unavailable),
    ],
)
def test_no_token(connect, key, answer, kind):
    """Whatever the token endpoint answers instead of a token ends as one clear error."""
    with Okta(keys={"0oa1": public(key)}) as okta:
        okta.faults.append(Fault("/oauth2/v1/token", answer))
        _, failure, _ = collected(lifecycle, connect(okta, client_id="0oa1", key=key.export()))
        assert type(failure) is kind
        assert "/oauth2/v1/token" in str(failure)


@pytest.mark.parametrize("spoil", ["wrong key", "public", "nonsense", "half", "encrypted", "elliptic", "odd"])
def test_unusable_key(connect, key, spoil):
    """A private key that cannot sign for the app is Unauthenticated, and not quoted."""
    other = JWK.generate(kty="EC", crv="P-256")
    text = {
        "wrong key": JWK.generate(kty="RSA", size=2048).export(),
        "public": public(key),
        "nonsense": "hello",
        "half": json.dumps({**json.loads(key.export()), "p": "AQAB"}),
        "encrypted": key.export_to_pem(private_key=True, password=b"pw").decode(),
        "elliptic": other.export_to_pem(private_key=True, password=None).decode(),
        "odd": json.dumps({**json.loads(key.export()), "d": "A"}),
    }[spoil]
    with Okta(keys={"0oa1": public(key)}) as okta, pytest.raises(Unauthenticated) as failure:
        list(lifecycle(connect(okta, client_id="0oa1", key=text)))
    assert text[:30] not in str(failure.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"org_url": "http://acme.okta.com"}, "https://acme.okta.com"),
        ({"org_url": "https://acme-admin.okta.com"}, "https://acme.okta.com"),
        ({"org_url": "https://acme.okta.com/api/v1"}, "scheme and host only"),
        ({"org_url": "acme.okta.com"}, "as in https://acme.okta.com"),
        ({"org_url": "https://acme.okta.com:x"}, "Port"),
        ({"org_url": "https://a:b@acme.okta.com"}, "scheme and host only"),
        ({"token_file": "t", "client_id": "0oa1"}, "not both"),
        ({"private_key_file": "k"}, "needs client_id"),
        ({"scopes": ["okta.users.read"]}, "an API token has none"),
        ({"token": "00secret"}, "Extra inputs"),
    ],
)
def test_settings_refused(settings, words):
    """Settings that cannot be meant are refused with what to write instead."""
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate({"org_url": "https://acme.okta.com", **settings})


def test_settings_accepted():
    """A trailing slash is no path, and `-admin` elsewhere in a host is no admin console."""
    assert Settings(org_url="https://Acme.okta.com/").org_url == "https://acme.okta.com"
    assert Settings(org_url="https://acme.okta.com:443").org_url == "https://acme.okta.com"
    assert Settings(org_url="http://127.0.0.1:8081").org_url == "http://127.0.0.1:8081"
    assert Settings(org_url="http://[::1]:8081").org_url == "http://[::1]:8081"
    assert Settings(org_url="https://my-admins.example.com").org_url == "https://my-admins.example.com"


def test_no_secret(run, monkeypatch):
    """Without any token, connecting says where one may be put."""
    monkeypatch.delenv("OKTA_TOKEN", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(Unauthenticated, match="OKTA_TOKEN"):
        list(SOURCE.connect(Settings(org_url="https://acme.okta.com"), run))


def test_okta_yaml_has_no_effect(enter, tmp_path, monkeypatch):
    """An okta.yaml in the working directory and OKTA_CLIENT_* change nothing."""
    wrong = (
        "okta:\n  client:\n    orgUrl: https://evil.example\n    token: evil\n    proxy: {host: 127.0.0.1, port: 9}\n"
    )
    (tmp_path / "okta.yaml").write_text(wrong)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OKTA_CLIENT_ORGURL", "https://evil.example")
    monkeypatch.setenv("OKTA_CLIENT_TOKEN", "evil")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Okta(users=5) as okta:
        found, failure, _ = collected(lifecycle, enter(okta))
        assert failure is None
        assert len(found) == 10


def test_token_is_not_logged(connect, key, caplog):
    """At DEBUG, through good reads and bad ones, neither token nor key nor assertion is logged."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("okta-sdk-python").setLevel(logging.DEBUG)
    with Okta(users=5, keys={"0oa1": public(key)}) as okta:
        collected(lifecycle, connect(okta, token=okta.token))
        collected(lifecycle, connect(okta, client_id="0oa1", key=key.export()))
        okta.faults.append(Fault(".*", Answer(500)))
        collected(lifecycle, connect(okta, token=okta.token))
        collected(policy, connect(okta, client_id="0oa1", key=key.export()))
        assert okta.token not in caplog.text
        assert "eyJ" not in caplog.text
        assert key.export(as_dict=True)["d"] not in caplog.text


def test_sdk_is_imported_late():
    """Importing the source imports no SDK, and a read imports neither the typed client nor more models than `okta`."""
    script = """
import sys, threading
from datetime import UTC, datetime
from collectors.contract import Run
from collectors.registry import evidence_types
evidence_types("okta")
assert not {"okta", "aiohttp"} & set(sys.modules), "imported early"
from collectors.okta.targets import Tenant
import okta
models = {name for name in sys.modules if name.startswith("okta.models")}
run = Run("okta", datetime.now(UTC), None, 1, threading.Event())
tenant = Tenant(run, sys.argv[1], {"authorizationMode": "SSWS", "token": sys.argv[2]})
print(tenant.identity())
assert next(evidence_types("okta")[0](tenant))
tenant.close()
after = {name for name in sys.modules if name.startswith(("okta.models", "okta.client", "okta.api."))}
assert after == models, after - models
assert threading.active_count() == 1
"""
    with Okta(users=5) as okta:
        arguments = [sys.executable, "-W", "error", "-X", "dev", "-c", script, okta.url, okta.token]
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "ada.abara0@acme.example\n"


def test_probe_is_lazy(enter, run):
    """Without a pool, the first record costs two pages and one read: access is probed without reading the org."""
    with Okta(users=1000) as okta:
        tenant = Tenant(replace(run, pool=None), okta.url, {"authorizationMode": "SSWS", "token": okta.token})
        assert next(mfa(tenant))
        tenant.close()
        assert len(okta.calls) == 3


def test_grants():
    """The least privilege is the scopes that the types declare, and a role that can read."""
    assert SOURCE.grants([lifecycle, mfa, policy]) == {
        "scopes": ["okta.policies.read", "okta.roles.read", "okta.users.read"],
        "admin_role": "Read-only Administrator",
        "custom_role_permissions": ["okta.iam.read"],
    }
    assert SOURCE.grants([lifecycle]) == {"scopes": ["okta.users.read"], "admin_role": "Read-only Administrator"}
