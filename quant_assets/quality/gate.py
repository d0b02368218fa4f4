"""The gate in front of `prices`: which (ticker, year) cells get in, which are withheld, and the row-by-row reason.

Expectations on whole tables live in `suites.py`; what an orchestrator does with a verdict lives in `defs/`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from quant_assets.calendars import FIRST_DAY_KNOWN, Window, session_table
from quant_assets.lake.coverage import listed_sessions
from quant_assets.schemas import TABLES
from quant_assets.universe import Universe

PRICES = ("open", "high", "low", "close")
MAX_MOVE = 0.5
# Special dividends reach 11 % of the close before (MSFT, 2004-11-15). An inferred one far above is a wrong raw close, not a payment.
MAX_DIVIDEND = 0.25
RELEASABLE = ("ohlc_order", "extreme_move", "large_dividend")
"""Checks of what is likely. What the others find cannot be computed with, whoever lets it in."""
REMEDY = "; quarantined, correct it at the source and run again"


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


def judge_prices(
    rows: pl.DataFrame,
    universe: Universe,
    window: Window,
    *,
    fetched_at: dt.datetime,
    confirmed: pl.DataFrame | None = None,
    released: pl.DataFrame | None = None,
) -> Verdict:
    """Findings on normalised `prices` rows; an error withholds the ticker's whole calendar year, other cells go through.

    Parameters
    ----------
    rows : `prices` rows inside `window`; the bar before the window may come along so that its first move can be judged.
    universe : the names asked for: each must have a bar on every session of the window since its listing.
    fetched_at : when the sources were asked, for bars that none of them delivered.
    confirmed : ticker, session of moves that a second source shows too: a genuine extreme is no error.
    released : ticker, session, field, value that an operator lets in, where a check is about what is likely (RELEASABLE).
    """
    findings = pl.concat(
        [
            *_price_findings(rows),
            *_row_findings(rows, window),
            *_change_findings(rows, confirmed),
            _missing_sessions(rows, universe, window),
        ]
    )
    findings = findings.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    if released is not None:
        likely = pl.col("check").is_in(RELEASABLE)
        let_in = findings.filter(likely).join(released, on=["ticker", "session", "field", "value"], how="anti")
        findings = pl.concat([findings.filter(~likely), let_in])
    withheld: dict[tuple[str, int], str] = {}
    in_order = findings.sort("ticker", "session", maintain_order=True)
    for ticker, session, reason in in_order.select("ticker", "session", "reason").iter_rows():
        withheld.setdefault((ticker, session.year), reason)
    inside = rows.filter(pl.col("session").is_between(window.start, window.end, closed="left"))
    cells = pl.DataFrame(list(withheld), schema={"ticker": pl.String, "year": pl.Int32}, orient="row")
    with_year = inside.with_columns(year=pl.col("session").dt.year())
    accepted = with_year.join(cells, on=["ticker", "year"], how="anti", maintain_order="left").drop("year")
    return Verdict(accepted, _quarantine(findings, inside, fetched_at), withheld)


def _findings(rows: pl.DataFrame, where: pl.Expr, field: str, check: str, reason: pl.Expr) -> pl.DataFrame:
    """ticker, session, field, value, check, reason of the rows where the rule is broken; field "*" means the whole row."""
    value = pl.col(field).cast(pl.Float64) if field != "*" else pl.lit(None, dtype=pl.Float64)
    prefix = pl.format("{} {}: ", pl.col("ticker"), pl.col("session"))
    # polars 2.1 can panic when it formats strings over the chunks of a concatenated frame
    return (
        rows.filter(where)
        .rechunk()
        .select("ticker", "session", field=pl.lit(field), value=value, check=pl.lit(check), reason=pl.concat_str(prefix, reason))
    )


def _unsound(field: str) -> pl.Expr:
    """True where the price is missing, infinite or not above 0; only a source of adjusted closes may leave out all but the close."""
    price = pl.col(field)
    absent = price.is_null() & ((pl.col("price_basis") == "raw") | pl.lit(field == "close"))
    return absent | (price.is_not_null() & ~(price.is_finite() & (price > 0)))


def _shown(field: str) -> pl.Expr:
    return pl.col(field).cast(pl.String).fill_null("missing")


def _price_findings(rows: pl.DataFrame) -> list[pl.DataFrame]:
    sound = rows.filter(~pl.any_horizontal(_unsound(field) for field in PRICES))
    top, bottom = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    above = pl.format("high {} is below {} of its own bar" + REMEDY, pl.col("high"), top)
    below = pl.format("low {} is above {} of its own bar" + REMEDY, pl.col("low"), bottom)
    return [
        *(
            _findings(
                rows, _unsound(field), field, "positive_price", pl.format(field + " is {}, a price is above 0" + REMEDY, _shown(field))
            )
            for field in PRICES
        ),
        _findings(sound, pl.col("high") < top, "high", "ohlc_order", above),
        _findings(sound, pl.col("low") > bottom, "low", "ohlc_order", below),
    ]


def _row_findings(rows: pl.DataFrame, window: Window) -> list[pl.DataFrame]:
    volume = pl.col("volume")
    impossible = (volume.is_null() & (pl.col("price_basis") == "raw")) | (volume.is_not_null() & ~(volume.is_finite() & (volume >= 0)))
    closed = ~pl.col("session").is_in(session_table(window)["session"].implode())
    early = pl.lit(f"the calendar of the exchange begins on {FIRST_DAY_KNOWN}; quarantined, ask for later bars")
    unknown = pl.col("session") < dt.date.fromisoformat(FIRST_DAY_KNOWN)
    shut = pl.when(unknown).then(early).otherwise(pl.lit("the exchange was closed that day" + REMEDY))
    repeated = pl.struct("ticker", "session").is_duplicated()
    return [
        _findings(
            rows, impossible, "volume", "volume", pl.format("volume is {}, a number of shares is not below 0" + REMEDY, _shown("volume"))
        ),
        _findings(rows, repeated, "*", "unique_key", pl.lit("more than one bar of the same session" + REMEDY)),
        _findings(rows, closed, "*", "exchange_session", shut),
    ]


def _change_findings(rows: pl.DataFrame, confirmed: pl.DataFrame | None) -> list[pl.DataFrame]:
    """Rules on a bar and the last sound one before it: the corporate action and the move of the close."""
    sound = rows.filter(~_unsound("close")).sort("ticker", "session", maintain_order=True)
    before = pl.col("close").shift().over("ticker")
    paid, split = pl.col("dividend") * pl.col("split_factor"), pl.col("split_factor")
    seen = sound.with_columns(before=before).with_columns(move=pl.col("close") * split / pl.col("before") - 1)
    bad_split = ~(split.is_finite() & (split > 0))
    impossible_dividend = ~(pl.col("dividend").is_finite() & (pl.col("dividend") >= 0)) | (paid >= pl.col("before"))
    large_dividend = ~impossible_dividend & (paid > MAX_DIVIDEND * pl.col("before"))
    moved = seen if confirmed is None else seen.join(confirmed, on=["ticker", "session"], how="anti")
    limit = round(100 * MAX_DIVIDEND)
    return [
        _findings(seen, bad_split, "split_factor", "corporate_action", pl.format("split factor {} is not above 0" + REMEDY, split)),
        *(
            _findings(
                seen,
                where,
                "dividend",
                check,
                pl.format(
                    f"dividend {{}} USD on a close of {{}} (limits 0 and {limit} % of the close before), so raw and adjusted close disagree"
                    + REMEDY,
                    pl.col("dividend").round(4),
                    pl.col("close"),
                ),
            )
            for check, where in (("corporate_action", impossible_dividend), ("large_dividend", large_dividend))
        ),
        _findings(
            moved,
            pl.col("move").abs() > MAX_MOVE,
            "close",
            "extreme_move",
            pl.format(
                f"close moved {{}} % with no split on record and no second source that shows it (limit {round(100 * MAX_MOVE)} %); "
                "quarantined, add the corporate action, or let it in with `quant-assets data quarantine release`",
                (100 * pl.col("move")).round(1),
            ),
        ),
    ]


def _missing_sessions(rows: pl.DataFrame, universe: Universe, window: Window) -> pl.DataFrame:
    """Sessions between a ticker's listing and the end of the window for which the source has no bar."""
    expected = listed_sessions(universe, window).rename({"key": "ticker"})
    missing = expected.join(rows, on=["ticker", "session"], how="anti")
    reason = pl.lit("no bar; run again, name a second source, list the name later, or give its last session as `delisted`")
    return _findings(missing, pl.lit(True), "*", "missing_session", reason)


def _quarantine(findings: pl.DataFrame, rows: pl.DataFrame, fetched_at: dt.datetime) -> pl.DataFrame:
    """One row an offending (ticker, session, field), with the bar as JSON, or the list of them where there are several."""
    bars = (
        rows.join(findings, on=["ticker", "session"], how="semi", maintain_order="left")
        .select("ticker", "session", "source", "fetched_at", row=pl.struct(pl.all()).struct.json_encode())
        .group_by("ticker", "session", maintain_order=True)
        .agg(pl.col("source", "fetched_at").first(), "row")
    )
    one, several = pl.col("row").list.first(), pl.format("[{}]", pl.col("row").list.join(","))
    delivered = bars.with_columns(row=pl.when(pl.col("row").list.len() == 1).then(one).otherwise(several))
    return (
        findings.unique(["ticker", "session", "field"], keep="first", maintain_order=True)
        .join(delivered, on=["ticker", "session"], how="left", maintain_order="left")
        .with_columns(
            pl.lit("prices").alias("table"),
            pl.col("row").fill_null("{}"),
            pl.col("source").fill_null("none"),
            pl.col("fetched_at").fill_null(fetched_at),
        )
        .select(list(TABLES["quarantine"].schema))
    )
