"""Ten ways of looking ahead that were found late elsewhere, each beside the honest way of saying the same, and real rows to try them on.

Each takes tables of the lake and gives `ticker`, `session`, `value`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl

from quant_assets.adjustments import adjust, forward_adjusted
from quant_assets.calendars import Window, session_table
from quant_assets.labels.forward_returns import forward_return_labels
from quant_assets.quality.withheld import Tables
from quant_assets.schemas import TABLES
from quant_assets_tests.features.panels import quandl_sample
from quant_assets_tests.sources.fred_answers import GDP

D = dt.date
YEAR = Window(D(2014, 1, 2), D(2015, 1, 1))
HORIZON = 3
KEY = ("ticker", "session")


def real_tables(prices: pl.DataFrame, index_prices: pl.DataFrame, fundamentals: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Four names of 2014 with a split, dividends and a listing; the S&P 500; the GDP as published; what Apple filed."""
    calendar = session_table(Window(YEAR.start, D(2015, 2, 1)))
    last: dt.date = prices["session"].max()  # type: ignore[assignment]
    labels = forward_return_labels(prices.lazy(), calendar, horizon=HORIZON, as_of=last)
    return {"prices": prices, "index_prices": index_prices, "macro": _gdp(), "fundamentals": fundamentals, "labels": labels}


def _gdp() -> pl.DataFrame:
    rows = [("GDP", D.fromisoformat(day), D.fromisoformat(told), float(value)) for day, told, value in GDP]
    frame = pl.DataFrame(rows, schema=["series", "session", "told", "value"], orient="row")
    morning = pl.col("told").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(hours=13)
    return frame.select("series", "session", "value", published="told", known_at=morning)


def sample_prices(shared: Path) -> pl.DataFrame:
    rows = quandl_sample(shared)
    closes = session_table(Window(D(2013, 12, 1), D(2015, 2, 1)))
    named = rows.join(closes, on="session").rename({"close_at": "known_at"})
    wanted = [name for name in TABLES["prices"].schema if name in named.columns]
    return named.select(wanted).filter(pl.col("session").is_between(YEAR.start, YEAR.end, closed="left")).sort(KEY)


def value(rows: pl.DataFrame, told: pl.Expr) -> pl.DataFrame:
    return rows.select(*KEY, value=told)


def _bars(tables: Tables) -> pl.DataFrame:
    return forward_adjusted(tables["prices"].lazy()).collect()


def _returns(tables: Tables) -> pl.DataFrame:
    close = pl.col("adj_close")
    return _bars(tables).with_columns(ret=(close / close.shift(1) - 1).over("ticker"))


def whole_series_normalisation(tables: Tables) -> pl.DataFrame:
    close = pl.col("adj_close")
    return value(_bars(tables), ((close - close.mean()) / close.std()).over("ticker"))


def expanding_normalisation(tables: Tables) -> pl.DataFrame:
    close = pl.col("adj_close")
    mean = close.cum_sum() / close.cum_count()
    return value(_bars(tables), (close / mean - 1).over("ticker"))


def centred_window(tables: Tables) -> pl.DataFrame:
    return value(_bars(tables), pl.col("adj_close").rolling_mean(5, center=True).over("ticker"))


def trailing_window(tables: Tables) -> pl.DataFrame:
    return value(_bars(tables), pl.col("adj_close").rolling_mean(5).over("ticker"))


def unshifted_label(tables: Tables) -> pl.DataFrame:
    return value(tables["labels"], pl.col("label").cast(pl.Float64))


def shifted_label(tables: Tables) -> pl.DataFrame:
    return value(tables["labels"].sort(KEY), pl.col("label").cast(pl.Float64).shift(HORIZON).over("ticker"))


def _yields(tables: Tables) -> pl.DataFrame:
    paid = pl.col("dividend") > 0
    return tables["prices"].sort(KEY).with_columns(paid=pl.when(paid).then(pl.col("dividend") / pl.col("close")))


def back_filled(tables: Tables) -> pl.DataFrame:
    return value(_yields(tables), pl.col("paid").backward_fill().over("ticker"))


def forward_filled(tables: Tables) -> pl.DataFrame:
    return value(_yields(tables), pl.col("paid").forward_fill().over("ticker"))


def future_adjusted(tables: Tables) -> pl.DataFrame:
    """As vendors do: prices as of today, and a level of them."""
    prices = tables["prices"]
    today: dt.date = prices["session"].max()  # type: ignore[assignment]
    return value(adjust(prices.lazy(), today).collect(), pl.col("close"))


