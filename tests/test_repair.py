"""What is missing at the API: sent again, or read again, or told that neither is possible."""

from datetime import UTC, datetime

import pytest
from agent_fixtures import NOW, made

from agent.items import Accept, Checkpoint
from agent.ledger import Ledger
from agent.mark import MARK
from agent.outbox import Outbox
from agent.repair import Repair

TYPE = "aws_s3_bucket_encryption"
MONDAY, TUESDAY = datetime(2026, 4, 13, tzinfo=UTC), datetime(2026, 4, 14, tzinfo=UTC)


def accept(store, number, checkpoint=None, *, keep=0.0):
    """Puts and accepts one piece; the number of its entry."""
    outbox = Outbox(store, keep_bodies=keep)
    (item_id,) = outbox.put("aws", "here", [made(number)], checkpoint, now=NOW)
    outbox.claim(1, now=NOW)
    outbox.settle([Accept(item_id, f"ev_{number}", MONDAY, None)], now=NOW)
    return Ledger(store).head()[0]


def checkpoint(store):
    return Outbox(store).checkpoint("aws", TYPE, "here")


def test_what_is_sent_again_is_as_it_was(store):
    """The new item has another number, and the body, the key and the names of the one that was accepted."""
    seq = accept(store, 1, Checkpoint(MONDAY, None, "snap_1"), keep=60.0)
    (entry,) = Ledger(store).entries()
    assert Repair(store).mend(seq, now=NOW) == "It is in the outbox again as item 2, with its body and its key."
    (item,) = Outbox(store).items()
    told = ("key", "digest", "collector", "evidence_type", "target", "control_id", "snapshot_id", "collected_at")
    assert [getattr(item, name) for name in told] == [getattr(entry, name) for name in told]
    assert (item.id, item.state, item.unsure_since, item.since) == (2, "pending", None, None)
    assert Outbox(store).body(2) == made(1).body
    assert checkpoint(store).until == MONDAY


def test_a_population_is_read_again_from_where_its_period_began(store):
    """Without a body the checkpoint goes back to where the missing snapshot began, and no further."""
    accept(store, 1, Checkpoint(MONDAY, None, "snap_1"))
    seq = accept(store, 2, Checkpoint(TUESDAY, None, "snap_2"))
    told = Repair(store).mend(seq, now=NOW)
    assert "its next run reads again from 2026-04-13T00:00:00.000Z on" in told
    assert checkpoint(store).until == MONDAY


def test_a_period_that_nobody_remembers(store):
    """Where it is not known any more, the checkpoint stays, and that is told."""
    seq = accept(store, 1, Checkpoint(MONDAY, None, "snap_1"))
    (store.directory / MARK).unlink()
    assert "where its period began is not known any more" in Repair(store).mend(seq, now=NOW)
    assert checkpoint(store).until == MONDAY


@pytest.mark.parametrize(
    ("later", "told", "is_left"),
    [("snap_1", "its next run reads it again", False), ("snap_2", "a later revision was sent since", True)],
)
def test_a_revision_is_read_again_while_it_is_the_last(store, later, told, is_left):
    """A place is read again as a whole, unless what is missing was superseded."""
    seq = accept(store, 1, Checkpoint(None, "r1", "snap_1"))
    if later != "snap_1":
        accept(store, 2, Checkpoint(None, "r2", later))
    assert told in Repair(store).mend(seq, now=NOW)
    assert (checkpoint(store) is not None) is is_left


def test_the_present_is_read_anew_anyway(store):
    """What has no checkpoint is read as a whole by each run: nothing needs to be set back."""
    seq = accept(store, 1)
    assert "its next run sends what is there now" in Repair(store).mend(seq, now=NOW)
