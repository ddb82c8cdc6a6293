import asyncio
import json
import random
import sqlite3
import time
from contextlib import contextmanager

import pytest
from agent_fixtures import NOW, Delivery, made
from loopback import Answer, serving

from agent.errors import ApiError, NoAnswer, TokenUnusable, UnreadableAnswer, kind_of
from agent.items import Accept, Defer, Reject, Release
from agent.items import Answer as Answered
from agent.sandbox.options import Options
from agent.sandbox.server import running
from agent.store import DATABASE, StateUnusable, Store
from agent.verdict import judge

RECEIPT = {"id": "ev_1", "status": "accepted", "created_at": "2026-04-15T09:14:23Z"}


@pytest.fixture
def sandbox():
    with running(Options(rate=1000)) as sandbox:
        yield sandbox


def _keys(sandbox):
    return sorted(item.idempotency_key for item in sandbox.evidence)


def _arrived_once(sandbox, delivery, pieces):
    """Each piece is at the API once, to the byte, and has its receipt; the outbox owes nothing."""
    assert _keys(sandbox) == sorted(piece.key for piece in pieces)
    assert sorted(item.body for item in sandbox.evidence) == sorted(piece.body for piece in pieces)
    receipts = delivery.ledger.receipts(limit=1000)
    assert sorted(receipt.evidence_id for receipt in receipts) == sorted(item.id for item in sandbox.evidence)
    return delivery.outbox.owed() == 0


# ── What an answer means ───────────────────────────────────────────────────────────────────────────────────────────


def _error(status, code="validation_error"):
    return kind_of(status)("text that says progress, token and duplicate", status=status, code=code)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, "reject"), (401, "hold"), (402, "reject"), (403, "hold"), (404, "reject"), (405, "reject"),
        (406, "reject"), (408, "defer"), (409, "look_up"), (410, "reject"), (411, "reject"), (413, "reject"),
        (415, "reject"), (418, "reject"), (421, "reject"), (422, "reject"), (423, "reject"), (425, "defer"),
        (429, "defer"), (431, "reject"), (451, "reject"), (500, "defer"), (501, "defer"), (502, "defer"),
        (503, "defer"), (504, "defer"), (505, "defer"), (511, "defer"), (520, "defer"), (599, "defer"),
    ],
)  # fmt: skip
def test_the_status_decides(status, verdict):
    """Each status, documented or not, means one thing, whatever its text says."""
    assert judge(_error(status)) == verdict


@pytest.mark.parametrize("code", ["idempotency_key_in_progress", "in_progress", "request_in_progress"])
def test_the_code_of_a_conflict_decides(code):
    """A request that still runs is waited for; any other conflict is looked up."""
    assert judge(_error(409, code)) == "defer"
    assert judge(_error(409, "duplicate")) == "look_up"


@pytest.mark.parametrize(("status", "verdict"), [(400, "defer"), (404, "defer"), (409, "defer"), (413, "reject")])
def test_a_refusal_in_other_words_than_the_api_s(status, verdict):
    """A refusal without the API's error body came from somebody in between: it rejects only what is too large."""
    assert judge(ApiError("", status=status, code="")) == verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (NoAnswer("reset"), "defer"),
        (UnreadableAnswer("html", status=200, request_id=None, media="text/html"), "defer"),
        (UnreadableAnswer("redirect", status=302, request_id=None, media=""), "defer"),
        (TokenUnusable("no token"), "hold"),
    ],
)
def test_no_answer_says_nothing_of_the_item(error, verdict):
    """Without an answer the item is tried again, without a token nothing is sent."""
    assert judge(error) == verdict


# ── Faults that pass ───────────────────────────────────────────────────────────────────────────────────────────────


FAULTS = (
    "drop-before", "drop-after", "cut-off", "500", "500-after", "503", "html-200", "409-in-progress", "slow:50ms",
)  # fmt: skip
CONTROLS = [f"ctrl_ac_{number:02}" for number in range(2, 11)]


def test_faults_that_pass(sandbox, delivery):
    """Whatever goes wrong on the way, each item is accepted exactly once."""
    sandbox.faults = [f"{fault}:x2@{control}" for fault, control in zip(FAULTS, CONTROLS, strict=True)]
    pieces = [made(number, control_id=control) for number in range(2) for control in CONTROLS]
    delivery.put(*pieces)
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)
    assert set(sandbox.struck) == {fault.partition(":")[0] for fault in FAULTS}


