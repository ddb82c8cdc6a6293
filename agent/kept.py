"""Bodies of what the API accepted, kept for a while: should it lose some evidence, that can be sent again.

What is owed comes first. A body is kept where there is room for it, and the oldest go where something else needs room.
"""

from sqlite3 import Connection

SIZE = "SELECT coalesce(max(length(content)), 0) FROM body WHERE id = ?"
_KEEP = """
    INSERT INTO kept (id, accepted_at, since, content)
    SELECT id, ?, since, content FROM body JOIN item USING (id) WHERE id = ?
"""
_DROP = "DELETE FROM kept WHERE id IN (SELECT id FROM kept ORDER BY accepted_at LIMIT 16)"
_FORGET = "DELETE FROM kept WHERE id IN (SELECT id FROM kept WHERE accepted_at < ? ORDER BY accepted_at LIMIT 100)"


def keep(connection: Connection, item_id: int, *, now: float) -> None:
    """Keeps the body of an item that is being accepted."""
    connection.execute(_KEEP, (now, item_id))


def drop_oldest(connection: Connection) -> bool:
    """Drops a few of the oldest; whether there were any."""
    return connection.execute(_DROP).rowcount > 0


def forget(connection: Connection, *, before: float) -> int:
    """Forgets some that were accepted before an instant, in seconds since the epoch; how many there were."""
    return connection.execute(_FORGET, (before,)).rowcount