def forward_grown(tables: Tables) -> pl.DataFrame:
    return value(_bars(tables), pl.col("adj_close"))


def revised_macro(tables: Tables) -> pl.DataFrame:
    latest = tables["macro"].sort("session", "known_at").unique("session", keep="last", maintain_order=True)
    known = latest.group_by("session").agg(pl.col("value").last()).sort("session")
    first = tables["macro"].group_by("session").agg(told=pl.col("known_at").min().dt.date())
    published = known.join(first, on="session").select("value", told="told").sort("told")
    return value(_days(tables).join_asof(published, left_on="session", right_on="told"), pl.col("value"))


def macro_as_of(tables: Tables) -> pl.DataFrame:
    versions = tables["macro"].sort("known_at").select("known_at", macro="value")
    return value(_closes(tables).join_asof(versions, left_on="close_at", right_on="known_at"), pl.col("macro"))


def _days(tables: Tables) -> pl.DataFrame:
    return tables["prices"].select(KEY).sort("session")


def _closes(tables: Tables) -> pl.DataFrame:
    return _days(tables).join(session_table(YEAR), on="session").sort("close_at")


def _net_income(tables: Tables) -> pl.DataFrame:
    return tables["fundamentals"].filter(concept="NetIncomeLoss")


def by_period_end(tables: Tables) -> pl.DataFrame:
    told = _net_income(tables).sort("period_end", "period_start", "accession").select("ticker", "period_end", income="value")
    return value(_days(tables).join_asof(told, left_on="session", right_on="period_end", by="ticker"), pl.col("income"))


def by_filing(tables: Tables) -> pl.DataFrame:
    told = _net_income(tables).sort("known_at", "period_end", "period_start", "accession").select("ticker", "known_at", income="value")
    joined = _closes(tables).join_asof(told, left_on="close_at", right_on="known_at", by="ticker")
    return value(joined, pl.col("income"))


def _encoded(tables: Tables) -> pl.DataFrame:
    return tables["labels"].sort(KEY).with_columns(day=pl.col("session").dt.weekday(), up=pl.col("label").cast(pl.Float64))


def target_encoding_over_all_folds(tables: Tables) -> pl.DataFrame:
    return value(_encoded(tables), pl.col("up").mean().over("ticker", "day"))


def target_encoding_of_the_past(tables: Tables) -> pl.DataFrame:
    """A week later, the label of the same weekday is known."""
    past = pl.col("up").shift(1)
    return value(_encoded(tables), (past.cum_sum() / past.cum_count()).over("ticker", "day"))


def cross_section_with_a_later_listing(tables: Tables) -> pl.DataFrame:
    """The return of the market as the mean over all names there ever are."""
    returns = _returns(tables)
    return value(returns, pl.col("ret").sum().over("session") / returns["ticker"].n_unique())


def cross_section_of_the_session(tables: Tables) -> pl.DataFrame:
    return value(_returns(tables), pl.col("ret").mean().over("session"))


def _weekly(tables: Tables, label: str) -> pl.DataFrame:
    weeks = _bars(tables).sort(KEY).group_by_dynamic("session", every="1w", group_by="ticker", label=label)  # type: ignore[arg-type]
    closes = weeks.agg(week=pl.col("adj_close").last()).sort("session")
    return _days(tables).join_asof(closes, on="session", by="ticker")


def weeks_by_their_left_edge(tables: Tables) -> pl.DataFrame:
    return value(_weekly(tables, "left"), pl.col("week"))


def weeks_by_their_right_edge(tables: Tables) -> pl.DataFrame:
    return value(_weekly(tables, "right"), pl.col("week"))


Way = Callable[[Tables], pl.DataFrame]
PAIRS: dict[str, tuple[Way, Way]] = {
    "whole-series normalisation": (whole_series_normalisation, expanding_normalisation),
    "centred window": (centred_window, trailing_window),
    "unshifted label": (unshifted_label, shifted_label),
    "back-fill": (back_filled, forward_filled),
    "future-adjusted prices": (future_adjusted, forward_grown),
    "revised macro value": (revised_macro, macro_as_of),
    "period-end join of a fundamental": (by_period_end, by_filing),
    "target encoding over all folds": (target_encoding_over_all_folds, target_encoding_of_the_past),
    "cross-section including a later listing": (cross_section_with_a_later_listing, cross_section_of_the_session),
    "resampling labelled at the left edge": (weeks_by_their_left_edge, weeks_by_their_right_edge),
}
"""What leaks, and what does not."""
