"""One item and what becomes of it: what its control says where neither the answer nor its key can tell."""

import asyncio
import json
import time
from collections import Counter

import httpx
import pytest
from agent_fixtures import NOW, Delivery, made
from loopback import Answer, serving

from agent.errors import NoAnswer, TokenUnusable, UnreadableAnswer, kind_of
from agent.items import Accept, Defer, Item, Kin, Reject
from agent.items import Answer as Answered
from agent.lookup import Absent, Found, Untold, find
from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.submit import Limits
from agent.verdict import certainly_not_taken, health, needs_another_key

POST, GET = "POST /v1/evidence", "GET /v1/controls/ctrl_ac_02"


@pytest.fixture
def sandbox():
    with running(Options(rate=1000)) as sandbox:
        yield sandbox


def _submit(sandbox, piece, key):
    """The piece arrives, and nobody here knows."""
    headers = {"Authorization": f"Bearer {sandbox.write}", "Idempotency-Key": key}
    assert httpx.post(f"{sandbox.url}/evidence", content=piece.body, headers=headers).status_code == 201


def _unsure(delivery, *pieces, since=NOW, token=None):
    """Items that were sent then, and whose answer never came."""
    ids = delivery.put(*pieces)
    delivery.outbox.claim(len(ids), now=since, token=token or delivery.token.fingerprint)
    delivery.outbox.reclaim()
    assert {item.unsure_since for item in delivery.outbox.items() if item.id in ids} == {since}
    return ids


def _posts(sandbox):
    return sandbox.calls[POST]


# ── A key that the API may have forgotten ──────────────────────────────────────────────────────────────────────────


def test_what_arrived_is_not_sent_again(sandbox, delivery):
    """An item that was first sent longer ago than keys are remembered, and is at its control, is accepted as that."""
    (item_id,) = _unsure(delivery, made(1))
    _submit(sandbox, made(1), "a key that is forgotten by now")
    posts = _posts(sandbox)
    assert delivery.drain() == "delivered"
    assert _posts(sandbox) == posts
    (receipt,) = delivery.ledger.receipts(item_id)
    assert (receipt.evidence_id, receipt.created_at) == (sandbox.evidence[0].id, None)


def test_what_did_not_arrive_is_sent(sandbox, delivery):
    """The same item, where its control does not have it, is sent as it is, with its own key."""
    _unsure(delivery, made(1))
    assert delivery.drain() == "delivered"
    assert [item.idempotency_key for item in sandbox.evidence] == [made(1).key]


def test_a_control_that_is_not_there_has_nothing(sandbox, delivery):
    """Where the control itself is unknown the item cannot have arrived: it is sent, and refused in the API's words."""
    (item_id,) = _unsure(delivery, made(1, control_id="ctrl_zz_99"))
    assert delivery.drain() == "delivered"
    assert (delivery.outbox.item(item_id).status, delivery.outbox.item(item_id).state) == (404, "rejected")


def test_what_was_sent_lately_is_not_looked_up(sandbox, delivery):
    """While the API can be expected to know the key, it is the key that tells."""
    _unsure(delivery, made(1), since=time.time() - 3600)
    assert delivery.drain() == "delivered"
    assert not sandbox.calls[GET]


@pytest.mark.parametrize("hours", [21, -1])
def test_the_time_is_configured(store, sandbox, tmp_path, hours):
    """Keys count as known for as long as is told, and not where the clock says that they are of the future."""
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path, limits=Limits(keys_remembered=22 * 3600.0))
    _unsure(delivery, made(1), since=time.time() - hours * 3600)
    assert delivery.drain() == "delivered"
    assert bool(sandbox.calls[GET]) == (hours < 0)


def _crowd(sandbox, number=50):
    """So much other evidence at the control that an older piece is not shown any more."""
    for one in range(number):
        _submit(sandbox, made(100 + one), f"other {one}")


