"""The tables of the state directory's database."""

import sqlite3
from functools import cache

PAGE_SIZE = 8192  # bytes; a body that was packed fits into one page as a rule
APPLICATION_ID = 0x43485152  # "CHQR"

# Narrow, and apart from the bodies, so that a change of state rewrites neither a body nor much else. The columns that
# an item and a ledger entry have in common stand first and in the same order.
_PIECE = """
    id            INTEGER PRIMARY KEY,  -- never given twice
    sha256        BLOB NOT NULL CHECK (length(sha256) = 32), -- of the request body
    generation    INTEGER NOT NULL,     -- how many other keys its body was sent with before
    collector     TEXT NOT NULL,
    evidence_type TEXT NOT NULL,
    source        TEXT NOT NULL,
    target        TEXT NOT NULL,
    control_id    TEXT NOT NULL,
    snapshot_id   TEXT NOT NULL,
    part          INTEGER NOT NULL,
    parts         INTEGER NOT NULL,
    records       INTEGER NOT NULL,
    gaps          INTEGER NOT NULL,
    collected_at  TEXT NOT NULL,
    size          INTEGER NOT NULL,     -- bytes of the request body
    digest        TEXT AS ('sha256:' || lower(hex(sha256))) VIRTUAL,
    key           TEXT AS (             -- Idempotency-Key
        'chequr-agent-' || lower(hex(substr(sha256, 1, 20))) || iif(generation, '-' || generation, '')
    ) VIRTUAL,
"""