@pytest.mark.parametrize(
    "fault",
    [
        "429:retry-after=seconds", "429:retry-after=0.35", "429:retry-after=date", "429:retry-after=none",
        "429:retry-after=negative", "429:retry-after=past", "503:retry-after=seconds", "503:retry-after=past",
    ],
)  # fmt: skip
def test_a_wait_that_is_asked_for(sandbox, delivery, fault):
    """However the API asks to wait, it is understood, and each item is accepted exactly once."""
    sandbox.faults = [f"{fault}:x1"]
    pieces = [made(number) for number in range(3)]
    delivery.put(*pieces)
    started = time.monotonic()
    assert delivery.drain() == "delivered"
    asked = {"seconds": 0.5, "0.35": 0.35}.get(fault.partition("=")[2], 0)
    assert asked <= time.monotonic() - started < 5
    assert _arrived_once(sandbox, delivery, pieces)
    assert sum(sandbox.struck.values()) == 1


def test_all_at_once(sandbox, delivery):
    """With one request in three going wrong in some way, a hundred items are accepted exactly once each."""
    sandbox.faults = [
        f"{kind}:0.05" for kind in ("drop-before", "drop-after", "cut-off", "500", "500-after", "html-200")
    ]
    pieces = [made(number) for number in range(100)]
    delivery.put(*pieces)
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)


def test_the_limit_of_the_api_is_kept(store, sandbox, tmp_path):
    """A deliverer that knows nothing yet learns the API's limit as it goes, and hardly ever goes over it."""
    sandbox.rate = 25
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path, cold=True)
    pieces = [made(number) for number in range(40)]
    delivery.put(*pieces)
    started = time.monotonic()
    assert delivery.drain() == "delivered"
    assert time.monotonic() - started < 4
    assert _arrived_once(sandbox, delivery, pieces)
    assert sandbox.statuses[429] <= 1


def test_a_slow_answer_is_waited_for_and_not_longer(store, sandbox, tmp_path):
    """An answer that takes longer than the timeout is no answer: the item goes again, and is there once."""
    sandbox.faults = ["slow:1s:x1"]
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path, timeout=0.3)
    piece = made(1)
    delivery.put(piece)
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, [piece])


# ── Faults that stay ───────────────────────────────────────────────────────────────────────────────────────────────


def test_poison_items_hold_up_no_other(sandbox, delivery):
    """Items that never get an answer stay deferred and say why, while the others are accepted."""
    kinds = ["500", "drop-before", "drop-after", "cut-off", "html-200", "stored-500", "503"]
    sandbox.faults = [f"{kind}@{control}" for kind, control in zip(kinds, CONTROLS[1:], strict=False)]
    poison = [made(0, control_id=control) for control in CONTROLS[1 : len(kinds) + 1]]
    ids = delivery.put(*poison)
    delivery.put(*(made(number) for number in range(1, 20)))
    assert delivery.drain(patience=1) == "unfinished"
    assert delivery.states == {"deferred": len(kinds)}
    for item_id, piece in zip(ids, poison, strict=True):
        item = delivery.outbox.item(item_id)
        assert item.attempts >= 1
        assert item.reason
        assert delivery.outbox.body(item_id) == piece.body
    assert delivery.ledger.count() == 19


def test_nobody_is_there(store, tmp_path):
    """Where nothing listens everything stays, says so, and the attempt ends in time."""
    delivery = Delivery(store, "http://127.0.0.1:9/v1", "t", tmp_path)
    delivery.put(*map(made, range(5)))
    started = time.monotonic()
    assert delivery.drain(patience=1) == "unfinished"
    assert time.monotonic() - started < 4
    assert delivery.outbox.owed() == 5
    assert "no answer from 127.0.0.1" in next(delivery.outbox.items(["deferred"])).reason


@pytest.mark.parametrize("wait", ["absurd", "3600"])
def test_patience_ends_a_long_pause(sandbox, delivery, wait):
    """An API that asks for an hour's rest is obeyed, and whoever waits for delivery is not kept for an hour."""
    sandbox.faults = [f"429:retry-after={wait}"]
    delivery.put(*map(made, range(10)))
    started = time.monotonic()
    assert delivery.drain(patience=1) == "unfinished"
    assert time.monotonic() - started < 4
    assert sandbox.statuses[429] <= 4  # those under way at once
    assert delivery.outbox.owed() == 10
    assert delivery.states.get("in_flight", 0) == 0
    assert max(item.due for item in delivery.outbox.items()) > time.time() + 3500


