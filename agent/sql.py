"""The statements of the outbox. All instants are seconds since the epoch.

The planner takes an index with a condition only where the statement repeats the condition to the letter.
"""

_OWED = "state IN ('pending', 'deferred')"
_OTHER = "state IN ('in_flight', 'rejected', 'discarded')"

HIGHEST = """
    max(
        coalesce((SELECT max(id) FROM item), 0),
        coalesce((SELECT max(id) FROM ledger), 0),
        coalesce((SELECT max(last_item) FROM loss), 0)
    )
"""
# What an item and a ledger entry have in common, behind the number.
PIECE = """
    sha256, generation, collector, evidence_type, source, target, control_id, snapshot_id, part, parts, records, gaps,
    collected_at, size
"""
PUT_ITEM = f"""
    INSERT INTO item (id, {PIECE}, since, queued_at, due, state)
    VALUES ({HIGHEST} + 1, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')
    RETURNING id
"""
PUT_BODY = "INSERT INTO body (id, content) VALUES (?, ?)"
USED = """
    SELECT (page_count - freelist_count) * page_size AS used, freelist_count * page_size AS unused
    FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()
"""
# The index is named because the planner prefers another way, and then sorts all that is owed for each claim.
OLDEST = f"""
    SELECT id, queued_at FROM item INDEXED BY item_owed
    WHERE {_OWED} AND (state = 'pending' OR due <= ? OR due > ?) ORDER BY due, id LIMIT ?
"""
FRESHEST = """
    SELECT id FROM (SELECT id, state, due, queued_at FROM item ORDER BY id DESC LIMIT 1000)
    WHERE state IN ('pending', 'deferred') AND due <= ? AND queued_at > ? LIMIT ?
"""
NEXT_DUE = f"SELECT min(due) FROM item INDEXED BY item_owed WHERE {_OWED}"
CLAIMED = "SELECT item.*, content FROM item LEFT JOIN body USING (id) WHERE id = ?"
CLAIM = """
    UPDATE item
    SET state = 'in_flight', attempts = attempts + 1, unsure_since = coalesce(unsure_since, ?),
        sent_with = iif(unsure_since IS NULL, ?, sent_with)
    WHERE id = ?
"""
ANSWERED = """
    UPDATE item
    SET state = :state, due = :due, unsure_since = :unsure_since, generation = generation + :renewed,
        status = :status, code = :code, reason = :reason, request_id = :request_id,
        failures = CASE WHEN :renewed THEN 0 WHEN :status >= 500 THEN failures + 1 WHEN :status THEN 0
                        ELSE failures END,
        failing_since = CASE WHEN :renewed THEN NULL WHEN :status >= 500 THEN coalesce(failing_since, :now)
                             WHEN :status THEN NULL ELSE failing_since END
    WHERE id = :id
"""
PUT_RECEIPT = f"""
    INSERT INTO ledger (id, {PIECE}, evidence_id, created_at, accepted_at, request_id, seq, previous, link)
    SELECT id, {PIECE}, :evidence_id, :created_at, :accepted_at, :request_id, :seq, :previous, :link
    FROM item WHERE id = :id
"""
HEAD = "SELECT seq, link FROM ledger ORDER BY seq DESC LIMIT 1"
ITEM = "SELECT * FROM item WHERE id = ?"
DELETE_ITEM = "DELETE FROM item WHERE id = ?"
DELETE_BODY = "DELETE FROM body WHERE id = ?"
RECLAIM = f"UPDATE item INDEXED BY item_other SET state = 'pending' WHERE {_OTHER} AND state = 'in_flight'"
LOOK_AGAIN = "UPDATE item SET state = 'deferred', due = ? WHERE id = ? AND state = 'in_flight'"
RELEASE = """
    UPDATE item SET state = 'pending', attempts = attempts - 1, due = coalesce(?, due), unsure_since = ?
    WHERE id = ? AND state = 'in_flight'
"""
RETRY = """
    UPDATE item
    SET refused_as = iif(state = 'rejected', coalesce(status, '') || ' ' || coalesce(code, ''), refused_as),
        state = 'pending', due = :now, failures = 0, failing_since = NULL, generation = generation + :renewed,
        sent_with = iif(:renewed, NULL, sent_with)
    WHERE id = :id AND state IN ('rejected', 'deferred')
"""
DISCARD = "UPDATE item SET state = 'discarded' WHERE id = ? AND state <> 'in_flight'"
# What was collected at one time has numbers near each other. What was discarded counts: it may be what is there.
TWINS = """
    SELECT id, unsure_since FROM item
    WHERE id BETWEEN :id - 5000 AND :id + 5000
        AND (control_id, source) = (:control_id, :source)
        AND substr(collected_at, 1, :digits) = substr(:collected_at, 1, :digits)
        AND unsure_since IS NOT NULL
    ORDER BY id
"""
RECEIPT = "SELECT accepted_at FROM ledger WHERE evidence_id = ?"
SET_HOLD = """
    INSERT INTO hold VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET status = excluded.status, reason = excluded.reason
"""
COUNTS = """
    SELECT state, count(*) AS items, sum(iif(state = 'discarded', 0, size)) AS bytes, min(queued_at) AS oldest
    FROM item GROUP BY state
"""
LAST_QUEUED = "SELECT collector, evidence_type, max(queued_at) AS at FROM item GROUP BY collector, evidence_type"
COUNT_OWED = f"SELECT count(*) FROM item INDEXED BY item_owed WHERE {_OWED}"
COUNT_OTHER = f"SELECT count(*) FROM item INDEXED BY item_other WHERE {_OTHER}"
COUNT_IN = f"{COUNT_OTHER} AND state = ?"
COUNT_ALL = "SELECT count(*) FROM item NOT INDEXED"
COUNT_UNSURE = "SELECT count(*) FROM item WHERE unsure_since IS NOT NULL"
KEYS = """
    SELECT id, key FROM item WHERE id > ? AND state NOT IN ('rejected', 'discarded') ORDER BY id LIMIT 5000
"""
IS_LOST = "SELECT EXISTS (SELECT 1 FROM loss WHERE ? BETWEEN first_item AND last_item)"
LOSSES = "SELECT * FROM loss ORDER BY id"
SEE_TOKEN = "INSERT OR IGNORE INTO token (fingerprint, first_seen) VALUES (?, ?)"
TOKEN = "SELECT first_seen FROM token WHERE fingerprint = ?"
