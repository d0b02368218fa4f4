"""The universe file: which tickers exist, who delivers them, since when and until when. One line a ticker; the ticker grid is made of it.

Which of them may be decided on at a session is `membership.py`'s business.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quant_assets.calendars import day_window, sessions
from quant_assets.errors import BadArgument

COLUMNS = ("ticker", "source", "listed")
DELISTED = "delisted"
"""The column that a universe with dead names has too."""
# A ticker is a partition key and part of messages: no blanks, nothing that "|", "," or "..." already mean in a selection.
TICKER = re.compile(r"[A-Z0-9^](?:[A-Z0-9=-]|\.(?!\.))*")


@dataclass(frozen=True)
class Listing:
    """One name: `listed` is the first session its source has, so history before it is not a hole; `delisted` the last one it traded, None
    while it does: after it there is no bar and no decision.

    `source` may name several, joined by +, in the order in which they are preferred (`sources/splice.py`).
    """

    ticker: str
    source: str
    listed: dt.date
    delisted: dt.date | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.source.split("+"))


@dataclass(frozen=True)
class Universe:
    """Listings sorted by ticker."""

    listings: tuple[Listing, ...]
    file: Path

    @classmethod
    def read(cls, file: Path) -> Universe:
        """Raises BadArgument when the file is absent, malformed or names a ticker that cannot be a partition key."""
        try:
            frame = pl.read_csv(file.read_bytes(), infer_schema=False)
        except OSError as error:
            raise BadArgument(
                f"universe file {file} cannot be read ({error.strerror})", remedy="correct `universe` in the settings"
            ) from None
        except pl.exceptions.PolarsError:
            frame = pl.DataFrame()
        if set(frame.columns) - {DELISTED} != set(COLUMNS):
            raise BadArgument(
                f"universe file {file} is not a CSV with the columns {','.join(COLUMNS)}", remedy="write lines like AAPL,bokeh,2000-03-01"
            )
        gone = DELISTED if DELISTED in frame.columns else pl.lit(None, dtype=pl.String).alias(DELISTED)
        listings = [
            Listing(ticker, source, _date(listed, ticker, file), _date(delisted, ticker, file, which="last") if delisted else None)
            for ticker, source, listed, delisted in frame.select(*COLUMNS, gone).sort("ticker").iter_rows()
        ]
        universe = cls(tuple(listings), file)
        universe.validate()
        return universe

    def validate(self) -> None:
        """Raises BadArgument when a name cannot be used, or there is none."""
        where = f"universe file {self.file}"
        if not self.listings:
            raise BadArgument(f"{where} names no ticker", remedy="a universe has at least one name")
        seen: set[str] = set()
        for known in self.listings:
            if not known.ticker or not TICKER.fullmatch(known.ticker):
                rule = "a ticker is upper-case letters and digits, with '.', '-', '=' or a leading '^'"
                raise BadArgument(f"{where}: bad ticker {known.ticker!r}", remedy=rule)
            if known.ticker in seen:
                raise BadArgument(f"{where}: {known.ticker} occurs more than once", remedy="keep one line of it")
            if not known.source:
                raise BadArgument(f"{where}: {known.ticker} has no source", remedy="fill in its whole line")
            if not all(known.sources) or len(set(known.sources)) < len(known.sources):
                rule = "join the names of different sources by +, as in yahoo+massive"
                raise BadArgument(f"{where}: bad source {known.source!r} of {known.ticker}", remedy=rule)
            if known.delisted:
                _refuse_impossible_end(known.listed, known.delisted, f"{where}: {known.ticker}")
            seen.add(known.ticker)

    @property
    def tickers(self) -> list[str]:
        return [listing.ticker for listing in self.listings]

    def __getitem__(self, ticker: str) -> Listing:
        """Raises BadArgument when the ticker is not in the universe."""
        [wanted] = self.select([ticker])
        return next(listing for listing in self.listings if listing.ticker == wanted)

    def select(self, tickers: list[str]) -> list[str]:
        """The named tickers in universe order.

        Raises
        ------
        BadArgument : one of them is not in the universe.
        """
        wanted = [ticker.strip().upper() for ticker in tickers]
        for ticker in wanted:
            if ticker not in self.tickers:
                nearest = difflib.get_close_matches(ticker, self.tickers, n=1)
                remedy = (
                    f"did you mean {nearest[0]}?" if nearest else "`quant-assets universe list` shows the names, `universe add` adds one"
                )
                raise BadArgument(f"{ticker!r} is not in the universe", remedy=remedy)
        return [ticker for ticker in self.tickers if ticker in wanted]

    def add(self, listing: Listing) -> Universe:
        """The universe with one more name, written to its file. Raises BadArgument when the name is there already or impossible."""
        if listing.ticker in self.tickers:
            raise BadArgument(f"{listing.ticker} is already in {self.file.name}", remedy="nothing to do")
        return Universe(tuple(sorted((*self.listings, listing), key=lambda known: known.ticker)), self.file)._saved()

    def remove(self, ticker: str) -> Universe:
        """The universe without the name, written to its file. Raises BadArgument when it is not there or the last one."""
        [gone] = self.select([ticker])
        if len(self.listings) == 1:
            raise BadArgument(f"{gone} is the last ticker of {self.file.name}", remedy="a universe has at least one name")
        return Universe(tuple(known for known in self.listings if known.ticker != gone), self.file)._saved()

    def _saved(self) -> Universe:
        self.validate()
        rows = [(known.ticker, known.source, known.listed, known.delisted) for known in self.listings]
        frame = pl.DataFrame(rows, schema=[*COLUMNS, DELISTED], orient="row")
        if frame[DELISTED].is_null().all():
            frame = frame.drop(DELISTED)
        beside = self.file.with_name(f".{self.file.name}.{os.getpid()}.new")
        try:
            beside.write_text(frame.write_csv())
            os.replace(beside, self.file)
        except OSError as error:
            raise BadArgument(f"{self.file} cannot be written ({error.strerror})", remedy="set `universe` to a file you own") from None
        finally:
            with suppress(OSError):
                beside.unlink()
        return self


def _refuse_impossible_end(listed: dt.date, delisted: dt.date, who: str) -> None:
    if delisted < listed:
        raise BadArgument(f"{who} was delisted on {delisted}, before its first session {listed}", remedy="correct its line")
    if not sessions(day_window(delisted)):
        raise BadArgument(f"{who} was delisted on {delisted}, which is no session", remedy="write the last session it traded")


def _date(text: str | None, ticker: str, file: Path, *, which: str = "first") -> dt.date:
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        raise BadArgument(
            f"universe file {file}: {which} session {text or ''!r} of {ticker} is not a date", remedy="write it as YYYY-MM-DD"
        ) from None
