"""What all processes of a data folder know about their requests, in one SQLite file: answers, audit, slots, budgets, breakers.

Instants are seconds since 1970 but for slots and holds, which live for minutes: those are seconds of the machine's monotonic clock, the
same for all its processes and deaf to a corrected wall clock. When to ask and how to judge an answer is `wire.py`'s business.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from quant_assets.errors import WireError
from quant_assets.sources.wire.exchange import Answer
from quant_assets.sources.wire.policy import Rate

FILE_NAME = "wire.db"
BUSY_SECONDS = 30.0
KEPT_AUDIT_SECONDS = 400 * 86_400.0
TABLES = """
CREATE TABLE IF NOT EXISTS answer (
    key TEXT PRIMARY KEY, status INTEGER, headers TEXT, body BLOB, fetched_at REAL, expires_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
    at REAL, vendor TEXT, endpoint TEXT, symbol TEXT, status INTEGER, latency_ms REAL, bytes INTEGER, attempt INTEGER, cached INTEGER,
    outcome TEXT);
CREATE INDEX IF NOT EXISTS audit_at ON audit (vendor, at);
CREATE TABLE IF NOT EXISTS slot (id INTEGER PRIMARY KEY, vendor TEXT, taken REAL, released REAL);
CREATE TABLE IF NOT EXISTS hold (vendor TEXT PRIMARY KEY, set_at REAL, until REAL);
CREATE TABLE IF NOT EXISTS budget (vendor TEXT, day TEXT, spent INTEGER, closed INTEGER, PRIMARY KEY (vendor, day));
CREATE TABLE IF NOT EXISTS breaker (vendor TEXT PRIMARY KEY, failures INTEGER, open_until REAL, probe_until REAL);
"""
KEPT_HEADERS = ("content-type", "date", "last-modified", "etag")  # of a cached answer; cookies and the like are somebody's


@dataclass(frozen=True)
class AuditRow:
    at: float
    vendor: str
    endpoint: str
    symbol: str | None
    status: int | None
    latency_ms: float
    bytes: int
    attempt: int
    cached: bool
    outcome: str


@dataclass(frozen=True)
class Claim:
    """Leave to send one request now (`slot`), or the seconds after which to ask again; `spent`: none of today's budget is left."""

    slot: int | None = None
    wait_seconds: float = 0.0
    spent: bool = False


