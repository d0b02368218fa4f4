"""Daily bars as traded from a folder in QuantConnect LEAN's layout, with the corporate actions that its factor files hold.

    daily/TICKER.zip      stamp, open, high, low, close (USD x 10,000), volume; no header. A file belongs to a *ticker*, whoever had it
    map_files/NAME.csv    last day, ticker [, exchange]: which tickers a security had; recycled ones end in .1, .2
    factor_files/NAME.csv last day, price factor, split factor, last close: close x price factor x split factor is LEAN's adjusted close

Names here are those of map files. The bars of a name are gathered from the files of all its tickers, each cut to the days it was its own.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import BadArgument, SourceError
from quant_assets.identity import own_rows, securities
from quant_assets.logs import logger
from quant_assets.schemas import Dtype
from quant_assets.sources.base import known_at_close

PRICE_UNIT = 10_000
BAR_COLUMNS = ("open", "high", "low", "close", "volume")
FILED: dict[str, Dtype] = {"session": pl.Date, **dict.fromkeys(BAR_COLUMNS, pl.Float64)}
FACTORS: dict[str, Dtype] = {"until": pl.Date, **dict.fromkeys(("price_factor", "split_factor", "reference"), pl.Float64)}
RAW: dict[str, Dtype] = {
    **dict.fromkeys(("ticker", "security_id"), pl.String),
    "date": pl.Date,
    **dict.fromkeys((*BAR_COLUMNS, "price_factor", "split_factor", "reference"), pl.Float64),
}
MAX_REFERENCE_DIFFERENCE = 0.05
"""A factor file's last close is the bar's own, printed to the cent: one that is further off is another security's."""
SPLIT_NOISE = 1e-5
"""Split factors are printed with six digits: 0.01785710 for 1/56."""
MAX_SPLIT_TERM = 100


