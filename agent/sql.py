"""The statements of the outbox. All instants are seconds since the epoch."""

PUT_ITEM = """
    INSERT INTO item (key, collector, evidence_type, source, control_id, snapshot_id, part, parts, records, gaps,
                      collected_at, size, digest, queued_at, due, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')
"""
PUT_BODY = "INSERT INTO body (id, content) VALUES (?, ?)"
PUT_CHECKPOINT = "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?, ?)"
CHECKPOINT = "SELECT until, revision, snapshot_id FROM checkpoint WHERE (collector, evidence_type, target) = (?, ?, ?)"
# The index is named because the planner prefers another one, and then sorts all that is owed for each claim.
DUE = """
    SELECT id FROM item INDEXED BY item_owed
    WHERE state IN ('pending', 'deferred') AND (state = 'pending' OR due <= ? OR due > ?) ORDER BY due, id LIMIT ?
"""
NEXT_DUE = "SELECT min(due) FROM item INDEXED BY item_owed WHERE state IN ('pending', 'deferred')"
CLAIM = """
    UPDATE item SET state = 'in_flight', attempts = attempts + 1, first_sent_at = coalesce(first_sent_at, ?)
    WHERE id = ?
"""
CLAIMED = "SELECT item.*, content FROM item LEFT JOIN body USING (id) WHERE id = ?"
ANSWERED = "UPDATE item SET state = ?, due = ?, status = ?, code = ?, reason = ?, request_id = ? WHERE id = ?"
PUT_RECEIPT = """
    INSERT INTO ledger
    SELECT id, key, collector, evidence_type, source, control_id, snapshot_id, part, parts, records, gaps,
           collected_at, size, digest, ?, ?, ?, ? FROM item WHERE id = ?
"""
DELETE_ITEM = "DELETE FROM item WHERE id = ?"
DELETE_BODY = "DELETE FROM body WHERE id = ?"
RECLAIM = "UPDATE item SET state = 'pending' WHERE state = 'in_flight'"
RELEASE = """
    UPDATE item SET state = 'pending', attempts = attempts - 1, due = coalesce(?, due)
    WHERE id = ? AND state = 'in_flight'
"""
RETRY = "UPDATE item SET state = 'pending', due = ? WHERE id = ? AND state IN ('rejected', 'deferred')"
DISCARD = "UPDATE item SET state = 'discarded' WHERE id = ? AND state <> 'in_flight'"
TWINS = """
    SELECT count(*) FROM item
    WHERE (control_id, source, collected_at) = (?, ?, ?) AND state IN ('pending', 'in_flight', 'deferred')
"""
SET_HOLD = """
    INSERT INTO hold VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status, reason = excluded.reason
"""
COUNTS = "SELECT state, count(*) AS items, sum(size) AS bytes, min(queued_at) AS oldest FROM item GROUP BY state"