# Each entry takes the schema from its index to the next one. Entries never change once released.
MIGRATIONS = (
    f"""
    CREATE TABLE item (                    -- what is still owed, or was refused
        {_PIECE}
        since         TEXT,                 -- how far its population had been read before
        queued_at     REAL NOT NULL,        -- seconds since the epoch, as all REALs here
        state         TEXT NOT NULL CHECK (state IN ('pending', 'in_flight', 'deferred', 'rejected', 'discarded')),
        due           REAL NOT NULL,        -- not sent before
        attempts      INTEGER NOT NULL DEFAULT 0,
        unsure_since  REAL,                 -- first sent without an answer that settles it; null: the API has it not
        sent_with     TEXT,                 -- fingerprint of the token then; null: another key was asked for since
        failures      INTEGER NOT NULL DEFAULT 0, -- answers of 5xx in a row
        failing_since REAL,
        refused_as    TEXT,                 -- status and code that it was rejected with before it was retried
        status        INTEGER,              -- of the last answer; null where there was none
        code          TEXT,
        reason        TEXT,
        request_id    TEXT
    ) STRICT;
    CREATE INDEX item_owed ON item (due, id, state) WHERE state IN ('pending', 'deferred');
    CREATE INDEX item_other ON item (state) WHERE state IN ('in_flight', 'rejected', 'discarded');
    CREATE TABLE body (
        id      INTEGER PRIMARY KEY REFERENCES item (id) ON DELETE CASCADE,
        content BLOB NOT NULL               -- zstd
    ) STRICT;
    CREATE TABLE ledger (                  -- what the API accepted
        {_PIECE}
        evidence_id   TEXT NOT NULL,
        created_at    TEXT,                 -- the API's; null where the item was found at its control instead
        accepted_at   REAL NOT NULL,
        request_id    TEXT,
        seq           INTEGER NOT NULL UNIQUE, -- from 1, in the order of acceptance
        previous      TEXT NOT NULL CHECK (length(previous) = 71), -- the link of the entry before
        link          TEXT NOT NULL CHECK (length(link) = 71)      -- digest of this entry: see agent.chain
    ) STRICT;
    CREATE INDEX ledger_snapshot ON ledger (snapshot_id, control_id, part);
    CREATE INDEX ledger_evidence ON ledger (evidence_id);
    CREATE TABLE latest (                  -- the snapshot that was collected last at each target, of all in the ledger
        control_id    TEXT NOT NULL,
        evidence_type TEXT NOT NULL,
        collector     TEXT NOT NULL,
        target        TEXT NOT NULL,
        source        TEXT NOT NULL,
        seq           INTEGER NOT NULL,
        evidence_id   TEXT NOT NULL,
        collected_at  TEXT NOT NULL,        -- in UTC to the millisecond, so that texts are in the order of instants
        gaps          INTEGER NOT NULL,     -- in all its parts that were accepted
        PRIMARY KEY (control_id, evidence_type, collector, target)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE day (                     -- what was accepted on each day
        day     INTEGER PRIMARY KEY,        -- UTC, counted from the epoch
        items   INTEGER NOT NULL,
        records INTEGER NOT NULL,
        gaps    INTEGER NOT NULL,
        bytes   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;            -- so that what salvages rows takes none of it for one of another table
    -- Both follow from the ledger, also where it is filled anew after damage. Neither statement clashes with a row that
    -- is there: what fills the ledger would decide what is done then.
    CREATE TRIGGER ledger_entered AFTER INSERT ON ledger BEGIN
        INSERT OR IGNORE INTO latest
            VALUES (new.control_id, new.evidence_type, new.collector, new.target, new.source, 0, '', '', 0);
        UPDATE latest
            SET source = new.source, seq = new.seq, evidence_id = new.evidence_id, collected_at = new.collected_at,
                gaps = iif(collected_at = new.collected_at, gaps, 0) + iif(
                    EXISTS (                    -- a piece that went missing there was sent again
                        SELECT 1 FROM ledger
                        WHERE (snapshot_id, control_id, part) = (new.snapshot_id, new.control_id, new.part)
                            AND id <> new.id
                    ), 0, new.gaps
                )
            WHERE (control_id, evidence_type, collector, target)
                    = (new.control_id, new.evidence_type, new.collector, new.target)
                AND collected_at <= new.collected_at;
        INSERT OR IGNORE INTO day VALUES (cast(new.accepted_at / 86400 AS INTEGER), 0, 0, 0, 0);
        UPDATE day
            SET items = items + 1, records = records + new.records, gaps = gaps + new.gaps, bytes = bytes + new.size
            WHERE day = cast(new.accepted_at / 86400 AS INTEGER);
    END;
    CREATE TABLE kept (                    -- bodies of what was accepted: see agent.kept
        id          INTEGER PRIMARY KEY,   -- the ledger's
        accepted_at REAL NOT NULL,
        since       TEXT,                  -- the item's
        content     BLOB NOT NULL          -- zstd
    ) STRICT;
    CREATE INDEX kept_age ON kept (accepted_at);
    CREATE TABLE checkpoint (              -- how far each population was read, and which revision of a place was taken
        collector     TEXT NOT NULL,
        evidence_type TEXT NOT NULL,
        target        TEXT NOT NULL,
        until         TEXT,
        revision      TEXT,
        snapshot_id   TEXT NOT NULL,
        incomplete_since TEXT,              -- the first read from `until` on that had gaps
        seal          INTEGER NOT NULL,     -- CRC-32 of the others: a wrong checkpoint would hide what was not read
        PRIMARY KEY (collector, evidence_type, target)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE loss (                    -- what was queued, and is known to be gone
        id            INTEGER PRIMARY KEY,
        found_at      REAL NOT NULL,
        reason        TEXT NOT NULL,
        collector     TEXT,                 -- null: only the numbers of the items are known
        evidence_type TEXT,
        target        TEXT,
        control_id    TEXT,                 -- null: all of the snapshot's
        snapshot_id   TEXT,
        first_item    INTEGER NOT NULL,
        last_item     INTEGER NOT NULL,
        items         INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE run (
        id          INTEGER PRIMARY KEY,
        collector   TEXT NOT NULL,
        started_at  REAL NOT NULL,
        finished_at REAL,                   -- null: under way, or cut short
        outcome     TEXT,                   -- complete | incomplete | failed
        snapshots   INTEGER NOT NULL DEFAULT 0,
        records     INTEGER NOT NULL DEFAULT 0,
        gaps        INTEGER NOT NULL DEFAULT 0,
        items       INTEGER NOT NULL DEFAULT 0,
        message     TEXT
    ) STRICT;
    CREATE INDEX run_collector ON run (collector, started_at);
    CREATE TABLE hold (                    -- at most one: why nothing is sent
        id     INTEGER PRIMARY KEY CHECK (id = 1),
        status INTEGER,                     -- null: there is no token
        reason TEXT NOT NULL,
        since  REAL NOT NULL
    ) STRICT;
    CREATE TABLE token (                   -- which tokens were used, by fingerprint
        id          INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,
        first_seen  REAL NOT NULL
    ) STRICT;
    CREATE TABLE event (                   -- what the API told by webhook
        number      INTEGER PRIMARY KEY,
        id          TEXT NOT NULL UNIQUE,   -- the API's: it may deliver an event more than once
        type        TEXT NOT NULL,
        subject     TEXT,                   -- the id of what it is about; null where it names none
        created_at  REAL NOT NULL,          -- by the API's clock
        received_at REAL NOT NULL,
        data        TEXT,                   -- JSON; null once nobody needs it any more
        done_at     REAL,                   -- null: it is yet to be acted upon
        outcome     TEXT
    ) STRICT;
    CREATE INDEX event_waiting ON event (number) WHERE done_at IS NULL;
    CREATE TABLE signal (                  -- what the API made of a piece of evidence
        number      INTEGER PRIMARY KEY,
        evidence_id TEXT NOT NULL UNIQUE,   -- its receipt may come later
        signal      TEXT NOT NULL CHECK (signal IN ('pass', 'fail', 'review')),
        told_at     REAL NOT NULL,          -- by the API's clock
        received_at REAL NOT NULL
    ) STRICT;
    """,  # noqa: S608 our own columns
)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema up to date, each step whole or not at all."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version={number}; COMMIT;")


@cache
def expected() -> frozenset[tuple[str, str]]:
    """The name and the definition of each table and index, as a whole database has them."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection)
        return definitions(connection)
    finally:
        connection.close()


def definitions(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    told = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    return frozenset((name, sql) for name, sql in told)


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table that are stored, in the order of its rows."""
    told = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (table,))
    return [name for (name,) in told]