class LeanFiles:
    """Raw bars, splits and dividends of the names whose map, factor and price files are in the folder.

    Parameters
    ----------
    folder : what LEAN calls `equity/usa`, with `daily`, `map_files` and `factor_files` in it; BadArgument when it lacks one of them.
    """

    name = "lean"
    table = "prices"
    policy = None

    def __init__(self, folder: Path) -> None:
        lacks = [kind for kind in ("daily", "map_files", "factor_files") if not (folder / kind).is_dir()]
        if lacks:
            raise BadArgument(f"{folder} has no folder {' nor '.join(lacks)}", remedy="set sources.lean.folder to LEAN's equity/usa")
        self.folder = folder

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        names = [file.stem.upper() for file in sorted((self.folder / "map_files").glob("*.csv"))] if keys is None else keys
        found = {name: self._bars(name) for name in names if self._has(name)}
        return {name: _span(bars) for name, bars in found.items() if bars.height}

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The bars of the window and the one before it, in LEAN's units, with the factors and the `reference` (the last close, USD) of the
        factor row that holds them, and `security_id`.

        Raises
        ------
        SourceError : a file cannot be read; a factor row's last close is not that of the bars (limit 5 %).
        """
        parts = [self._asked(key, window) for key in keys if self._has(key)]
        empty = pl.DataFrame(schema=RAW)
        return pl.concat([empty, *parts]).sort("ticker", "date").with_columns(pl.col("date").cast(pl.Datetime("ns"))).to_pandas()

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        """A change of factors between two bars is what happened at the open of the second.

        LEAN's price factor falls by (C - D) / C at a dividend of D a share on a last close of C, which gives back D; for a share after
        the day's split, as `prices` has it, it is divided by that.
        """
        bars = pl.from_pandas(raw).select(list(RAW)).cast(pl.Schema(RAW)).sort("ticker", "date")

        def before(column: str) -> pl.Expr:
            return pl.col(column).shift().over("ticker")

        split = (pl.col("split_factor") / before("split_factor")).fill_null(1.0).map_elements(_as_declared, return_dtype=pl.Float64)
        kept = (before("price_factor") / pl.col("price_factor")).fill_null(1.0)
        paid = pl.when(kept == 1).then(0.0).otherwise((1 - kept) * before("reference"))
        rows = bars.with_columns(split=split, paid=paid).select(
            "ticker",
            *(pl.col(name) / PRICE_UNIT for name in ("open", "high", "low", "close")),
            "volume",
            session="date",
            split_factor="split",
            dividend=pl.col("paid") / pl.col("split"),
            inferred=pl.lit(False),
            price_basis=pl.lit("raw"),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(rows)

    def _has(self, name: str) -> bool:
        return all((self.folder / kind / f"{name.lower()}.csv").is_file() for kind in ("map_files", "factor_files"))

    def _asked(self, name: str, window: Window) -> pl.DataFrame:
        bars = self._bars(name)
        end = bars.filter(pl.col("date") < window.end)
        rows = pl.concat([end.filter(pl.col("date") < window.start).tail(1), end.filter(pl.col("date") >= window.start)])
        factors = self._factors(name)
        dated = rows.join_asof(factors, left_on="date", right_on="until", strategy="forward", coalesce=False)
        # the first row says where the file begins and has no close
        _refuse_strange_factors(name, dated, since=min(factors["until"], default=dt.date.max))
        return dated.with_columns(ticker=pl.lit(name)).select(list(RAW)).cast(pl.Schema(RAW))

    def _bars(self, name: str) -> pl.DataFrame:
        """security_id, ticker (as then), date and LEAN's columns of every bar that is the name's own, ascending."""
        known = securities({name: self._map_rows(name)})
        files = {ticker: self.folder / "daily" / f"{ticker.lower()}.zip" for ticker in known["ticker"].unique()}
        filed = [_read_daily(file).with_columns(ticker=pl.lit(ticker)) for ticker, file in sorted(files.items()) if file.is_file()]
        every = pl.concat([pl.DataFrame(schema={**FILED, "ticker": pl.String}), *filed])
        own = own_rows(every, known)
        if strange := every.height - own.height:
            ranges = ", ".join(f"{ticker} from {since} to {to or 'now'}" for _, ticker, since, to in known.iter_rows())
            logger.info(f"lean: {name}: {strange} bars under its tickers are another security's and left out; it was {ranges}")
        return own.rename({"session": "date"}).sort("date")

    def _map_rows(self, name: str) -> list[tuple[dt.date, str]]:
        rows = _lines(self.folder / "map_files" / f"{name.lower()}.csv", 2)
        return [(day, ticker.upper()) for day, ticker, *_ in rows]

    def _factors(self, name: str) -> pl.DataFrame:
        """until (last day), price_factor, split_factor, reference (USD), ascending."""
        file = self.folder / "factor_files" / f"{name.lower()}.csv"
        try:
            rows = [(day, float(price), float(split), float(close)) for day, price, split, close, *_ in _lines(file, 4)]
        except ValueError as error:
            raise SourceError(f"lean: {file} holds a factor that is no number ({error})", remedy="fetch it again") from None
        return pl.DataFrame(rows, schema=FACTORS, orient="row").sort("until")


def _read_daily(file: Path) -> pl.DataFrame:
    """session and LEAN's columns, in its units."""
    try:
        with zipfile.ZipFile(file) as archive:
            [member] = archive.namelist()
            content = archive.read(member)
        rows = pl.read_csv(io.BytesIO(content), has_header=False, new_columns=["stamp", *BAR_COLUMNS], infer_schema=False)
        day = pl.col("stamp").str.slice(0, 8).str.to_date("%Y%m%d")
        return rows.select(day.alias("session"), pl.col(BAR_COLUMNS).cast(pl.Float64))
    except (OSError, ValueError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise SourceError(f"lean: {file} is no zip of daily bars ({str(error).splitlines()[0]})", remedy="fetch it again") from None


def _lines(file: Path, width: int) -> list[tuple[Any, ...]]:
    """The rows of a CSV file without header whose first column is a day, each of at least `width` columns."""
    try:
        rows = [line.split(",") for line in file.read_text().split()]
        found = [(dt.datetime.strptime(row[0], "%Y%m%d").date(), *row[1:]) for row in rows]  # noqa: DTZ007 - a date
    except (OSError, ValueError) as error:
        raise SourceError(f"lean: {file} cannot be read ({error})", remedy="fetch it again") from None
    if short := [row for row in rows if len(row) < width]:
        raise SourceError(f"lean: {file} has a row of {len(short[0])} columns ({','.join(short[0])}), not {width}", remedy="fetch it again")
    return found


def _as_declared(ratio: float) -> float:
    """The ratio of small whole numbers that a printed ratio of split factors stands for, or the ratio itself."""
    near = float(Fraction(ratio).limit_denominator(MAX_SPLIT_TERM))
    return near if abs(ratio / near - 1) < SPLIT_NOISE else ratio


def _span(bars: pl.DataFrame) -> Window:
    first, last = bars["date"][0], bars["date"][-1]
    return Window(first, last + dt.timedelta(days=1))


def _refuse_strange_factors(name: str, dated: pl.DataFrame, *, since: dt.date) -> None:
    """Raises SourceError when a bar has no factors, or a last close after `since` is not that of its bar."""
    for row in dated.filter(pl.col("price_factor").is_null()).head(1).iter_rows(named=True):
        raise SourceError(f"lean: {name}: its factor file ends before the bar of {row['date']}", remedy="fetch the factor file again")
    off = pl.col("reference") / (pl.col("close") / PRICE_UNIT) - 1
    strange = dated.filter(pl.col("date") == pl.col("until"), pl.col("until") > since, off.abs() > MAX_REFERENCE_DIFFERENCE)
    for row in strange.head(1).iter_rows(named=True):
        raise SourceError(
            f"lean: {name} {row['date']}: the bar closed at {row['close'] / PRICE_UNIT:g} and the factor file says {row['reference']:g} "
            f"(limit {MAX_REFERENCE_DIFFERENCE:.0%} apart): bars and factors are of two securities",
            remedy="fetch bars, factor file and map file of one day",
        )