def test_nobody_can_tell(sandbox, delivery):
    """A control that shows too little leaves it open: the item is rejected as unknown, and a person decides."""
    (item_id,) = _unsure(delivery, made(1))
    _crowd(sandbox)
    posts = _posts(sandbox)
    assert delivery.drain() == "delivered"
    item = delivery.outbox.item(item_id)
    assert (item.state, item.code, item.unsure_since) == ("rejected", "outcome_unknown", NOW)
    assert "does not reach back" in item.reason
    delivery.outbox.retry([item_id], now=NOW)  # looked up once more
    assert delivery.drain() == "delivered"
    assert (delivery.outbox.item(item_id).state, _posts(sandbox)) == ("rejected", posts)
    delivery.outbox.retry([item_id], now=NOW, renewed=True)  # decided: it is sent
    assert delivery.drain() == "delivered"
    assert sandbox.evidence[-1].idempotency_key == f"{made(1).key}-1"


def test_our_own_receipts_tell_how_far_back_it_shows(sandbox, delivery):
    """Where the control still shows evidence that was accepted before the item was sent, its absence is certain."""
    _crowd(sandbox, 60)
    receipts = [
        Accept(item_id, seen.id, None, None)
        for item_id, seen in zip(delivery.put(*map(made, range(200, 260))), sandbox.evidence, strict=True)
    ]
    delivery.outbox.claim(60, now=NOW - 10)
    delivery.outbox.settle(receipts, now=NOW - 10)
    _unsure(delivery, made(1))
    assert delivery.drain() == "delivered"
    assert sandbox.evidence[-1].idempotency_key == made(1).key


def test_a_renewed_item_that_is_there_is_not_sent(sandbox, delivery):
    """Another key asked for by hand does not make a duplicate of what arrived."""
    (item_id,) = _unsure(delivery, made(1))
    delivery.outbox.claim(1, now=NOW)
    delivery.outbox.settle([Reject(item_id, Answered(None, "outcome_unknown", "", None), NOW)], now=NOW)
    _submit(sandbox, made(1), "before")
    delivery.outbox.retry([item_id], now=NOW, renewed=True)
    assert delivery.drain() == "delivered"
    assert len(sandbox.evidence) == 1


# ── Another token ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_may_be_known_by_the_token_that_it_came_with(sandbox, delivery):
    """What was last sent with another token is looked up first, and accepted as what is there."""
    _unsure(delivery, made(1), since=time.time() - 60, token="an older one")
    _submit(sandbox, made(1), "the same key, by that token")
    assert delivery.drain() == "delivered"
    assert (len(sandbox.evidence), sandbox.calls[GET]) == (1, 1)


def test_what_is_in_doubt_is_not_sent_with_a_new_token_at_once(store, tmp_path):
    """Where the old token is refused with it, and another one is there by then, it is looked up before that is used."""
    asked = []

    def respond(request):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        asked.append((request.method, token))
        if request.method == "GET":
            return Answer(200, CONTROL | {"evidence": [_shown("ev_1")]})
        (tmp_path / "token").write_text("new")
        return Answer(401, {"code": "invalid_token", "message": "revoked"})

    with serving(respond) as server:
        delivery = Delivery(store, server.url, "old", tmp_path)
        (item_id,) = _unsure(delivery, made(1), since=time.time() - 60)
        assert delivery.drain() == "held"
        assert delivery.drain() == "delivered"
    assert asked == [("POST", "old"), ("GET", "new")]
    (receipt,) = delivery.ledger.receipts(item_id)
    assert receipt.evidence_id == "ev_1"


# ── A look-up that fails ───────────────────────────────────────────────────────────────────────────────────────────


