"""The queue: a table of SQLite. An event that was put in is worked on, whatever process dies."""

import json
import sqlite3
import time
from contextlib import closing

from hooksync.receiver import Event, event_key

LEASE = 900.0  # seconds for the work on one event; after a crash, it is tried again
LONGEST_PAUSE = 3600.0  # seconds between two tries

TABLES = """
CREATE TABLE IF NOT EXISTS events (key TEXT PRIMARY KEY, body TEXT NOT NULL, came REAL NOT NULL,
    try_at REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, is_done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS caught_up (at REAL NOT NULL);
"""
DUE = "SELECT key, body FROM events WHERE is_done = 0 AND try_at <= ? ORDER BY came LIMIT 10"
TAKE = """
UPDATE events SET try_at = ?, tries = tries + 1 WHERE key = ? AND is_done = 0 AND try_at <= ?
RETURNING key
"""


class Queue:
    """What came and when, and what is still to be done."""

    def __init__(self, path: str = "queue.sqlite") -> None:
        self.path = path
        with closing(sqlite3.connect(path, timeout=30)) as store:
            store.executescript(TABLES)

    def run(self, statement: str, *values: object) -> list[tuple]:
        """Carry out one statement, which is its own transaction."""
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as store:
            return store.execute(statement, values).fetchall()

    def put(self, event: Event) -> None:
        """Put an event in, unless it came before."""
        now = time.time()
        self.run(
            "INSERT OR IGNORE INTO events (key, body, came, try_at) VALUES (?, ?, ?, ?)",
            *(event_key(event), json.dumps(event), now, now),
        )

    def take(self) -> tuple[str, Event] | None:
        """Take the oldest event that is due; None: there is none."""
        now = time.time()
        for key, body in self.run(DUE, now):
            if self.run(TAKE, now + LEASE, key, now):  # and no other worker has meanwhile
                return key, json.loads(body)
        return None

    def done(self, key: str) -> None:
        """Record that the work on an event is done."""
        self.run("UPDATE events SET is_done = 1 WHERE key = ?", key)

    def failed(self, key: str) -> None:
        """Try an event again: after a minute, then after two, four, ..."""
        [[tries]] = self.run("SELECT tries FROM events WHERE key = ?", key)
        pause = min(LONGEST_PAUSE, 30.0 * 2**tries)
        self.run("UPDATE events SET try_at = ? WHERE key = ?", time.time() + pause, key)

    def complete_until(self) -> float | None:
        """Say until when nothing was missed: the last catching up, or else the first event."""
        statement = "SELECT max(at) FROM caught_up UNION ALL SELECT min(came) FROM events"
        times = [at for (at,) in self.run(statement) if at is not None]
        return times[0] if times else None

    def caught_up(self, at: float) -> None:
        """Record that nothing is missing until then."""
        self.run("INSERT INTO caught_up VALUES (?)", at)
