"""Messages about failed runs: each cause once a night or backfill, kept in `data/alerts.jsonl` until every channel has taken it.

The channels themselves are in `alert_channels.py`; which runs failed, and why, is `defs/alerts.py`'s business.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from quant_assets.errors import LakeError, LockHeld
from quant_assets.logs import logger

FILE_NAME = "alerts.jsonl"
PATIENCE = dt.timedelta(days=1)
"""A message that a channel has not taken by then is given up."""
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(seconds=20), dt.timedelta(hours=1)
"""Between two attempts; doubled from one to the next."""
BUDGET_SECONDS = 20
"""What is not delivered by then waits for the next call, so that a slow channel never outlasts its caller's own limit."""
LONGEST_CAUSE = 1500
"""Characters shown: a message of Discord holds 2,000."""


@dataclass(frozen=True)
class Message:
    """One failed run and one of its causes.

    Parameters
    ----------
    cause : the failed step's own sentence, which holds the remedy.
    occasion : what the run belonged to: "night of 2013-03-01", "backfill 1a2b3c4d". The same cause in it is the same message.
    job : the phase, or what was materialised.
    windows, names : what the run was asked for, "" where it says nothing.
    when : end of the run, UTC.
    """

    cause: str
    occasion: str
    job: str
    windows: str
    names: str
    when: dt.datetime
    run_id: str

    @property
    def id(self) -> str:
        """The same for every run of this occasion that failed with this cause."""
        return hashlib.sha256(f"{self.occasion}\n{self.cause}".encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        return f"{self.job} failed, {self.occasion}"

    def text(self, runs: int = 1) -> str:
        """What is told when this many runs have failed so.

        Parameters
        ----------
        runs : failed runs of this occasion with this cause.
        """
        cause = self.cause if len(self.cause) <= LONGEST_CAUSE else self.cause[:LONGEST_CAUSE] + "…"
        count = "" if runs == 1 else f" ({runs} runs)"
        place = [part for part in (self.windows, self.names, f"run {self.run_id}", f"{self.when:%Y-%m-%d %H:%M} UTC") if part]
        return f"quant_assets: {self.title}{count}\n{cause}\n{', '.join(place)}"


class Channel(Protocol):
    """One way to tell a message."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message, runs: int) -> str | None:
        """Tells it; returns why the channel did not take it, None when it did. Never raises."""
        ...


@dataclass
class Delivery:
    """One message on one channel."""

    attempts: int = 0
    last: dt.datetime | None = None
    over: bool = False
    """Delivered or given up."""

    def is_due(self, now: dt.datetime) -> bool:
        return self.last is None or now - self.last >= min(FIRST_WAIT * 2 ** min(self.attempts - 1, 20), LONGEST_WAIT)


@dataclass
class Entry:
    """A message as the outbox holds it: its first run, when it was put in, and every run since."""

    message: Message
    noted: dt.datetime
    runs: set[str]
    deliveries: dict[str, Delivery] = field(default_factory=dict)

    def on(self, channel: str) -> Delivery:
        return self.deliveries.setdefault(channel, Delivery())


@dataclass
class Told:
    """What one call of `deliver` did; `problems` maps a channel to why it did not take a message."""

    delivered: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    given_up: int = 0

    def __str__(self) -> str:
        parts = [f"{count} told by {channel}" for channel, count in self.delivered.items()]
        parts += [f"{channel} {problem}" for channel, problem in self.problems.items()]
        parts += [f"{self.waiting} waiting for another attempt"] if self.waiting else []
        parts += [f"{self.given_up} given up"] if self.given_up else []
        return "; ".join(parts) or "nothing to tell"


class Outbox:
    """A journal of JSON lines, only ever appended to: a failed run, or an attempt to deliver its message. Open it with `outbox`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries: dict[str, Entry] = {}
        content = file.read_bytes() if file.exists() else b""
        self._torn = not content.endswith(b"\n") and bool(content)
        for line in content.split(b"\n"):
            try:
                self._recall(json.loads(line))
            except (ValueError, KeyError, TypeError):  # a killed writer leaves half a line
                continue

    @property
    def entries(self) -> list[Entry]:
        """In the order they were put in."""
        return list(self._entries.values())

    def knows(self, run_id: str) -> bool:
        return any(run_id in entry.runs for entry in self._entries.values())

    def put(self, messages: Sequence[Message], *, now: dt.datetime) -> int:
        """Notes all messages of a failed run; how many are new. Those of a run that is known change nothing."""
        fresh = [message for message in messages if not self.knows(message.run_id)]
        if not fresh:
            return 0
        before = len(self._entries)
        stamp = now.isoformat()
        self._append(*({"kind": "failure", "noted": stamp, **asdict(message), "when": message.when.isoformat()} for message in fresh))
        return len(self._entries) - before

    def deliver(self, channels: Sequence[Channel], *, now: dt.datetime) -> Told:
        """Sends what a channel has not taken yet, the oldest first; a channel that fails is left alone until the next call.

        A message that was taken is not sent again. Where that is not known (no answer in time, or the process was killed before it could
        write the answer down), it is: better twice than never.
        """
        told, began = Told(), time.monotonic()
        for channel in channels:
            for entry in self.entries:
                delivery = entry.on(channel.name)
                if delivery.over:
                    continue
                if now - entry.noted > PATIENCE:
                    self._give_up(entry, channel.name, told, now=now)
                elif channel.name in told.problems or not delivery.is_due(now) or time.monotonic() - began > BUDGET_SECONDS:
                    told.waiting += 1
                else:
                    problem = channel.send(entry.message, len(entry.runs))
                    self._attempted(entry, channel.name, problem or "delivered", now=now)
                    if problem is None:
                        told.delivered[channel.name] = told.delivered.get(channel.name, 0) + 1
                    else:
                        told.problems[channel.name] = problem
                        told.waiting += 1
        return told

    def _give_up(self, entry: Entry, channel: str, told: Told, *, now: dt.datetime) -> None:
        attempts = entry.on(channel).attempts
        if not attempts:  # the channel was set later: it is not told of the past
            return
        self._attempted(entry, channel, "given up", now=now)
        told.given_up += 1
        logger.error(f"given up after {attempts} attempts by {channel}: {entry.message.title} ({entry.message.run_id})")

    def _attempted(self, entry: Entry, channel: str, outcome: str, *, now: dt.datetime) -> None:
        self._append({"kind": "attempt", "id": entry.message.id, "channel": channel, "at": now.isoformat(), "outcome": outcome})

    def _append(self, *lines: dict[str, Any]) -> None:
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        with self._file.open("ab") as file:
            file.write((b"\n" if self._torn else b"") + content)
            file.flush()
            os.fsync(file.fileno())
        self._torn = False
        for line in lines:
            self._recall(line)

    def _recall(self, line: dict[str, Any]) -> None:
        if line["kind"] == "failure":
            message = Message(
                line["cause"],
                line["occasion"],
                line["job"],
                line["windows"],
                line["names"],
                dt.datetime.fromisoformat(line["when"]),
                line["run_id"],
            )
            entry = self._entries.setdefault(message.id, Entry(message, dt.datetime.fromisoformat(line["noted"]), set()))
            entry.runs.add(message.run_id)
        else:
            delivery = self._entries[line["id"]].on(line["channel"])
            delivery.attempts += 1
            delivery.last = dt.datetime.fromisoformat(line["at"])
            delivery.over = line["outcome"] in ("delivered", "given up")


@contextmanager
def outbox(data: Path) -> Iterator[Outbox]:
    """The outbox in this folder, for one process at a time.

    Raises
    ------
    LockHeld : another process has it open.
    LakeError : the folder cannot be written.
    """
    file = data / FILE_NAME
    lock = FileLock(file.with_suffix(".lock"), timeout=0, fallback_to_soft=False)
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LockHeld("another process is delivering messages", remedy="wait for it to end") from None
    except OSError as error:
        raise LakeError(f"{data} cannot be written ({error.strerror})", remedy="make the folder writable or set paths.data") from None
    try:
        yield Outbox(file)
    finally:
        lock.release()
