"""The gate in front of `prices`: which (ticker, year) cells get in, which are withheld, and the row-by-row reason.

Expectations on whole tables live in `suites.py`; what an orchestrator does with a verdict lives in `defs/`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from quant_assets.calendars import Window
from quant_assets.schemas import TABLES
from quant_assets.universe import Universe

MAX_MOVE = 0.5


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    accepted : rows that may be stored.
    quarantined : rows of `quarantine`, one an offending (ticker, session, field).
    withheld : (ticker, year) cells that are not stored, with the reason.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    withheld: dict[tuple[str, int], str]


def judge_prices(rows: pl.DataFrame, universe: Universe, window: Window, *, confirmed: pl.DataFrame | None = None) -> Verdict:
    """Findings on normalised `prices` rows; an error withholds the ticker's whole calendar year, other cells go through.

    Parameters
    ----------
    rows : `prices` rows inside `window`; the bar before the window may come along so that its first move can be judged.
    confirmed : ticker, session of moves that a second source shows too: a genuine extreme is no error.
    """
    findings = pl.concat([*_row_findings(rows), _extreme_moves(rows, confirmed), _missing_sessions(rows, universe, window)])
    findings = findings.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    withheld: dict[tuple[str, int], str] = {}
    for ticker, session, reason in findings.sort("ticker", "session").select("ticker", "session", "reason").iter_rows():
        withheld.setdefault((ticker, session.year), reason)
    inside = rows.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    cells = pl.DataFrame(list(withheld), schema={"ticker": pl.String, "year": pl.Int32}, orient="row")
    with_year = inside.with_columns(year=pl.col("session").dt.year())
    accepted = with_year.join(cells, on=["ticker", "year"], how="anti").drop("year")
    return Verdict(accepted, _quarantine(findings, inside), withheld)


def _findings(rows: pl.DataFrame, where: pl.Expr, field: str, check: str, reason: pl.Expr) -> pl.DataFrame:
    value = pl.col(field).cast(pl.Float64) if field != "*" else pl.lit(None, dtype=pl.Float64)
    prefix = pl.format("{} {}: ", pl.col("ticker"), pl.col("session"))
    return rows.filter(where).select(
        "ticker", "session", field=pl.lit(field), value=value, check=pl.lit(check), reason=pl.concat_str(prefix, reason)
    )


def _row_findings(rows: pl.DataFrame) -> list[pl.DataFrame]:
    remedy = "; quarantined, correct it at the source and run again"
    found = [
        _findings(
            rows,
            ~(pl.col(field).is_null() | (pl.col(field).is_finite() & (pl.col(field) > 0))),
            field,
            "positive_price",
            pl.format("{} is {}, a price is above 0" + remedy, pl.lit(field), pl.col(field)),
        )
        for field in ("open", "high", "low", "close")
    ]
    top, bottom = pl.max_horizontal("open", "close", "low"), pl.min_horizontal("open", "close", "high")
    return [
        *found,
        _findings(
            rows, pl.col("high") < top, "high", "ohlc_order", pl.format("high {} is below {} of its own bar" + remedy, pl.col("high"), top)
        ),
        _findings(rows, pl.col("low") > bottom, "low", "ohlc_order", pl.format("low {} is above {} of its own bar" + remedy, pl.col("low"), bottom)),
        _findings(rows, pl.col("volume") < 0, "volume", "volume", pl.format("volume {} is negative" + remedy, pl.col("volume"))),
        _findings(
            rows,
            pl.struct("ticker", "session").is_duplicated(),
            "*",
            "unique_key",
            pl.lit("more than one bar of the same session" + remedy),
        ).unique(["ticker", "session"]),
        _findings(
            rows,
            pl.col("known_at").dt.convert_time_zone("UTC").dt.time() == dt.time(0),
            "*",
            "exchange_session",
            pl.lit("the exchange was closed that day" + remedy),
        ),
    ]


def _extreme_moves(rows: pl.DataFrame, confirmed: pl.DataFrame | None) -> pl.DataFrame:
    before = pl.col("close").shift().over("ticker")
    move = pl.col("close") * pl.col("split_factor") / before - 1
    moved = rows.sort("ticker", "session").with_columns(move=move)
    if confirmed is not None:
        moved = moved.join(confirmed, on=["ticker", "session"], how="anti")
    reason = pl.format(
        "close moved {} % with no split on record and no second source that shows it (limit {} %); quarantined, add the corporate action",
        (100 * pl.col("move")).round(1),
        pl.lit(round(100 * MAX_MOVE)),
    )
    return _findings(moved, pl.col("move").abs() > MAX_MOVE, "close", "extreme_move", reason)


def _missing_sessions(rows: pl.DataFrame, universe: Universe, window: Window) -> pl.DataFrame:
    """Sessions between a ticker's listing and the end of the window for which the source has no bar."""
    have = set(rows.select("ticker", "session").iter_rows())
    missing = [
        (listing.ticker, session, "*", None, "missing_session", f"{listing.ticker} {session}: no bar; the source has a hole, run again or name another source")
        for listing in universe.listings
        for session in listing.sessions(window)
        if (listing.ticker, session) not in have
    ]
    schema = {"ticker": pl.String, "session": pl.Date, "field": pl.String, "value": pl.Float64, "check": pl.String, "reason": pl.String}
    return pl.DataFrame(missing, schema=schema, orient="row")


def _quarantine(findings: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    delivered = rows.unique(["ticker", "session"], keep="first").select(
        "ticker", "session", "source", "fetched_at", row=pl.struct(pl.all()).struct.json_encode()
    )
    table = TABLES["quarantine"]
    return (
        findings.unique(["ticker", "session", "field"], keep="first", maintain_order=True)
        .join(delivered, on=["ticker", "session"], how="left")
        .with_columns(
            pl.lit("prices").alias("table"),
            pl.col("row").fill_null("{}"),
            pl.col("source").fill_null("none"),
            pl.col("fetched_at").fill_null(rows["fetched_at"].max()),
        )
        .select(list(table.schema))
    )
