"""Made-up rows of what companies and vendors report: from years before the first bar of a panel to beyond its last."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from quant_assets.features.statements import BALANCES, FLOWS
from quant_assets.schemas import TABLES
from quant_assets.sources.vendor_rows import end_of_day

D = dt.date
DAY = dt.timedelta(days=1)
NAMES = ("AAA", "BBB", "CCC", "DDD")
FIRST, LAST = 2005, 2013
"""Fiscal years, which are calendar years."""
QUARTERS = [(year, quarter) for year in range(FIRST, LAST) for quarter in (1, 2, 3, 4)]


def quarter_end(year: int, quarter: int) -> dt.date:
    return D(year + quarter // 4, quarter * 3 % 12 + 1, 1) - DAY


def filing_day(year: int, quarter: int) -> dt.date:
    return quarter_end(year, quarter) + (60 if quarter == 4 else 40) * DAY


def _typed(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """The rows as the table has them; what a row does not say is null, and it is fetched when it is known."""
    schema = TABLES[table].schema
    full = [{**dict.fromkeys(schema), "source": "made_up", "fetched_at": row["known_at"], **row} for row in rows]
    return TABLES[table].conform(pl.DataFrame(full, schema=schema))


def fundamentals(*tickers: str) -> pl.DataFrame:
    """10-Q and 10-K of each quarter: flows of the year to date, balances at its end, each beside those of a year before."""
    return _typed("fundamentals", [row for ticker in tickers for row in _filings(ticker)])


def _filings(ticker: str) -> list[dict[str, object]]:
    rng = np.random.default_rng([7, *ticker.encode()])
    scale = 1e9 * rng.lognormal(0, 0.05, len(QUARTERS)) * 1.02 ** np.arange(len(QUARTERS))
    part = {  # of a quarter's sales; balances are of a year's
        "revenue": 1, "cost_of_revenue": 0.6, "gross_profit": 0.4, "ebit": 0.15, "net_income": 0.1, "cfo": 0.14, "depreciation": 0.04,
        "sga": 0.2, "selling": 0.1, "general": 0.1, "assets": 5, "current_assets": 2, "current_liabilities": 1.2, "liabilities": 2.6,
        "equity": 2.4, "equity_of_all": 2.4, "retained_earnings": 1.1, "receivables": 0.7, "ppe": 1.6, "cash": 0.5, "long_term_debt": 0.9,
        "debt_due": 0.2, "debt_maturing": 0.1, "borrowings": 0.1,
    }  # fmt: skip
    wobble = {item: rng.lognormal(0, 0.05, len(QUARTERS)) for item in part}
    shares = 1e8 * (1 + 0.002 * rng.normal(0, 1, len(QUARTERS)).cumsum())

    def value(item: str, place: int) -> float:
        return float(scale[place] * part[item] * wobble[item][place])

    rows: list[dict[str, object]] = []
    for place, (year, quarter) in enumerate(QUARTERS):
        filed = filing_day(year, quarter)
        filing = {
            "ticker": ticker, "accession": f"{ticker}-{year}-{quarter}", "form": "10-K" if quarter == 4 else "10-Q", "fiscal_year": year,
            "fiscal_period": "FY" if quarter == 4 else f"Q{quarter}", "filed": filed, "known_at": end_of_day(filed),
        }  # fmt: skip
        for ago in (0, 4):
            if place < ago:
                continue
            then, end, start = place - ago, quarter_end(year - ago // 4, quarter), D(year - ago // 4, 1, 1)
            for item, (concept, *_) in FLOWS.items():
                told = sum(value(item, then - back) for back in range(quarter))
                rows.append({**filing, "taxonomy": "us-gaap", "concept": concept, "unit": "USD", "period_start": start, "period_end": end,
                             "value": told})  # fmt: skip
            for item, (concept, *_) in BALANCES.items():
                if item != "equity_of_all":
                    rows.append({**filing, "taxonomy": "us-gaap", "concept": concept, "unit": "USD", "period_end": end,
                                 "value": value(item, then)})  # fmt: skip
            rows.append({**filing, "taxonomy": "us-gaap", "concept": "CommonStockSharesOutstanding", "unit": "shares", "period_end": end,
                         "value": float(shares[then])})  # fmt: skip
        rows.append({**filing, "taxonomy": "dei", "concept": "EntityCommonStockSharesOutstanding", "unit": "shares",
                     "period_end": filed - 5 * DAY, "value": float(shares[place])})  # fmt: skip
    return rows


def earnings(*tickers: str) -> pl.DataFrame:
    """An announcement a quarter after the close, 25 days after its end, with an estimate."""
    rows: list[dict[str, object]] = []
    for ticker in tickers:
        rng = np.random.default_rng([8, *ticker.encode()])
        for year, quarter in QUARTERS:
            announced = quarter_end(year, quarter) + 25 * DAY
            estimate = float(rng.uniform(0.5, 1.5))
            rows.append({
                "ticker": ticker, "announced": announced, "announced_when": "after_close", "period_end": quarter_end(year, quarter),
                "fiscal_year": year, "fiscal_quarter": quarter, "eps_estimate": estimate,
                "eps_actual": estimate * float(rng.normal(1.02, 0.1)), "known_at": end_of_day(announced),
            })  # fmt: skip
    return _typed("earnings", rows)


def insider_transactions(*tickers: str) -> pl.DataFrame:
    """A filing every nine days on average: purchases, sales, grants and options."""
    rows: list[dict[str, object]] = []
    for ticker in tickers:
        rng = np.random.default_rng([9, *ticker.encode()])
        filed = D(2009, 6, 1)
        while filed < D(2013, 6, 1):
            code = str(rng.choice(["P", "S", "A", "M"]))
            change = float(rng.integers(100, 10_000)) * (-1 if code == "S" else 1)
            rows.append({
                "ticker": ticker, "transaction": f"{ticker}{len(rows)}", "filed": filed, "traded": filed - 2 * DAY, "insider": "Jane Doe",
                "code": code, "derivative": code == "M", "change": change, "price": float(rng.uniform(20, 60)),
                "known_at": end_of_day(filed),
            })  # fmt: skip
            filed += int(rng.integers(1, 18)) * DAY
    return _typed("insider_transactions", rows)


def recommendations(*tickers: str) -> pl.DataFrame:
    """Each month's counts, told on its third day."""
    rows: list[dict[str, object]] = []
    for ticker in tickers:
        rng = np.random.default_rng([10, *ticker.encode()])
        for month in range(12 * 5):
            period = D(2009 + month // 12, month % 12 + 1, 1)
            counts = {name: int(rng.integers(1, 15)) for name in ("strong_buy", "buy", "hold", "sell", "strong_sell")}
            rows.append({"ticker": ticker, "period": period, **counts, "known_at": end_of_day(period + 2 * DAY)})
    return _typed("recommendations", rows)


def news_sentiment(*tickers: str) -> pl.DataFrame:
    """A reading every third day."""
    rows: list[dict[str, object]] = []
    for ticker in tickers:
        rng = np.random.default_rng([11, *ticker.encode()])
        for place in range(500):
            observed = D(2009, 6, 1) + 3 * place * DAY
            bullish, bearish, _ = (float(share) for share in rng.dirichlet([3, 2, 1]))
            rows.append({
                "ticker": ticker, "observed": observed, "bullish": bullish, "bearish": bearish,
                "articles_in_week": int(rng.integers(1, 50)),                "buzz": float(rng.uniform(0.2, 3)),
                "score": float(rng.uniform(0, 1)), "sector_score": 0.5,
                "known_at": end_of_day(observed),
            })  # fmt: skip
    return _typed("news_sentiment", rows)


def articles(*tickers: str) -> pl.DataFrame:
    """An article every day and a half on average, known when it appears."""
    rows: list[dict[str, object]] = []
    for ticker in tickers:
        rng = np.random.default_rng([12, *ticker.encode()])
        appeared = dt.datetime(2009, 11, 1, tzinfo=dt.UTC)
        while appeared < dt.datetime(2013, 2, 1, tzinfo=dt.UTC):
            rows.append({
                "ticker": ticker, "article": str(len(rows)), "published": appeared.date(), "published_at": appeared, "headline": "News",
                "known_at": appeared,
            })  # fmt: skip
            appeared += float(rng.exponential(1.5)) * DAY
    return _typed("articles", rows)


def reported(*tickers: str) -> dict[str, pl.DataFrame]:
    """All of these tables, for the names of the panels unless told otherwise."""
    names = tickers or NAMES
    makers = (fundamentals, earnings, insider_transactions, recommendations, news_sentiment, articles)
    return {maker.__name__: maker(*names) for maker in makers}