def _api(control, posts=(201, {"id": "ev_1", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"})):
    """An API that answers so; what it was asked is counted."""
    asked = Counter()

    def respond(request):
        asked[request.method] += 1
        status, body = control if request.method == "GET" else posts
        return Answer(status, body)

    return asked, respond


FORBIDDEN = (403, {"code": "insufficient_scope", "message": "scope read is needed"})
CONTROL = {"id": "ctrl_ac_02", "framework": "soc2", "code": "AC-02", "name": "Access", "status": "passing"}


def _shown(evidence_id, at="2026-04-15T09:14:22.001Z"):
    """A piece of evidence as its control shows it."""
    return {"id": evidence_id, "source": "aws", "collected_at": at}


def test_a_token_that_may_not_look(store, tmp_path):
    """A forgotten key that nobody may look up for is left to a person; nothing is sent, and nothing held."""
    asked, respond = _api(FORBIDDEN)
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path)
        (item_id,) = _unsure(delivery, made(1))
        assert delivery.drain() == "delivered"
        item = delivery.outbox.item(item_id)
    assert (item.state, item.code, asked["POST"]) == ("rejected", "outcome_unknown", 0)
    assert "may not read ctrl_ac_02" in item.reason
    assert delivery.outbox.hold() is None


def test_a_token_that_may_not_look_after_a_rotation(store, tmp_path):
    """Another token alone does not stop what cannot be looked up: keys are most likely known by workspace."""
    asked, respond = _api(FORBIDDEN)
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path)
        _unsure(delivery, made(1), since=time.time() - 60, token="an older one")
        assert delivery.drain() == "delivered"
    assert asked == {"GET": 1, "POST": 1}
    assert delivery.ledger.count() == 1


def test_a_control_that_cannot_be_read_now(store, tmp_path):
    """While the look-up has no answer the item is neither sent nor given up."""
    asked, respond = _api((503, {"code": "unavailable", "message": "degraded"}))
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path)
        (item_id,) = _unsure(delivery, made(1))
        assert delivery.drain(patience=1) == "unfinished"
    item = delivery.outbox.item(item_id)
    assert (item.state, item.status, item.unsure_since, asked["POST"]) == ("deferred", 503, NOW, 0)
    assert asked["GET"] >= 1


def test_a_token_that_is_refused_at_the_look_up(store, tmp_path):
    """A 401 holds everything, whatever was asked."""
    asked, respond = _api((401, {"code": "invalid_token", "message": "revoked"}))
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path)
        (item_id,) = _unsure(delivery, made(1))
        assert delivery.drain() == "held"
    item = delivery.outbox.item(item_id)
    assert (item.state, item.unsure_since, delivery.outbox.hold().status, asked["POST"]) == ("pending", NOW, 401, 0)


def test_a_token_that_may_only_look(store, tmp_path):
    """What a token may read does not lift the hold that it may not write."""
    empty = (200, CONTROL | {"evidence": []})
    asked, respond = _api(empty, posts=(403, {"code": "insufficient_scope", "message": "scope write is needed"}))
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path)
        _unsure(delivery, made(1))
        assert delivery.drain() == "held"
        since = delivery.outbox.hold().since
        assert delivery.drain() == "held"
    hold = delivery.outbox.hold()
    assert (hold.status, hold.since) == (403, since)
    assert asked == {"GET": 2, "POST": 2}


# ── A failure that is stored with the key ──────────────────────────────────────────────────────────────────────────

QUICK = Limits(failures=3, failing=0.0)


def test_a_stored_failure_gets_another_key(store, sandbox, tmp_path):
    """The same item failing again and again while others pass is not at its control: it is sent under another key."""
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path, limits=QUICK)
    sandbox.faults = ["stored-500:x1@ctrl_ac_03"]
    (stuck,) = delivery.put(made(0, control_id="ctrl_ac_03"))
    _deliver_until(delivery, lambda: delivery.ledger.receipts(stuck))
    keys = {item.idempotency_key for item in sandbox.evidence}
    key = f"{made(0, control_id='ctrl_ac_03').key}-1"
    assert key in keys
    assert len(keys) == len(sandbox.evidence)
    (receipt,) = delivery.ledger.receipts(stuck)
    assert (receipt.key, receipt.generation) == (key, 1)


