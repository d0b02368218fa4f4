"""Which names may be decided on at a session: an index has other members every month, and today's are those that did well since.

Bars, features and labels are kept of every name of the universe; decisions, ranks, trades and what models learn from are of members only.
A decision at the close of a session follows the membership of that very session: what is written of later ones changes nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import polars as pl

from quant_assets.errors import BadArgument
from quant_assets.universe import Universe

COLUMNS = ("ticker", "start", "end")
SPANS = {"key": pl.String, "start": pl.Date, "end": pl.Date}
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Membership:
    """spans : key, start, end: the first and the last day (null: still) of each stay, those of one name apart; sorted."""

    spans: pl.DataFrame
    file: Path

    @classmethod
    def read(cls, file: Path, universe: Universe) -> Membership:
        """The file's lines `ticker,start,end`, as many a ticker as it was taken in; an empty end means still a member.

        Raises
        ------
        BadArgument : the file is absent or malformed, a stay ends before it starts or overlaps another of the same name, or a member is
            not in the universe: leaving it out would leave survivors.
        """
        where = f"membership file {file}"
        try:
            rows = pl.read_csv(file.read_bytes(), infer_schema=False)
        except OSError as error:
            raise BadArgument(f"{where} cannot be read ({error.strerror})", remedy="correct `membership` in the settings") from None
        except pl.exceptions.PolarsError:
            rows = pl.DataFrame()
        if set(rows.columns) != set(COLUMNS):
            raise BadArgument(f"{where} is not a CSV with the columns {','.join(COLUMNS)}", remedy="write lines like AAPL,2009-01-02,")
        read = [
            (ticker, _date(start, where), _date(end, where) if end else None) for ticker, start, end in rows.select(COLUMNS).iter_rows()
        ]
        if not read:
            raise BadArgument(f"{where} names no member", remedy="without one there is nothing to decide on")
        spans = pl.DataFrame(read, schema=SPANS, orient="row").sort("key", "start")
        _refuse_impossible(spans, where)
        strangers = sorted(set(spans["key"]) - set(universe.tickers))
        if strangers:
            shown = ", ".join(strangers[:5]) + (f" and {len(strangers) - 5} more" if len(strangers) > 5 else "")
            raise BadArgument(
                f"{where} has members that {universe.file.name} lacks: {shown}",
                remedy="add them to the universe with their sources, dead ones with `delisted`, or take their lines out",
            )
        return cls(spans, file)

    def within(self, lives: pl.DataFrame) -> pl.DataFrame:
        """key, start, end of the stays, cut to the lives of the names (same columns, one row a name)."""
        both = self.spans.join(lives, on="key", suffix="_life")
        cut = both.select(
            "key",
            start=pl.max_horizontal("start", "start_life"),
            end=pl.min_horizontal("end", "end_life"),  # a null is no bound
        )
        return cut.filter(pl.col("end").is_null() | (pl.col("start") <= pl.col("end")))

    def changes(self) -> list[tuple[dt.date, str]]:
        """(first day it holds, what) of every entry and exit."""
        rows = list(self.spans.iter_rows())
        return [(start, f"+{key}") for key, start, _ in rows] + [(end + DAY, f"-{key}") for key, _, end in rows if end]

    def version(self, before: dt.date) -> str:
        """A hash of who was a member when, before that day."""
        known = versions(self.changes()).filter(pl.col("session") < before)["version"]
        return known[-1] if known.len() else ""


def inside(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The rows (ticker, session, ...) that lie in a span (key, start, end) of their ticker, in their order."""
    found = rows.join(spans, left_on="ticker", right_on="key", maintain_order="left")
    return found.filter(within_span()).drop("start", "end")


def within_span() -> pl.Expr:
    """Whether `session` lies between `start` and `end`, both in; no `end` means for ever."""
    return (pl.col("session") >= pl.col("start")) & (pl.col("end").is_null() | (pl.col("session") <= pl.col("end")))


def versions(changes: Iterable[tuple[dt.date, str]]) -> pl.DataFrame:
    """session (the day of a change), version: a hash of all changes up to that day, ascending. No later change touches a version."""
    days: dict[dt.date, list[str]] = {}
    for day, what in sorted(changes):
        days.setdefault(day, []).append(what)
    told = accumulate(days.items(), _hash, initial="")
    return pl.DataFrame({"session": list(days), "version": list(told)[1:]}, schema={"session": pl.Date, "version": pl.String})


def _hash(past: str, change: tuple[dt.date, list[str]]) -> str:
    day, what = change
    return hashlib.sha256(f"{past} {day} {' '.join(what)}".encode()).hexdigest()[:12]


def _date(text: str | None, where: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        raise BadArgument(f"{where}: {text or ''!r} is not a date", remedy="write it as YYYY-MM-DD") from None


def _refuse_impossible(spans: pl.DataFrame, where: str) -> None:
    for key, start, end in spans.filter(pl.col("end") < pl.col("start")).head(1).iter_rows():
        raise BadArgument(f"{where}: {key} is a member from {start} to {end}", remedy="`end` is its last day as a member")
    before = pl.col("end").fill_null(dt.date.max).shift().over("key")
    for key, start, *_ in spans.filter(before >= pl.col("start")).head(1).iter_rows():
        raise BadArgument(f"{where}: {key} enters on {start} while it is a member", remedy="end its earlier stay before that day")
