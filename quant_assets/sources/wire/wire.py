"""The one way to a vendor: cache, breaker, budget, rate, time-outs, retries and audit, in this order, whichever client asks.

What a vendor demands is in its `Policy`; what processes share is in `store.py`; how a client's request gets here is in `over_*.py`.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from quant_assets.errors import NoData, SourceError, SourceUnavailable
from quant_assets.settings import Settings
from quant_assets.sources.wire.exchange import Answer, Broken, Request, Send
from quant_assets.sources.wire.policy import Complaint, Policy, Trouble, retry_after
from quant_assets.sources.wire.secrecy import hide, learn
from quant_assets.sources.wire.store import FILE_NAME, AuditRow, Store

SHOWN_CHARACTERS = 80
AWAKENING_SECONDS = 0.01  # at most; processes that wait for the same slot do not all ask for it at once


class Clock:
    """Wall time, monotonic time and waiting; tests bring their own."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class VendorStatus:
    """`budget_left` is None without a budget; `breaker_until` is None unless the breaker is open."""

    vendor: str
    requests_today: int
    budget_left: int | None
    last_success: dt.datetime | None
    breaker: Literal["closed", "open", "half-open"]
    breaker_until: dt.datetime | None


class _Transient(Exception):
    """The attempt failed in a way that the next one may not. `wait_seconds`: what the vendor asked for."""

    def __init__(self, words: str, wait_seconds: float | None) -> None:
        super().__init__(words)
        self.words, self.wait_seconds = words, wait_seconds


class Wire:
    """All vendors of one data folder.

    Parameters
    ----------
    folder : where `wire.db` lies; processes that share it share limits, budgets and answers.
    base_urls : per vendor, a server to ask instead of the vendor's own.
    """

    def __init__(self, folder: Path, *, base_urls: Mapping[str, str] | None = None, clock: Clock | None = None) -> None:
        self.store = Store(folder / FILE_NAME)
        self.base_urls = dict(base_urls or {})
        self.clock = clock or Clock()

    def exchange(self, policy: Policy, request: Request, send: Send) -> Answer:
        """The vendor's answer, from the cache if it still holds.

        Raises
        ------
        SourceUnavailable : it may succeed later: overload, failure on the vendor's side, no or half an answer, breaker open.
        NoData : the vendor has nothing about this.
        SourceError : it will not succeed by itself: key refused, budget spent, request or answer not as they should be.
        WireError : `wire.db` cannot be used.
        """
        if policy.vendor in self.base_urls:
            request = request.at(self.base_urls[policy.vendor])
        return _Exchange(self, policy, request, send).run()

    def status(self, policies: Sequence[Policy]) -> list[VendorStatus]:
        """What is known of each vendor, without asking it."""
        return [self._status(policy) for policy in policies]

    def _status(self, policy: Policy) -> VendorStatus:
        if not self.store.file.exists():  # to look must not make one: a home with a file in it cannot be restored into
            return VendorStatus(policy.vendor, 0, policy.daily_budget, None, "closed", None)
        now = self.clock.now()
        day = _day(policy, now)[0]
        spent, closed = self.store.spent(policy.vendor, day)
        until, success = self.store.open_until(policy.vendor), self.store.last_success(policy.vendor)
        return VendorStatus(
            policy.vendor,
            requests_today=spent,
            budget_left=None if policy.daily_budget is None else 0 if closed else max(policy.daily_budget - spent, 0),
            last_success=None if success is None else _moment(success),
            breaker="closed" if until is None else "open" if until > now.timestamp() else "half-open",
            breaker_until=None if until is None or until <= now.timestamp() else _moment(until),
        )


@contextmanager
def opened_wire(settings: Settings) -> Iterator[Wire]:
    """The wire of a home's data folder, to the servers that its settings name."""
    wire = Wire(
        settings.path(settings.paths.data),
        base_urls={vendor: at.base_url for vendor, at in settings.sources.items() if at.base_url},
    )
    try:
        yield wire
    finally:
        wire.store.close()


