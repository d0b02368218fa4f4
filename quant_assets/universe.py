"""The universe file: which tickers exist, who delivers them and since when. One line a ticker; the ticker grid is made of it."""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quant_assets.errors import BadArgument

COLUMNS = ("ticker", "source", "listed")
# A ticker is a partition key and part of messages: no blanks, nothing that "|", "," or "..." already mean in a selection.
TICKER = re.compile(r"[A-Z0-9^](?:[A-Z0-9=-]|\.(?!\.))*")


@dataclass(frozen=True)
class Listing:
    """One name: `listed` is the first session its source has, so history before it is not a hole.

    `source` may name several, joined by +, in the order in which they are preferred (`sources/splice.py`).
    """

    ticker: str
    source: str
    listed: dt.date

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
        if set(frame.columns) != set(COLUMNS):
            raise BadArgument(
                f"universe file {file} is not a CSV with the columns {','.join(COLUMNS)}", remedy="write lines like AAPL,bokeh,2000-03-01"
            )
        rows = frame.select(COLUMNS).sort("ticker").iter_rows()
        universe = cls(tuple(Listing(ticker, source, _date(listed, ticker, file)) for ticker, source, listed in rows), file)
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
        frame = pl.DataFrame([(known.ticker, known.source, known.listed) for known in self.listings], schema=COLUMNS, orient="row")
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


def _date(text: str | None, ticker: str, file: Path) -> dt.date:
    try:
        return dt.date.fromisoformat(text or "")
    except ValueError:
        raise BadArgument(
            f"universe file {file}: first session {text or ''!r} of {ticker} is not a date", remedy="write it as YYYY-MM-DD"
        ) from None