def _poison(control):
    """An API where the first item always fails, and all others are accepted; its control shows `control`."""
    asked = Counter()

    def respond(request):
        asked[request.method] += 1
        if request.method == "GET":
            return Answer(200, CONTROL | {"evidence": control})
        number = json.loads(request.body)["payload"]["n"]
        if number == 0:
            return Answer(500, {"code": "server_error", "message": "boom"})
        return Answer(201, {"id": f"ev_{number}", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"})

    return asked, respond


CONTROL = {"id": "ctrl_ac_02", "framework": "soc2", "code": "CC6.1", "name": "Access", "status": "passing"}


def _deliver_until(delivery, holds):
    """Delivers until something holds, with other items that are accepted now and then."""

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        for number in range(1, 200):
            delivery.put(made(number))
            await asyncio.sleep(0.2)
            if holds():
                break
        deliverer.stop()
        await running

    delivery.run(deliver)
    assert holds()


def test_a_failure_that_hid_a_success(store, tmp_path):
    """An item that fails for ever and is at its control all the same was taken: it is accepted as that."""
    at = made(0).collected_at.isoformat()
    _, respond = _poison([{"id": "ev_0", "source": "aws", "status": None, "collected_at": at}])
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path, limits=QUICK)
        (stuck,) = delivery.put(made(0))
        _deliver_until(delivery, lambda: delivery.ledger.receipts(stuck))
    assert delivery.ledger.receipts(stuck)[0].evidence_id == "ev_0"


def test_poison_is_given_up_in_the_end(store, tmp_path):
    """An item that fails under each of its keys is rejected with the API's words."""
    _, respond = _poison([])
    with serving(respond) as server:
        limits = Limits(failures=1, failing=0.0, generations=2)
        delivery = Delivery(store, server.url, "t", tmp_path, limits=limits)
        (stuck,) = delivery.put(made(0))
        _deliver_until(delivery, lambda: delivery.outbox.item(stuck).state == "rejected")
    item = delivery.outbox.item(stuck)
    assert (item.state, item.status, item.generation, item.code) == ("rejected", 500, 2, "server_error")


def test_an_api_that_is_down_has_nothing_stored(store, sandbox, tmp_path):
    """Where nothing is accepted a failure says nothing of the item: nobody is looked up, and no key changes."""
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path, limits=QUICK)
    sandbox.faults = ["500@/v1/evidence"]
    delivery.put(*map(made, range(8)))
    assert delivery.drain(patience=4) == "unfinished"
    assert not sandbox.calls[GET]
    assert {item.generation for item in delivery.outbox.items()} == {0}


# ── Whether it may have arrived ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "unsure"),
    [("429", False), ("503", True), ("500", True), ("drop-before", True), ("cut-off", True), ("html-200", True)],
)
def test_what_may_have_arrived_is_remembered(store, sandbox, tmp_path, fault, unsure):
    """An answer that settles it leaves nothing to doubt; all others leave since when it is in doubt."""
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path)
    sandbox.faults = [f"{fault}@/v1/evidence"]
    (item_id,) = delivery.put(made(1))
    assert delivery.drain(patience=0) == "unfinished"
    assert (delivery.outbox.item(item_id).unsure_since is not None) == unsure


def test_what_was_never_sent_is_not_in_doubt(store, tmp_path):
    """Where no connection was made the API cannot have it; and a doubt from before stays."""
    delivery = Delivery(store, "http://127.0.0.1:9", "t", tmp_path)
    since = time.time() - 60
    (old,) = _unsure(delivery, made(2), since=since)
    (fresh,) = delivery.put(made(1))
    assert delivery.drain(patience=0) == "unfinished"
    assert (delivery.outbox.item(fresh).unsure_since, delivery.outbox.item(old).unsure_since) == (None, since)


