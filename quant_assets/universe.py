"""The universe file: which tickers exist, who delivers them and since when. One line a ticker; the ticker grid is made of it."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quant_assets.calendars import Window, sessions
from quant_assets.errors import BadArgument

SCHEMA = {"ticker": pl.String, "source": pl.String, "listed": pl.Date}


@dataclass(frozen=True)
class Listing:
    """One name: `listed` is the first session its source has, so history before it is not a hole."""

    ticker: str
    source: str
    listed: dt.date

    def sessions(self, window: Window) -> list[dt.date]:
        """Sessions of the window on which this name must have a bar."""
        return sessions(Window(max(window.start, self.listed), window.end))


@dataclass(frozen=True)
class Universe:
    """Listings sorted by ticker."""

    listings: tuple[Listing, ...]
    file: Path

    @classmethod
    def read(cls, file: Path) -> Universe:
        """Raises BadArgument when the file is absent, malformed or names a ticker that cannot be a partition key."""
        try:
            frame = pl.read_csv(file, schema=SCHEMA)
        except (OSError, pl.exceptions.PolarsError) as error:
            why = str(error).splitlines()[0]
            raise BadArgument(f"universe file {file} cannot be read ({why})", remedy="it is a CSV with the columns ticker,source,listed") from None
        universe = cls(tuple(Listing(*row) for row in frame.sort("ticker").iter_rows()), file)
        universe.validate()
        return universe

    def validate(self) -> None:
        seen: set[str] = set()
        for ticker in self.tickers:
            if not ticker or ticker != ticker.upper() or "|" in ticker or "," in ticker or ticker in seen:
                rule = "tickers are upper case, unique, without '|' and ','"
                raise BadArgument(f"universe file {self.file}: bad ticker {ticker!r}", remedy=rule)
            seen.add(ticker)

    @property
    def tickers(self) -> list[str]:
        return [listing.ticker for listing in self.listings]

    def __getitem__(self, ticker: str) -> Listing:
        return next(listing for listing in self.listings if listing.ticker == ticker)

    def select(self, tickers: list[str]) -> list[str]:
        """The named tickers in universe order.

        Raises
        ------
        BadArgument : one of them is not in the universe.
        """
        wanted = [ticker.strip().upper() for ticker in tickers]
        for ticker in wanted:
            if ticker not in self.tickers:
                remedy = f"add it with `quant-assets universe add {ticker}` or choose from {', '.join(self.tickers)}"
                raise BadArgument(f"unknown ticker {ticker}", remedy=remedy)
        return [ticker for ticker in self.tickers if ticker in wanted]

    def add(self, listing: Listing) -> Universe:
        if listing.ticker in self.tickers:
            raise BadArgument(f"{listing.ticker} is already in {self.file.name}", remedy="nothing to do")
        return Universe(tuple(sorted((*self.listings, listing), key=lambda known: known.ticker)), self.file)._saved()

    def remove(self, ticker: str) -> Universe:
        self.select([ticker])
        if len(self.listings) == 1:
            raise BadArgument(f"{ticker} is the last ticker of {self.file.name}", remedy="a universe has at least one name")
        return Universe(tuple(known for known in self.listings if known.ticker != ticker.upper()), self.file)._saved()

    def _saved(self) -> Universe:
        self.validate()
        frame = pl.DataFrame([(known.ticker, known.source, known.listed) for known in self.listings], schema=SCHEMA, orient="row")
        beside = self.file.with_suffix(".new")
        try:
            frame.write_csv(beside)
            os.replace(beside, self.file)
        except OSError as error:
            raise BadArgument(f"{self.file} cannot be written ({error.strerror})", remedy="set `universe` to a file you own") from None
        return self