# ── Refusals ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_control(sandbox, delivery):
    """Evidence for a control that is not there is rejected with the API's words, and the rest is accepted."""
    (stray,) = delivery.put(made(0, control_id="ctrl_nowhere"))
    pieces = [made(1), made(2)]
    delivery.put(*pieces)
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)
    item = delivery.outbox.item(stray)
    assert (item.state, item.status, item.code) == ("rejected", 404, "not_found")
    assert "ctrl_nowhere" in item.reason
    assert item.request_id in item.reason


def test_too_large(sandbox, delivery):
    """A payload over the API's limit is rejected, kept, and says so."""
    (large,) = delivery.put(made(1, text="x" * 1_000_001))
    assert delivery.drain() == "delivered"
    item = delivery.outbox.item(large)
    assert (item.state, item.code) == ("rejected", "payload_too_large")
    assert delivery.outbox.body(large)


def test_a_damaged_body_is_never_sent(store, sandbox, delivery):
    """A body that no longer has its digest is told as lost without being sent, and the rest is accepted."""
    (damaged,) = delivery.put(made(0))
    pieces = [made(1), made(2)]
    delivery.put(*pieces)
    connection = sqlite3.connect(store.directory / DATABASE)
    connection.execute("UPDATE body SET content = x'00' WHERE id = ?", (damaged,))
    connection.commit()
    connection.close()
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)
    assert list(delivery.outbox.items()) == []
    (loss,) = delivery.outbox.losses()
    assert (loss.first_item, loss.items, loss.control_id, loss.evidence_type) == (
        damaged,
        1,
        made(0).control_id,
        "aws_s3_bucket_encryption",
    )
    assert "digest" in loss.reason


# ── Conflicts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _submitted(sandbox, piece, key):
    """Somebody sends the body under a key before us."""
    import httpx

    headers = {"Authorization": f"Bearer {sandbox.write}", "Idempotency-Key": key}
    assert httpx.post(f"{sandbox.url}/evidence", content=piece.body, headers=headers).status_code == 201


def test_a_clash_with_another_s_evidence(sandbox, delivery):
    """A key that was used for something else is a rejection, since the control does not have the evidence."""
    _submitted(sandbox, made(2), made(1).key)
    (clash,) = delivery.put(made(1))
    assert delivery.drain() == "delivered"
    item = delivery.outbox.item(clash)
    assert (item.state, item.status, item.code) == ("rejected", 409, "idempotency_key_reused")


def test_a_clash_with_our_own_evidence(sandbox, delivery):
    """A conflict over evidence that the control has is an acceptance, with the id that the control tells."""
    taken = made(1, seen="before")
    _submitted(sandbox, taken, made(1).key)
    (ours,) = delivery.put(made(1))
    assert delivery.drain() == "delivered"
    (receipt,) = delivery.ledger.receipts(ours)
    assert (receipt.evidence_id, receipt.created_at) == (sandbox.evidence[0].id, None)


def test_a_part_is_not_taken_for_another(sandbox, delivery):
    """Of two parts that look alike at the control, one being there does not make the other accepted."""
    parts = [made(1, part=1, parts=2), made(1, part=2, parts=2, n2=2)]
    _submitted(sandbox, made(3), parts[1].key)
    ids = delivery.put(*parts)
    assert delivery.drain() == "delivered"
    assert [receipt.id for receipt in delivery.ledger.receipts()] == [ids[0]]
    assert delivery.outbox.item(ids[1]).state == "rejected"


def test_a_request_that_is_said_to_run_for_ever(sandbox, delivery):
    """An item whose request never ends is owed for ever, and taken as accepted once the control has it."""
    sandbox.faults = ["409-in-progress@/v1/evidence"]
    (stuck,) = delivery.put(made(1))
    for _ in range(5):
        delivery.outbox.claim(1, now=NOW)
        delivery.outbox.settle([Defer(stuck, Answered(409, "in_progress", "it still runs", None), NOW)], now=NOW)
    assert delivery.drain(patience=1) == "unfinished"
    assert delivery.outbox.owed() == 1
    sandbox.faults = []
    _submitted(sandbox, made(1), "another key")
    sandbox.faults = ["409-in-progress@/v1/evidence"]
    delivery.outbox.retry([stuck], now=NOW)
    assert delivery.drain(patience=1) == "delivered"
    assert delivery.ledger.receipts()[0].evidence_id == sandbox.evidence[0].id


