"""A folder of native Stooq files, one a ticker, as the Kaggle set "price-volume data for all US stocks & ETFs" holds them.

`aapl.us.txt`: Date,Open,High,Low,Close,Volume,OpenInt. Prices are adjusted for splits and dividends up to the day the file was made and
printed to five significant digits, so `price_basis` is "adjusted". How the set gets here is `kaggle_download.py`'s business, how a
single new file does `intake.py`'s.
"""

from __future__ import annotations

import datetime as dt
import os
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import polars as pl

from quant_assets.calendars import Window
from quant_assets.errors import NoData, SourceError
from quant_assets.settings import Settings
from quant_assets.sources.base import known_at_close

NAME = "kaggle"
SUFFIX = ".us.txt"
HEADER = ("Date", "Open", "High", "Low", "Close", "Volume", "OpenInt")
NUMBERS = HEADER[1:]
REPLACED = "replaced"
"""Where in the folder `intake.py` keeps the files that a newer one took the place of."""
SIGNIFICANT_DIGITS = 5
SMALLEST_STEP_USD = 1e-5
UNKNOWN = Window(dt.date.min, dt.date.max)
A_LINE = 256


def native_folder(settings: Settings) -> Path:
    named = settings.sources[NAME].folder if NAME in settings.sources else None
    return settings.path(named or settings.paths.data / "native")


def ticker_of(file: Path) -> str | None:
    """`brk-b.us.txt` is BRK-B; None when the name is not that of a native file."""
    stem = file.name[: -len(SUFFIX)]
    return stem.upper() if stem and file.name.lower().endswith(SUFFIX) and not stem.startswith(".") else None


def spelled(ticker: str) -> str:
    """The ticker however its parts are joined: BRK.B, BRK_B and BRK-B are one name."""
    return ticker.upper().replace(".", "-").replace("_", "-")


def rounding(price: pl.Expr) -> pl.Expr:
    """The most, as a fraction of it, that a printed price may be off: half a unit of its fifth digit, or of its fifth decimal."""
    step = pl.max_horizontal(10.0 ** (price.log10().floor() - (SIGNIFICANT_DIGITS - 1)), pl.lit(SMALLEST_STEP_USD))
    return step / price / 2


def read_native(content: bytes, name: str) -> pl.DataFrame:
    """Date and six numbers of every row, in the file's order; NaN where a row holds no number, or not seven fields.

    Such a row goes on to the quality gate, which names it. One without a date could never be found again, so it refuses the file.

    Raises
    ------
    NoData : the file is empty, or nothing follows its header. SourceError : not this header, or a row without a date.
    """
    correct = "replace the file, or name another source"
    content = content.removeprefix(BOM_UTF8)
    if not content.strip():
        raise NoData(f"{NAME}: {name} is empty", remedy=correct)
    header = content.split(b"\n", 1)[0].strip().decode(errors="replace")
    if header.lower() != ",".join(HEADER).lower():
        raise SourceError(f"{NAME}: {name} begins with {header[:80]!r} where {','.join(HEADER)} is expected", remedy=correct)
    try:  # whole lines, whatever is in them
        lines = pl.read_csv(content, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String})
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{NAME}: {name} is no text ({str(error).splitlines()[0]})", remedy=correct) from None
    numbered = lines.with_row_index("number", offset=1).slice(1).with_columns(pl.col("line").str.strip_chars_end(" \r"))
    fields = numbered.filter(pl.col("line") != "").with_columns(field=pl.col("line").str.split(","))
    if fields.is_empty():
        raise NoData(f"{NAME}: {name} has a header and no bar", remedy=correct)
    field = pl.col("field").list
    numbers = [field.get(place, null_on_oob=True).cast(pl.Float64, strict=False) for place in range(1, len(HEADER))]
    whole = field.len() == len(HEADER)
    rows = fields.select(
        "number",
        "line",
        field.get(0).str.to_date("%Y-%m-%d", strict=False).alias("Date"),
        *(pl.when(whole).then(value).fill_null(float("nan")).alias(column) for column, value in zip(NUMBERS, numbers, strict=True)),
    )
    for number, line in rows.filter(pl.col("Date").is_null()).select("number", "line").head(1).iter_rows():
        raise SourceError(f"{NAME}: {name} line {number} begins with no date: {line[:80]!r}", remedy=f"correct the line, or {correct}")
    return rows.select(HEADER)