@pytest.mark.parametrize(
    ("error", "certain", "api"),
    [
        (NoAnswer("refused", sent=False), True, "failed"),
        (NoAnswer("reset"), False, "failed"),
        (UnreadableAnswer("html", status=200, request_id=None, media="text/html"), False, "failed"),
        (TokenUnusable("no token"), True, "unknown"),
        *(
            (kind_of(status)("", status=status, code=code), certain, api)
            for status, code, certain, api in [
                (400, "bad", True, "taken"), (400, "", False, "failed"), (401, "bad", True, "answered"),
                (401, "", True, "unknown"), (403, "bad", True, "answered"), (404, "bad", True, "taken"),
                (404, "", False, "failed"), (408, "bad", False, "answered"), (408, "", False, "unknown"),
                (409, "clash", False, "taken"), (409, "in_progress", False, "taken"), (413, "", True, "failed"),
                (422, "bad", True, "taken"), (425, "", True, "unknown"), (429, "", True, "unknown"),
                (429, "slow", True, "answered"), (500, "x", False, "failed"), (503, "", False, "failed"),
            ]
        ),
    ],
)  # fmt: skip
def test_what_an_answer_says(error, certain, api):
    """Each answer says whether the API can have the item, and whether it is at work."""
    assert (certainly_not_taken(error), health(error)) == (certain, api)


# ── Items that look alike at their control ─────────────────────────────────────────────────────────────────────────


def _item(number, **changes):
    facts = dict.fromkeys(Item.__dataclass_fields__)
    return Item(**facts | {"id": number, "control_id": "c", "snapshot_id": "s", "unsure_since": NOW} | changes)


FEW, MANY = ["x", "ev_1", "ev_2"], [f"ev_{number}" for number in range(50)]


@pytest.mark.parametrize(
    ("alike", "listed", "kin", "finding"),
    [
        ([], [], Kin({}, {7: NOW}), Absent()),
        (["ev_1"], FEW, Kin({}, {7: NOW}), Found("ev_1")),
        (["ev_1"], FEW, Kin({"ev_1": NOW}, {7: NOW}), Absent()),
        (["ev_1", "ev_2"], FEW, Kin({"ev_1": NOW}, {7: NOW}), Found("ev_2")),
        (["ev_1", "ev_2"], FEW, Kin({}, {6: NOW, 7: NOW}), Found("ev_2")),
        (["ev_1", "ev_2"], FEW, Kin({}, {7: NOW, 8: NOW}), Found("ev_1")),
        (["ev_1", "ev_2", "x"], FEW, Kin({}, {7: NOW}), Found("ev_1")),
        (["ev_1"], FEW, Kin({}, {7: NOW, 8: NOW}), Untold("", passes=False)),
        (["ev_1"], FEW, Kin({}, {7: NOW, 8: NOW + 50}), Untold("", passes=True)),
        ([], MANY, Kin({}, {7: NOW}), Untold("", passes=False)),
        ([], MANY, Kin({"ev_3": NOW + 1}, {7: NOW}), Untold("", passes=False)),
        ([], MANY, Kin({"ev_3": NOW - 1}, {7: NOW}), Absent()),
    ],
)
def test_what_a_list_tells(alike, listed, kin, finding):
    """Item 7 is there, is not, or cannot be told from another; keys of after NOW + 40 are still known."""
    found = find(_item(7), alike, listed, kin, remembered=NOW + 40)
    assert type(found) is type(finding)
    if isinstance(found, Untold):
        assert (found.passes, bool(found.reason)) == (finding.passes, True)
    else:
        assert found == finding


def test_two_parts_that_both_arrived(sandbox, delivery):
    """Each part of a snapshot gets evidence of its own, and none is sent again."""
    parts = [made(1, part=part, parts=2, x=part) for part in (1, 2)]
    for number, part in enumerate(parts):
        _submit(sandbox, part, f"before {number}")
    _unsure(delivery, *parts)
    assert delivery.drain() == "delivered"
    assert len(sandbox.evidence) == 2
    receipts = delivery.ledger.receipts()
    assert {receipt.evidence_id for receipt in receipts} == {seen.id for seen in sandbox.evidence}