# ── Holds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revoked_token_holds_everything(sandbox, delivery):
    """A token that is refused holds the outbox: nothing is lost, rejected or counted, and little is asked."""
    sandbox.revoke(sandbox.write)
    delivery.put(*map(made, range(20)))
    assert delivery.drain() == "held"
    assert delivery.states == {"pending": 20}
    assert {item.attempts for item in delivery.outbox.items()} == {0}
    assert delivery.outbox.hold().status == 401
    assert 1 <= sandbox.statuses[401] <= 4


def test_a_new_token_releases(sandbox, delivery):
    """Once the token's file holds a good one, the next delivery lifts the hold and sends everything."""
    pieces = [made(number) for number in range(5)]
    sandbox.revoke(sandbox.write)
    delivery.put(*pieces)
    assert delivery.drain() == "held"
    delivery.token_file.write_text(sandbox.issue("write"))
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)
    assert delivery.outbox.hold() is None


def test_a_token_that_is_replaced_meanwhile(sandbox, delivery):
    """A running deliverer takes a new token by itself where the old one is refused, and the hold is never seen."""
    pieces = [made(number) for number in range(30)]
    delivery.put(*pieces)

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: delivery.ledger.count() >= 3)
        delivery.token_file.write_text(sandbox.issue("write"))
        sandbox.revoke(sandbox.write)
        await _until(lambda: delivery.ledger.count() == 30)
        deliverer.stop()
        await running

    delivery.run(deliver)
    assert _arrived_once(sandbox, delivery, pieces)
    assert delivery.outbox.hold() is None


def test_a_probe_at_once(sandbox, delivery):
    """A held deliverer that is told of a new token does not wait for its next probe."""
    sandbox.revoke(sandbox.write)
    delivery.put(made(1))

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: delivery.outbox.hold() is not None)
        delivery.token_file.write_text(sandbox.issue("write"))
        started = time.monotonic()
        deliverer.probe()
        await _until(lambda: delivery.ledger.count() == 1)
        assert time.monotonic() - started < 3
        deliverer.stop()
        await running

    delivery.run(deliver)


def test_a_token_without_the_scope(store, sandbox, tmp_path):
    """A token that may only read holds the outbox, and the hold says what is missing."""
    delivery = Delivery(store, sandbox.url, sandbox.read, tmp_path)
    delivery.put(made(1))
    assert delivery.drain() == "held"
    hold = delivery.outbox.hold()
    assert hold.status == 403
    assert "scope write" in hold.reason
    assert delivery.states == {"pending": 1}


def test_a_hold_says_why_it_holds_now(sandbox, delivery):
    """A wrong token replaced by one that may only read: the hold names the scope, and counts from before."""
    delivery.put(made(1))
    delivery.token_file.write_text("wrong")
    assert delivery.drain() == "held"
    first = delivery.outbox.hold()
    delivery.token_file.write_text(sandbox.read)
    assert delivery.drain() == "held"
    then = delivery.outbox.hold()
    assert (first.status, then.status) == (401, 403)
    assert "scope write" in then.reason
    assert then.since == first.since


def test_no_token_at_all(sandbox, delivery):
    """A token file that is gone holds the outbox and names the file."""
    delivery.token_file.unlink()
    delivery.put(made(1))
    assert delivery.drain() == "held"
    hold = delivery.outbox.hold()
    assert hold.status is None
    assert str(delivery.token_file) in hold.reason
    assert not sandbox.calls["POST /v1/evidence"]


def test_a_token_where_there_was_none_ends_the_hold(store, sandbox, tmp_path):
    """Once there is a token, nothing is held for want of one: also where the API cannot be reached to try it."""
    delivery = Delivery(store, "http://127.0.0.1:9/v1", sandbox.write, tmp_path)
    delivery.put(made(1))
    delivery.token_file.unlink()
    assert delivery.drain() == "held"
    delivery.token_file.write_text(sandbox.write)
    assert delivery.drain(patience=0.5) == "unfinished"
    assert delivery.outbox.hold() is None