class _Exchange:
    """One request on its way through the wire."""

    def __init__(self, wire: Wire, policy: Policy, request: Request, send: Send) -> None:
        self.store, self.clock = wire.store, wire.clock
        self.policy, self.request, self.send = policy, request, send
        self.secrets = learn(policy, request)
        self.symbol = self._shown(policy.symbol(request) or "") or None
        self.endpoint = self._shown(request.endpoint)
        self.subject = f"{policy.vendor} {self.endpoint}" + (f" for {self.symbol}" if self.symbol else "")

    def run(self) -> Answer:
        lasts = self.policy.lasts(self.request)
        key = self.request.cache_key(self.policy.vendor, self.policy.secret_params)
        if kept := self.store.answer(key, now=self._now()):
            self._note(kept.status, 0.0, len(kept.body), attempt=0, cached=True, outcome="ok")
            return kept
        self._ask_breaker()
        answer, wanted = self._answer()
        echoed = any(secret.encode() in answer.body for secret in self.secrets)  # a body that repeats the key is not written to disk
        if wanted and not echoed and (lasts is None or lasts > dt.timedelta(0)):
            self.store.keep(key, answer, expires_at=None if lasts is None else (answer.fetched_at + lasts).timestamp())
        return answer

    def _answer(self) -> tuple[Answer, bool]:
        """The answer, and whether it is one to keep."""
        policy, longest = self.policy, self.policy.longest_wait_seconds
        retrying = Retrying(
            stop=stop_after_attempt(policy.attempts),
            wait=wait_exponential_jitter(multiplier=policy.backoff_seconds / 2, max=longest, jitter=policy.backoff_seconds),
            retry=retry_if_exception(lambda error: isinstance(error, _Transient) and (error.wait_seconds or 0.0) <= longest),
            sleep=self.clock.sleep,
            reraise=True,
        )
        try:
            return retrying(lambda: self._attempt(int(retrying.statistics["attempt_number"])))
        except _Transient as error:
            raise self._unavailable(error, int(retrying.statistics["attempt_number"])) from None

    def _attempt(self, number: int) -> tuple[Answer, bool]:
        slot = self._slot()
        begun = self.clock.monotonic()
        answer: Answer | None = None
        complaint: Complaint | None = None
        passes = False
        try:
            status, headers, body = self.send(self.request, self.policy.limits)
            answer = Answer.of(status, headers, body, fetched_at=self.clock.now())
        except Broken as broken:
            complaint = Complaint(Trouble.TRANSIENT, str(broken))
        finally:
            self.store.release(slot, now=self.clock.monotonic())
        # Outside `except`: what the client's library raised may hold the key, and must not hang on an error of ours as its context.
        if answer:
            passes = self.policy.passes(self.request, answer)
            complaint = None if passes else self.policy.judge(self.request, answer)
        outcome = "passed on" if passes else complaint.trouble.value if complaint else "ok"
        latency_ms = (self.clock.monotonic() - begun) * 1000
        self._note(answer.status if answer else None, latency_ms, len(answer.body) if answer else 0, number, cached=False, outcome=outcome)
        if complaint and complaint.trouble is Trouble.TRANSIENT:
            raise self._transient(complaint, answer)
        self.store.succeeded(self.policy.vendor)  # it answers, if only with a refusal
        if complaint:
            raise self._refused(complaint)
        assert answer is not None
        return answer, not passes

    def _slot(self) -> int:
        """Waits until a request may be sent."""
        limits = self.policy.limits
        while True:
            day, again = _day(self.policy, self.clock.now())
            claim = self.store.claim(
                self.policy.vendor,
                self.policy.rates,
                budget=self.policy.daily_budget,
                day=day,
                clock=self.clock.monotonic,
                stale_seconds=limits.connect + limits.total + limits.read,
            )
            if claim.slot is not None:
                return claim.slot
            if claim.spent:
                counted = self.policy.daily_budget or "as it says itself"
                message = f"{self.subject}: today's budget of requests to {self.policy.vendor} is spent ({counted})"
                raise SourceError(message, remedy=f"the next may be sent from {again:%Y-%m-%d %H:%M} UTC")
            self.clock.sleep(claim.wait_seconds + random.uniform(0, AWAKENING_SECONDS))

    def _ask_breaker(self) -> None:
        if until := self.store.admit(self.policy.vendor, now=self._now(), probe_seconds=self.policy.breaker_seconds):
            raise SourceUnavailable(
                f"{self.subject}: not asked, since {self.policy.vendor} failed {self.policy.breaker_failures} times in a row "
                "or asked to be spared",
                remedy=f"try again after {_moment(until):%Y-%m-%d %H:%M:%S} UTC",
            )

    def _transient(self, complaint: Complaint, answer: Answer | None) -> _Transient:
        wait = retry_after(answer) if answer else None
        if wait is not None and wait <= self.policy.longest_wait_seconds:
            # For every process: the next attempt, whoever's it is, waits for its slot.
            self.store.hold(self.policy.vendor, clock=self.clock.monotonic, seconds=wait)
        return _Transient(self._words(complaint), wait)

    def _unavailable(self, failure: _Transient, attempts: int) -> SourceUnavailable:
        wait, policy = failure.wait_seconds, self.policy
        spared = wait is not None and wait > policy.longest_wait_seconds
        until = self._now() + (wait if spared and wait else policy.breaker_seconds)
        self.store.failed(policy.vendor, allowed=1 if spared else policy.breaker_failures, open_until=until)
        remedy = "try again later"
        if spared:
            remedy += f": it asks for {wait:.0f} s, longer than the {policy.longest_wait_seconds:g} s that are waited here"
        return SourceUnavailable(f"{self.subject}: {failure.words} ({attempts} attempt{'s' if attempts > 1 else ''})", remedy=remedy)

    def _refused(self, complaint: Complaint) -> SourceError:
        policy, words = self.policy, self._words(complaint)
        match complaint.trouble:
            case Trouble.KEY_REFUSED if policy.key_variable:
                message = f"the key in {policy.key_variable} was refused: {self.subject} {words}"
                return SourceError(message, remedy=f"put a valid key into {policy.key_variable}")
            case Trouble.KEY_REFUSED:
                return SourceError(f"{self.subject} refused the request: {words}", remedy="see what the vendor allows without a key")
            case Trouble.BUDGET_SPENT:
                day, again = _day(policy, self.clock.now())
                self.store.close_day(policy.vendor, day)
                message = f"{self.subject}: the vendor says that today's requests are spent: {words}"
                return SourceError(message, remedy=f"the next may be sent from {again:%Y-%m-%d %H:%M} UTC")
            case Trouble.NO_DATA:
                return NoData(f"{self.subject}: {words}", remedy="leave it out, or correct its name")
            case _:
                return SourceError(f"{self.subject}: {words}", remedy="see whether the vendor changed its interface")

    def _note(self, status: int | None, latency_ms: float, size: int, attempt: int, *, cached: bool, outcome: str) -> None:
        self.store.note(
            AuditRow(self._now(), self.policy.vendor, self.endpoint, self.symbol, status, latency_ms, size, attempt, cached, outcome)
        )

    def _words(self, complaint: Complaint) -> str:
        words = self._shown(complaint.words)  # before it is cut: half a key is no longer recognised
        return words if len(words) <= SHOWN_CHARACTERS else f"{words[: SHOWN_CHARACTERS - 3]}..."

    def _shown(self, text: str) -> str:
        return hide(text, self.secrets)

    def _now(self) -> float:
        return self.clock.now().timestamp()


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _day(policy: Policy, now: dt.datetime) -> tuple[str, dt.datetime]:
    """(the vendor's day, the UTC instant at which its next one begins)."""
    zone = ZoneInfo(policy.budget_zone)
    today = now.astimezone(zone).date()
    tomorrow = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), zone)
    return today.isoformat(), tomorrow.astimezone(dt.UTC)
