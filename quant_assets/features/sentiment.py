"""Sentiment: earnings surprises, analysts, insiders and news, as known at the close of the session.

What had been told by when is `opinions.py`'s business; the columns it gives to each bar are prefixed `told_`. Days from and to an
announcement live in `events.py`.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from quant_assets.features.feature import Beside, Feature, Tables
from quant_assets.features.opinions import NEWS_DAYS, analysts, article_counts, insider_trades, readings, surprises
from quant_assets.features.tellings import beside

FAMILY = "sentiment"


def columns_of(**columns: str) -> dict[str, pl.Expr]:
    return {f"told_{name}": pl.col(column) for name, column in columns.items()}


EARNINGS = columns_of(beat_rate="beat_rate", surprise="surprise", surprise_standardised="standardised")
INSIDERS = columns_of(insider_buying="net_buying")
ANALYSTS = columns_of(analyst_score="score", analyst_change="change", analyst_month="month")
NEWS = columns_of(news_score="score", news_dispersion="dispersion", news_day="observed")
BEFORE = columns_of(news_score_before="score")
ARTICLES = columns_of(articles="articles")


def with_earnings(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    return beside(bars, surprises(tables["earnings"]), EARNINGS)


def with_insiders(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    return beside(bars, insider_trades(tables["insider_transactions"]), INSIDERS)


def with_analysts(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    return beside(bars, analysts(tables["recommendations"]), ANALYSTS)


def with_news(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """The last reading, and the one that was the last seven days before the close: a reading comes up again seven days later."""
    told = readings(tables["news_sentiment"])
    again = told.with_columns(pl.col("known_at").dt.offset_by(f"{NEWS_DAYS}d"))
    return beside(beside(bars, told, NEWS), again, BEFORE)


def with_articles(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    return beside(bars, article_counts(tables["articles"]), ARTICLES)


BESIDE = (
    Beside(tables=("earnings",), columns=tuple(EARNINGS), join=with_earnings),
    Beside(tables=("insider_transactions",), columns=tuple(INSIDERS), join=with_insiders),
    Beside(tables=("recommendations",), columns=tuple(ANALYSTS), join=with_analysts),
    Beside(tables=("news_sentiment",), columns=(*NEWS, *BEFORE), join=with_news),
    Beside(tables=("articles",), columns=tuple(ARTICLES), join=with_articles),
)

# What says which rows count (the code of a transaction, the day of an announcement) is not among the inputs.
EPS = ("earnings.eps_actual", "earnings.eps_estimate")
GRADES = tuple(f"recommendations.{name}" for name in ("strong_buy", "buy", "hold", "sell", "strong_sell"))
NO_EARNINGS = "fewer announcements with an estimate are known; offline profiles have none"
NO_ANALYSTS = "no month of recommendations is known; offline profiles have none"
NO_NEWS = "no reading of the news is known; offline profiles have none"


def told(name: str, expression: pl.Expr, inputs: tuple[str, ...], **fields: Any) -> Feature:
    return Feature(name=name, family=FAMILY, expression=expression, inputs=inputs, lookback=0, recursive=False, **fields)


def days_since(column: str) -> pl.Expr:
    """Calendar days from a day to the session."""
    return (pl.col("session") - pl.col(column)).dt.total_days().cast(pl.Float64)


FEATURES = (
    told(
        "eps_beat_rate_8",
        pl.col("told_beat_rate"),
        EPS,
        unit="fraction",
        low=0.0,
        high=1.0,
        formula="share of the last 8 announcements with EPS > estimate",
        meaning="how reliably the company beats what analysts expect",
        missing=NO_EARNINGS,
        source="definition; announcements without an estimate are passed over, a tie is no beat",
    ),
    told(
        "eps_surprise",
        pl.col("told_surprise"),
        EPS,
        unit="fraction of estimate",
        formula="(EPS - estimate) / |estimate| of the last announcement",
        meaning="how far the last result was above (+) or below (-) what analysts expected",
        missing=f"{NO_EARNINGS}; the estimate was 0",
        source="definition; the vendor's consensus and EPS on the vendor's basis",
    ),
    told(
        "eps_surprise_standardised",
        pl.col("told_surprise_standardised"),
        EPS,
        unit="standard deviations",
        formula="eps_surprise / std(eps_surprise of the 8 announcements before it), ddof 1",
        meaning="whether the last surprise was large for this company",
        missing=f"{NO_EARNINGS}; an estimate among the 9 was 0, the 8 surprises were all the same",
        source="standardised unexpected earnings, Foster, Olsen & Shevlin (1984), of relative surprises, which splits leave alone",
    ),
    told(
        "insider_net_buying_90",
        pl.col("told_insider_buying"),
        ("insider_transactions.change", "insider_transactions.price"),
        unit="fraction",
        low=-1.0,
        high=1.0,
        formula="(bought - sold) / (bought + sold) in USD, filings of the last 90 calendar days, 0 without trades",
        meaning="whether insiders put their own money in (1 all bought) or take it out (-1 all sold)",
        missing="the first filing known of the name is not 90 days old; offline profiles have none",
        source="net purchase ratio, Lakonishok & Lee (2001), in USD; open-market codes P and S of Form 4, shares only",
    ),
    told(
        "analyst_score",
        pl.col("told_analyst_score"),
        GRADES,
        unit="1..5",
        low=1.0,
        high=5.0,
        formula="mean grade of the latest month: 5 strong buy, 4 buy, 3 hold, 2 sell, 1 strong sell",
        meaning="what analysts recommend on average: 5 buy, 1 sell",
        missing=f"{NO_ANALYSTS}; no analyst says anything",
        source="definition; many vendors count the other way round",
    ),
    told(
        "analyst_score_change_3m",
        pl.col("told_analyst_change"),
        GRADES,
        unit="grades",
        low=-4.0,
        high=4.0,
        formula="analyst_score - that of the month three months earlier, both as known now",
        meaning="whether analysts have become kinder (+) or harsher (-)",
        missing=f"{NO_ANALYSTS}; the month three months earlier is not among them",
        source="change in consensus, Jegadeesh, Kim, Krische & Lee (2004)",
    ),
    told(
        "analyst_age_days",
        days_since("told_analyst_month"),
        ("recommendations.period",),
        unit="days",
        formula="session - first day of the latest month of recommendations known, in calendar days",
        meaning="how old the recommendations are: above 31 the newest month is missing",
        missing=NO_ANALYSTS,
        source="definition; below 0 where a vendor tells of the month to come",
    ),
    told(
        "news_score",
        pl.col("told_news_score"),
        ("news_sentiment.score",),
        unit="0..1",
        low=0.0,
        high=1.0,
        formula="the vendor's company news score, last reading",
        meaning="how favourable the last week's news reads: above 0.5 rather good",
        missing=NO_NEWS,
        source="Finnhub, companyNewsScore",
    ),
    told(
        "news_score_change_7d",
        pl.col("told_news_score") - pl.col("told_news_score_before"),
        ("news_sentiment.score",),
        unit="score",
        low=-1.0,
        high=1.0,
        formula="news_score - the last reading known 7 days before the close",
        meaning="whether the news has become better (+) or worse (-) within a week",
        missing=f"{NO_NEWS}; none was known 7 days before",
        source="Finnhub, companyNewsScore",
    ),
    told(
        "news_dispersion",
        pl.col("told_news_dispersion"),
        ("news_sentiment.bullish", "news_sentiment.bearish"),
        unit="score",
        low=0.0,
        high=1.0,
        formula="sqrt(bullish + bearish - (bullish - bearish)^2)",
        meaning="how much the articles of the week disagree: 0 all alike, 1 half bullish and half bearish",
        missing=NO_NEWS,
        source="standard deviation (population) of articles that count 1 bullish, -1 bearish, 0 neither; Finnhub's shares of the last week",
    ),
    told(
        "news_age_days",
        days_since("told_news_day"),
        ("news_sentiment.observed",),
        unit="days",
        low=0.0,
        formula="session - day of the last reading of the news, in calendar days",
        meaning="how old the reading of the news is",
        missing=NO_NEWS,
        source="definition",
    ),
    told(
        "news_articles_7d",
        pl.col("told_articles"),
        ("articles.published_at",),
        unit="articles",
        low=0.0,
        formula="articles that appeared within 7 days before the close and were known by then",
        meaning="how much is written about the company",
        missing="the first article known of the name is not 7 days old; offline profiles have none",
        source="definition; an article shown by two vendors counts twice; 0 also where no vendor was asked any more",
    ),
)