def test_a_hold_that_could_not_be_tried_again_stays(store, sandbox, tmp_path):
    """A token that was refused stays refused while nobody answers, but it is not what ended this delivery."""
    delivery = Delivery(store, sandbox.url, "wrong", tmp_path)
    delivery.put(made(1))
    assert delivery.drain() == "held"
    away = Delivery(store, "http://127.0.0.1:9/v1", sandbox.write, tmp_path)
    assert away.drain(patience=0.5) == "unfinished"
    assert away.outbox.hold().status == 401


def test_one_item_that_is_forbidden(store, tmp_path):
    """Where somebody forbids one item only, the others get through behind it."""

    def respond(request):
        if json.loads(request.body)["payload"]["n"] == 0:
            return Answer(403, b"<html>blocked</html>", {"Content-Type": "text/html"})
        return Answer(201, RECEIPT | {"id": f"ev_{json.loads(request.body)['payload']['n']}"})

    with serving(respond) as server:
        delivery = Delivery(store, server.url, "t", tmp_path, concurrency=1)
        (blocked,) = delivery.put(made(0))
        delivery.put(made(1), made(2))
        assert delivery.drain() == "held"
        assert delivery.drain() == "held"
    assert delivery.ledger.count() == 2
    assert delivery.outbox.item(blocked).state == "pending"


# ── Beginning and ending ───────────────────────────────────────────────────────────────────────────────────────────


async def _until(true, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.01)


def test_stop_gets_the_answer_of_what_is_under_way(sandbox, delivery):
    """Whoever stops the deliverer waits for the answers under way; what was not sent is pending as before."""
    sandbox.faults = ["slow:600ms"]
    delivery.put(*map(made, range(20)))

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: sandbox.struck["slow"] >= 1)
        deliverer.stop()
        await running

    delivery.run(deliver)
    taken = len(sandbox.evidence)
    assert taken == delivery.ledger.count() >= 1
    assert delivery.states == {"pending": 20 - taken}
    assert {item.attempts for item in delivery.outbox.items()} == {0}


def test_what_a_dead_deliverer_had_in_flight(sandbox, delivery):
    """Items that nobody knows the fate of are sent again under their keys, and are there once."""
    pieces = [made(1), made(2)]
    delivery.put(*pieces)
    delivery.outbox.claim(2, now=NOW)
    _submitted(sandbox, pieces[0], pieces[0].key)
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)


def test_an_empty_outbox(sandbox, delivery):
    """Where nothing is owed, delivering ends at once and asks nothing."""
    started = time.monotonic()
    assert delivery.drain() == "delivered"
    assert time.monotonic() - started < 1.5
    assert not sandbox.calls


def test_no_patience(sandbox, delivery):
    """Without any patience what can be sent in a second is sent all the same."""
    delivery.put(made(1))
    assert delivery.drain(patience=0) == "delivered"


def test_items_put_meanwhile(store, sandbox, delivery):
    """A running deliverer finds what another store puts into its directory."""

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await asyncio.sleep(0.1)
        with Store(store.directory) as other:
            Delivery(other, sandbox.url, sandbox.write, store.directory).put(made(1))
        await _until(lambda: delivery.ledger.count() == 1)
        deliverer.stop()
        await running

    delivery.run(deliver)


@contextmanager
def _read_only(store):
    """The ledger takes no more rows: what is settled cannot be written."""
    connection = sqlite3.connect(store.directory / DATABASE)
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    connection.commit()
    yield
    connection.execute("DROP TRIGGER full")
    connection.commit()
    connection.close()


def test_a_receipt_that_cannot_be_written(store, sandbox, delivery):
    """A deliverer that cannot keep receipts raises, soon, and the next one sends again: each item is there once."""
    pieces = [made(number) for number in range(10)]
    delivery.put(*pieces)
    with _read_only(store):
        started = time.monotonic()
        with pytest.raises(sqlite3.IntegrityError, match="disk is full"):
            delivery.drain()
        assert time.monotonic() - started < 3
    assert delivery.drain() == "delivered"
    assert _arrived_once(sandbox, delivery, pieces)