def test_a_part_that_was_discarded_is_not_taken_for_another(sandbox, delivery):
    """Of two parts in doubt one is there. Who looked discards that one, and the other is sent."""
    parts = [made(1, part=part, parts=2, x=part) for part in (1, 2)]
    there, absent = _unsure(delivery, *parts)
    _submit(sandbox, parts[0], "before")
    assert delivery.drain() == "delivered"
    assert {item.code for item in delivery.outbox.items()} == {"outcome_unknown"}
    delivery.outbox.discard(there)
    delivery.outbox.retry([absent], now=NOW, renewed=True)
    assert delivery.drain() == "delivered"
    assert [item.body for item in sandbox.evidence] == [part.body for part in parts]
    (receipt,) = delivery.ledger.receipts(absent)
    assert receipt.evidence_id == sandbox.evidence[1].id


@pytest.mark.parametrize(("shown", "posts"), [(["ev_1", "ev_2"], 0), (["ev_1"], 0), ([], 2)])
def test_a_control_that_shows_seconds(store, tmp_path, shown, posts):
    """All that was collected in a second looks alike then: what may be there is not sent as if it certainly was not."""
    evidence = [_shown(evidence_id, "2026-04-15T09:14:22Z") for evidence_id in shown]
    asked, respond = _api((200, CONTROL | {"evidence": evidence}))
    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path)
        ids = _unsure(delivery, made(1), made(2))
        assert delivery.drain() == "delivered"
    assert asked["POST"] == posts
    taken = [receipt.evidence_id for item_id in ids for receipt in delivery.ledger.receipts(item_id)]
    if len(shown) == 1:  # it may be either
        assert (taken, {item.code for item in delivery.outbox.items()}) == ([], {"outcome_unknown"})
    elif shown:
        assert taken == shown


# ── By hand ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"state": "rejected", "status": 409, "code": "clash"}, True),
        ({"state": "rejected", "status": 422, "code": "bad"}, False),
        ({"state": "rejected", "status": 422, "code": "bad", "refused_as": "422 bad"}, True),
        ({"state": "rejected", "status": 422, "code": "bad", "refused_as": "404 not_found"}, False),
        ({"state": "rejected", "status": None, "code": "outcome_unknown", "refused_as": " outcome_unknown"}, False),
        ({"state": "deferred", "status": 409, "code": "in_progress"}, False),
    ],
)
def test_when_another_key_is_needed(changes, needs):
    """A key under which the API has another body, or its old answer, is of no more use; others are kept."""
    assert bool(needs_another_key(_item(1, **changes))) == needs


def test_what_it_was_refused_as_is_remembered(delivery, sandbox):
    """A rejection that comes again after a retry is known as the same."""
    (item_id,) = delivery.put(made(1, control_id="ctrl_zz_99"))
    for expected in (False, True):
        assert delivery.drain() == "delivered"
        assert bool(needs_another_key(delivery.outbox.item(item_id))) == expected
        delivery.outbox.retry([item_id], now=NOW)


def test_an_answer_in_between(delivery):
    """Failures count in a row: an answer that is none starts them anew, and silence changes nothing."""
    (item_id,) = delivery.put(made(1))
    told = []
    for status in (500, None, 503, 409, 500):
        delivery.outbox.claim(1, now=NOW)
        delivery.outbox.settle([Defer(item_id, Answered(status, None, "", None), NOW)], now=NOW + len(told))
        item = delivery.outbox.item(item_id)
        told.append((item.failures, item.failing_since))
    assert told == [(1, NOW), (1, NOW), (2, NOW), (0, None), (1, NOW + 4)]