class Store:
    """`file` and its folder are made when first needed. Raises WireError when it cannot be read or written."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.RLock()
        self._opened: tuple[int, sqlite3.Connection] | None = None

    def close(self) -> None:
        with self._lock:
            if self._opened and self._opened[0] == os.getpid():
                self._opened[1].close()
            self._opened = None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among all threads and processes; nothing of it is kept when it raises."""
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection()
            except (sqlite3.Error, OSError, zlib.error) as error:
                damaged = isinstance(error, zlib.error) or not isinstance(error, sqlite3.OperationalError | OSError)
                remedy = (
                    "delete it with its -wal and -shm: cached answers are fetched again and today's counts begin anew"
                    if damaged
                    else "make it and its folder writable, free space on the disk, or end the process that keeps it locked"
                )
                raise WireError(f"{self.file} cannot be used ({error})", remedy=remedy) from None

    def _connection(self) -> sqlite3.Connection:
        """This process's own: a connection must not live on in a forked child."""
        if self._opened is None or self._opened[0] != os.getpid():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                _write_ahead(connection)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(TABLES)
                connection.execute("DELETE FROM audit WHERE at < ?", (time.time() - KEPT_AUDIT_SECONDS,))
            except BaseException:
                connection.close()
                raise
            self._opened = (os.getpid(), connection)
        return self._opened[1]

    # Answers

    def answer(self, key: str, *, now: float) -> Answer | None:
        with self._using() as connection:
            found = connection.execute(
                "SELECT status, headers, body, fetched_at FROM answer WHERE key = ? AND (expires_at IS NULL OR expires_at > ?)", (key, now)
            ).fetchone()
            if found is None:
                return None
            status, headers, body, fetched_at = found
            return Answer(status, json.loads(headers), zlib.decompress(body), dt.datetime.fromtimestamp(fetched_at, dt.UTC))

    def keep(self, key: str, answer: Answer, *, expires_at: float | None) -> None:
        """Replaces what was kept. None: for ever. What expired before this answer came is deleted on the way."""
        headers = {name: value for name, value in answer.headers.items() if name in KEPT_HEADERS}
        fetched_at = answer.fetched_at.timestamp()
        row = (key, answer.status, json.dumps(headers), zlib.compress(answer.body), fetched_at, expires_at)
        with self._writing() as connection:
            connection.execute("DELETE FROM answer WHERE expires_at <= ?", (fetched_at,))
            connection.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)", row)

    # Slots, holds and budgets

    def claim(
        self, vendor: str, rates: Sequence[Rate], *, budget: int | None, day: str, clock: Callable[[], float], stale_seconds: float
    ) -> Claim:
        """Leave for one request, counted against the rates and the day's budget.

        A request counts against a rate from when it is sent until `seconds` after its answer has come: the vendor saw it at some
        instant between, so however long each was under way, no window of the vendor's clock holds more than `limit`.

        Parameters
        ----------
        clock : monotonic seconds, read once this process is alone: while it waits for the others, they take slots.
        stale_seconds : a request without an answer after so long was that of a process that was killed.
        """
        longest = max((rate.seconds for rate in rates), default=0.0)
        with self._writing() as connection:
            now = clock()
            spent, closed = self._spent(connection, vendor, day)
            if closed or (budget is not None and spent >= budget):
                return Claim(spent=True)
            held = connection.execute(
                "SELECT until FROM hold WHERE vendor = ? AND set_at <= ? AND until > ?", (vendor, now, now)
            ).fetchone()
            if held:
                return Claim(wait_seconds=held[0] - now)
            # What was taken in the future was taken before the machine was started anew.
            connection.execute(
                "UPDATE slot SET released = taken + :stale WHERE vendor = :vendor AND released IS NULL AND taken + :stale <= :now",
                {"stale": stale_seconds, "vendor": vendor, "now": now},
            )
            connection.execute("DELETE FROM slot WHERE vendor = ? AND (released <= ? OR taken > ?)", (vendor, now - longest, now))
            for rate in rates:
                counted = connection.execute(
                    "SELECT coalesce(released, ?) AS until FROM slot WHERE vendor = ? AND until > ? ORDER BY until DESC LIMIT 1 OFFSET ?",
                    (now, vendor, now - rate.seconds, rate.limit - 1),
                ).fetchone()
                if counted:
                    return Claim(wait_seconds=counted[0] + rate.seconds - now)
            connection.execute("INSERT INTO budget VALUES (?, ?, 1, 0) ON CONFLICT DO UPDATE SET spent = spent + 1", (vendor, day))
            return Claim(slot=connection.execute("INSERT INTO slot (vendor, taken) VALUES (?, ?)", (vendor, now)).lastrowid)

    def release(self, slot: int, *, now: float) -> None:
        with self._using() as connection:
            connection.execute("UPDATE slot SET released = ? WHERE id = ?", (now, slot))

    def hold(self, vendor: str, *, clock: Callable[[], float], seconds: float) -> None:
        """No request of any process for so long."""
        with self._writing() as connection:
            now = clock()
            until = now + seconds
            connection.execute("DELETE FROM hold WHERE vendor = ? AND (until < ? OR set_at > ?)", (vendor, until, now))
            connection.execute("INSERT OR IGNORE INTO hold VALUES (?, ?, ?)", (vendor, now, until))

    def close_day(self, vendor: str, day: str) -> None:
        """The vendor says that today's budget is spent, whatever was counted here."""
        with self._writing() as connection:
            connection.execute("INSERT INTO budget VALUES (?, ?, 0, 1) ON CONFLICT DO UPDATE SET closed = 1", (vendor, day))

    def spent(self, vendor: str, day: str) -> tuple[int, bool]:
        """(requests sent that day, whether the vendor declared it over)."""
        with self._using() as connection:
            return self._spent(connection, vendor, day)

    @staticmethod
    def _spent(connection: sqlite3.Connection, vendor: str, day: str) -> tuple[int, bool]:
        found = connection.execute("SELECT spent, closed FROM budget WHERE vendor = ? AND day = ?", (vendor, day)).fetchone()
        return (found[0], bool(found[1])) if found else (0, False)

    # Breakers

    def admit(self, vendor: str, *, now: float, probe_seconds: float) -> float | None:
        """None: go on. Otherwise the instant until which the vendor is spared, or until which another request tries it."""
        with self._writing() as connection:
            found = connection.execute("SELECT open_until, probe_until FROM breaker WHERE vendor = ?", (vendor,)).fetchone()
            if found is None or found[0] is None:
                return None
            open_until, probe_until = found
            if (spared := max(open_until, probe_until or 0.0)) > now:
                return float(spared)
            connection.execute("UPDATE breaker SET probe_until = ? WHERE vendor = ?", (now + probe_seconds, vendor))
            return None

    def open_until(self, vendor: str) -> float | None:
        with self._using() as connection:
            found = connection.execute("SELECT open_until FROM breaker WHERE vendor = ?", (vendor,)).fetchone()
            return None if found is None else found[0]

    def succeeded(self, vendor: str) -> None:
        with self._using() as connection:  # read first: nearly always there is nothing to write
            if connection.execute("SELECT 1 FROM breaker WHERE vendor = ?", (vendor,)).fetchone():
                connection.execute("DELETE FROM breaker WHERE vendor = ?", (vendor,))

    def failed(self, vendor: str, *, allowed: int, open_until: float) -> None:
        """One more failure in a row; the `allowed`-th opens the breaker, and so does one more after it was open."""
        with self._writing() as connection:
            connection.execute("INSERT INTO breaker VALUES (?, 1, NULL, NULL) ON CONFLICT DO UPDATE SET failures = failures + 1", (vendor,))
            connection.execute(
                "UPDATE breaker SET open_until = ?, probe_until = NULL WHERE vendor = ? AND (failures >= ? OR open_until IS NOT NULL)",
                (open_until, vendor, allowed),
            )

    # Audit

    def note(self, row: AuditRow) -> None:
        with self._using() as connection:
            connection.execute(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row.at, row.vendor, row.endpoint, row.symbol, row.status, row.latency_ms, row.bytes, row.attempt, row.cached, row.outcome),
            )

    def audit(self, vendor: str | None = None) -> list[AuditRow]:
        """What was sent or answered from the cache, oldest first."""
        with self._using() as connection:
            rows = connection.execute("SELECT * FROM audit WHERE vendor = ? OR ? IS NULL ORDER BY at, rowid", (vendor, vendor)).fetchall()
        return [replace(AuditRow(*row), cached=bool(row[8])) for row in rows]

    def last_success(self, vendor: str) -> float | None:
        with self._using() as connection:
            found = connection.execute("SELECT max(at) FROM audit WHERE vendor = ? AND outcome = 'ok' AND NOT cached", (vendor,)).fetchone()
            return None if found is None else found[0]


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Of several processes that open a new file at once, SQLite fails all but one here instead of letting them wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