def test_a_store_that_is_closed(tmp_path, sandbox):
    """A deliverer whose store goes away raises instead of hanging."""
    store = Store(tmp_path / "state")
    delivery = Delivery(store, sandbox.url, sandbox.write, tmp_path)
    delivery.put(*map(made, range(5)))
    sandbox.faults = ["slow:300ms"]

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: sandbox.struck["slow"] >= 1)
        store.close()
        await running

    with pytest.raises(StateUnusable, match="closed"):
        delivery.run(deliver)


def test_settlements_are_told(sandbox, delivery):
    """Whoever watches is told of each item and what became of it."""
    sandbox.faults = ["500:x1"]
    delivery.put(made(1), made(2, control_id="ctrl_nowhere"))
    delivery.drain()
    kinds = [type(settlement) for _, settlement in delivery.settled]
    assert sorted(kind.__name__ for kind in kinds) == ["Accept", "Defer", "Reject"]
    assert Release not in kinds
    assert {Accept, Defer, Reject} == set(kinds)


# ── An API that is away ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_api_that_is_away_is_asked_gently(sandbox, delivery):
    """After five different items have failed one at a time asks again; once it works all are accepted, each once."""
    sandbox.faults = ["503:retry-after=none@/v1/evidence"]
    pieces = [made(number) for number in range(60)]
    delivery.put(*pieces)

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: sandbox.statuses[503] >= 5)
        await asyncio.sleep(1.5)
        asked = sandbox.statuses[503]
        sandbox.faults = []
        await _until(lambda: delivery.ledger.count() == 60, 30)
        deliverer.stop()
        await running
        return asked

    assert delivery.run(deliver) <= 5 + 4 + 4  # to open it, under way meanwhile, and probes
    assert _arrived_once(sandbox, delivery, pieces)


def test_poison_never_shuts_the_gate(sandbox, delivery):
    """One item that fails for ever holds up nobody: all others are accepted while it is tried."""
    sandbox.faults = ["500@ctrl_ac_03"]
    delivery.put(made(0, control_id="ctrl_ac_03"), *map(made, range(1, 200)))

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: delivery.ledger.count() == 199, 20)
        deliverer.stop()
        await running

    delivery.run(deliver)
    assert delivery.states == {"deferred": 1}


# ── Two lanes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_backlog_does_not_make_today_wait(sandbox, delivery):
    """While thousands of old items are owed, every other one that is sent is of what came just now."""
    now = time.time()
    old, new = [made(number) for number in range(400)], [made(1000 + number) for number in range(20)]
    delivery.outbox.put("aws", "here", old, None, now=now - 3 * 86400)
    sandbox.faults = ["slow:20ms@/v1/evidence"]

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: delivery.ledger.count() >= 20)
        delivery.outbox.put("aws", "here", new, None, now=time.time())
        wanted = {piece.key for piece in new}
        await _until(lambda: wanted <= set(_keys(sandbox)))
        deliverer.stop()
        await running
        return len(sandbox.evidence)

    assert delivery.run(deliver) < 150


# ── The token ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rotated_token_is_taken_up_before_the_old_one_ends(sandbox, delivery):
    """A token that was put in the place of one that still works is used within seconds, and both are remembered."""
    before = delivery.token.fingerprint

    async def deliver(deliverer):
        running = asyncio.create_task(deliverer.run())
        await _until(lambda: delivery.outbox.token_seen(before) is not None)
        delivery.token_file.write_text(sandbox.issue("write"))
        await _until(lambda: delivery.token.fingerprint != before, 15)
        await _until(lambda: delivery.outbox.token_seen(delivery.token.fingerprint) is not None)
        deliverer.stop()
        await running

    delivery.run(deliver)
    assert not sandbox.statuses[401]
    assert abs(delivery.outbox.token_seen(before) - time.time()) < 60


def test_room_is_given_back_when_there_is_nothing_to_do(store, sandbox, delivery):
    """Once all is delivered the database is small again, without anybody asking."""
    noise = [made(number, noise=random.Random(number).randbytes(30_000).hex()) for number in range(60)]
    delivery.put(*noise)
    size = (store.directory / DATABASE).stat().st_size + (store.directory / f"{DATABASE}-wal").stat().st_size
    assert delivery.drain() == "delivered"
    store.close()
    assert (store.directory / DATABASE).stat().st_size < size / 4
