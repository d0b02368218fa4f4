"""Every error a user can meet. Each says what happened, the limit it broke and what to do; exit codes live here only."""

from __future__ import annotations

from collections.abc import Iterable


class QuantAssetsError(Exception):
    """A failure with a remedy.

    Parameters
    ----------
    message : what happened, with the value and the limit, no full stop.
    remedy : what the user can do about it, no full stop.
    """

    code = "failed"
    exit_code = 1
    transient = False
    """Whether trying again later, with nothing changed, may succeed."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        end = "" if self.remedy.endswith("?") else "."
        return f"{self.message}; {self.remedy}{end}"


class BadArgument(QuantAssetsError):
    """The request itself is impossible (unknown ticker, holiday as as-of date, wrong setting): nothing was run."""

    code = "bad_argument"
    exit_code = 2


class LakeError(QuantAssetsError):
    """The lake cannot be read or written (unwritable folder, truncated file)."""

    code = "lake"


class OutsideWindow(LakeError):
    """A write carried rows outside the (tickers, window) rectangle it asked to replace: nothing was written."""

    code = "outside_window"


class SchemaMismatch(LakeError):
    """A frame does not have the columns, types or unique keys that `schemas/` declares."""

    code = "schema"


class LookbackIncomplete(QuantAssetsError):
    """A step's own window or the history it looks back on has holes.

    `missing` maps each ticker to a sentence that says how many sessions are missing and between which dates.
    """

    code = "lookback_incomplete"

    def __init__(self, message: str, *, remedy: str, missing: dict[str, str]) -> None:
        super().__init__(message, remedy=remedy)
        self.missing = missing

    @classmethod
    def of(cls, missing: dict[str, str], *, remedy: str) -> LookbackIncomplete:
        """The error that names these tickers, the first five of them in its message."""
        shown = "; ".join(f"{ticker}: {what}" for ticker, what in list(missing.items())[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        return cls(f"{shown}{more}", remedy=remedy, missing=missing)


def require_columns(there: Iterable[str], *needed: str) -> None:
    """Raises BadArgument naming the columns that a table given by a user lacks."""
    lacking = [name for name in needed if name not in there]
    if lacking:
        raise BadArgument(f"the table has no column {', '.join(lacking)}", remedy=f"it has {', '.join(there)}")


class SourceError(QuantAssetsError):
    """A data source did not deliver what it offers."""

    code = "source"


class SourceUnavailable(SourceError):
    """A source did not answer (time-out, throttling, failure on its side): it may a little later."""

    code = "source_unavailable"
    transient = True


class NoData(SourceError):
    """A source answered, and has nothing about what was asked."""

    code = "no_data"


class WireError(QuantAssetsError):
    """The file that remembers requests (cached answers, budgets, limits, audit) cannot be read or written."""

    code = "wire"


class ModelError(QuantAssetsError):
    """A model cannot be trained, found or used (too few labels, other features than it was trained on)."""

    code = "model"


class LockHeld(QuantAssetsError):
    """Another process holds the lock this one needs."""

    code = "lock_held"
    transient = True