class NativeFiles:
    """The folder and all below it, but for hidden folders and `replaced`. Data inside a folder ask no vendor."""

    name = NAME
    table = "prices"
    policy = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: dict[str, list[Path]] | None = None

    def offers(self, keys: Sequence[str] | None = None) -> dict[str, Window]:
        """Of each file its first and last date; of one that cannot be read so, all time: what is wrong shows when it is fetched."""
        self._listed = listed = self._listing()
        wanted = sorted(listed) if keys is None else [key for key in keys if spelled(key) in listed]
        return {key: _dates(listed[spelled(key)][0]) for key in wanted}

    def fetch(self, keys: Sequence[str], window: Window) -> pd.DataFrame:
        """The file's columns as numbers, with lower-case `ticker` and `date`; the bars of the window and the one before it.

        Raises
        ------
        SourceError : several files of a ticker that differ, or as `read_native`, which also raises NoData.
        """
        parts = [_frame("", pl.DataFrame(schema={"Date": pl.Date, **dict.fromkeys(NUMBERS, pl.Float64)}))]
        for key in keys:
            if (file := self.file_of(key)) is not None:
                rows = read_native(_content(file), str(file.relative_to(self.folder))).sort("Date", maintain_order=True)
                first, end = (rows["Date"].search_sorted(day, side="left") for day in (window.start, window.end))
                parts.append(_frame(key, rows[max(first - 1, 0) : end]))
        return pd.concat(parts[1:] or parts, ignore_index=True)

    def normalise(self, raw: pd.DataFrame, *, fetched_at: dt.datetime) -> pl.DataFrame:
        rows = pl.from_pandas(raw).select(
            pl.col("ticker").cast(pl.String),
            # pandas has one word for "no number": every field of a native file is there, so the gate shall see it
            pl.col("Open", "High", "Low", "Close", "Volume").cast(pl.Float64).fill_null(float("nan")).name.to_lowercase(),
            session=pl.col("date").dt.date(),
            price_basis=pl.lit("adjusted"),
            split_factor=pl.lit(1.0),
            dividend=pl.lit(0.0),
            inferred=pl.lit(False),
            source=pl.lit(self.name),
            fetched_at=pl.lit(fetched_at, dtype=pl.Datetime("us", "UTC")),
        )
        return known_at_close(rows)

    def file_of(self, ticker: str) -> Path | None:
        """The ticker's file: the one that is named exactly so, or the only one that spells it otherwise; None when there is none.

        The folder is as `offers` last saw it. Raises SourceError when there are several files, and they differ.
        """
        if self._listed is None:
            self._listed = self._listing()
        files = self._listed.get(spelled(ticker), [])
        files = [file for file in files if ticker_of(file) == ticker.upper()] or files
        if len(files) > 1 and len({_content(file) for file in files}) > 1:
            names = ", ".join(str(file.relative_to(self.folder)) for file in files)
            raise SourceError(f"{NAME}: {ticker} has {len(files)} files that differ: {names}", remedy="keep one of them")
        return files[0] if files else None

    def _listing(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for folder, below, names in os.walk(self.folder):
            below[:] = sorted(name for name in below if not name.startswith(".") and name != REPLACED)
            for name in sorted(names):
                if ticker := ticker_of(Path(name)):
                    found.setdefault(spelled(ticker), []).append(Path(folder, name))
        return found


def _frame(ticker: str, rows: pl.DataFrame) -> pd.DataFrame:
    """The rows in pandas, without the detour over arrow that takes longer than reading them."""
    dates = rows["Date"].to_numpy().astype("datetime64[ns]")
    return pd.DataFrame({"date": dates, **{name: rows[name].to_numpy() for name in NUMBERS}}, copy=False).assign(ticker=ticker)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(f"{NAME}: {file} cannot be read ({error.strerror})", remedy="make it readable") from None


def _dates(file: Path) -> Window:
    """The dates of the first and the last row, without reading what lies between."""
    try:
        with file.open("rb") as opened:
            head = opened.read(2 * A_LINE).splitlines()[1]
            opened.seek(-min(A_LINE, file.stat().st_size), os.SEEK_END)
            tail = opened.read().splitlines()[-1]
        first, last = (dt.date.fromisoformat(line.split(b",")[0].decode()) for line in (head, tail))
    except (OSError, IndexError, ValueError):
        return UNKNOWN
    return Window(first, last + dt.timedelta(days=1)) if first <= last else UNKNOWN
