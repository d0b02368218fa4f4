"""Fundamentals: what a company has filed by the close of the session, against its price and its own past.

Items come from `statements.py`, the arithmetic of published scores from `scores.py`. The columns that the filings give to each bar are
prefixed `filed_`. What a filing says stays until the next one: `filing_age_days` tells how old it is.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from quant_assets.features import scores
from quant_assets.features.feature import ADJUSTED, FLAG, Beside, Feature, Tables
from quant_assets.features.scores import Items, over
from quant_assets.features.statements import OF_YEAR, OF_YEAR_END, statements
from quant_assets.features.tellings import beside

FAMILY = "fundamental"
VALUES = ("fundamentals.value",)
"""What says which figure a value is (concept, unit, periods, form) is its name, and not among the inputs."""
PRICED = ("prices.close", "prices.split_factor", "prices.price_basis", *VALUES)
OF_MARKET_VALUE = "fraction of market value"
UNFILED = "no filing with the items is known yet; offline profiles have no filings at all"
UNPRICED = f"{UNFILED}; no shares outstanding; the name has adjusted prices only"
TWELVE_MONTHS = "twelve months: last fiscal year + year to date - year to date a year before, as filed by then"


def items(suffix: str, names: tuple[str, ...] = (*OF_YEAR, *OF_YEAR_END, "shares")) -> Items:
    """Columns of `statements` under the names of `scores.py`: of the last fiscal year (""), or of the one before it ("_before")."""
    return {name: pl.col(f"year_{name}{suffix}") for name in names}


def _of_filings() -> dict[str, pl.Expr]:
    """What each bar is given, from columns of `statements`; a quotient over what is not above 0 is null."""
    now, before = items(""), items("_before")
    column = pl.col
    average_assets = (column("assets") + column("assets_before")) / 2
    average_equity = (column("equity") + column("equity_before")) / 2
    signals = scores.piotroski(now, before, column("year_assets_two_before"))
    indices = scores.beneish_indices(now, before)
    latest: Items = {name: column(name) for name in ("current_assets", "current_liabilities", "ppe", "cash", "short_term_debt")}
    latest = {**latest, "ebit": column("ebit_ttm")}
    return {
        **{f"{name}_ttm": column(f"{name}_ttm") for name in ("net_income", "revenue", "cfo", "ebit")},
        "equity": column("equity"),
        "net_debt": column("long_term_debt") + column("short_term_debt") - column("cash"),
        **{f"{name}_margin": over(column(f"{item}_ttm"), column("revenue_ttm")) for name, item in MARGINS.items()},
        "revenue_growth": over(column("revenue_ttm"), column("revenue_ttm_before")) - 1,
        "net_income_growth": over(column("net_income_ttm") - column("net_income_ttm_before"), column("net_income_ttm_before").abs()),
        "return_on_assets": over(column("net_income_ttm"), average_assets),
        "return_on_equity": over(column("net_income_ttm"), average_equity),
        "accruals": over(column("net_income_ttm") - column("cfo_ttm"), average_assets),
        "return_on_capital": scores.return_on_capital(latest),
        "return_on_operating_capital": scores.return_on_operating_capital(latest),
        **{f"piotroski_{name}": signal for name, signal in signals.items()},
        "piotroski_f": pl.sum_horizontal(*signals.values(), ignore_nulls=False),
        "altman_accounting": scores.altman_z_accounting(now),
        "year_liabilities": column("year_liabilities"),
        "altman_z_private": scores.altman_z_private(now),
        "altman_z_nonmanufacturer": scores.altman_z_nonmanufacturer(now),
        "beneish_m": scores.beneish_m(indices),
        "beneish_m_5": scores.beneish_m_5(indices),
        "day": column("filed"),
    }


MARGINS = {"gross": "gross_profit", "operating": "ebit", "net": "net_income"}
OF_FILINGS = _of_filings()
COLUMNS = tuple(f"filed_{name}" for name in (*OF_FILINGS, "shares"))


def as_filed(bars: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Beside each bar what its company had filed by the close.

    `filed_shares` counts in shares of the ticker's first bar, so that times `split_growth` they are those of any session. A figure of a day
    before the first bar counts as one of that bar's shares: no split between them is stored.
    """
    told = statements(tables["fundamentals"])
    splits = tables[ADJUSTED].select("ticker", "session", "split_growth")
    told = told.sort("ticker", "shares_day").join_asof(
        splits, left_on="shares_day", right_on="session", by="ticker", check_sortedness=False
    )  # fmt: skip
    shares = pl.col("shares") / pl.col("split_growth").fill_null(1.0)
    columns = {f"filed_{name}": value for name, value in OF_FILINGS.items()} | {"filed_shares": shares}
    return beside(bars, told, columns)


BESIDE = (Beside(tables=("fundamentals",), columns=COLUMNS, join=as_filed),)

MARKET_VALUE = pl.when(pl.col("price_basis") == "raw").then(pl.col("close") * pl.col("filed_shares") * pl.col("split_growth"))
"""USD: the close as traded times the shares last filed, carried over later splits."""
MARKET_FORMULA = "(close * shares outstanding)"


def filed(name: str, **fields: Any) -> Feature:
    """A feature that a filing decides alone."""
    common = {"family": FAMILY, "expression": pl.col(f"filed_{name}"), "inputs": VALUES, "lookback": 0, "recursive": False}
    return Feature(**{"name": name, **common, "missing": UNFILED, **fields})


def priced(name: str, expression: pl.Expr, **fields: Any) -> Feature:
    """A feature of a filing and the market value of the session."""
    common = {"family": FAMILY, "inputs": PRICED, "lookback": 0, "recursive": False, "missing": UNPRICED}
    return Feature(**{"name": name, "expression": expression, **common, **fields})


NOT_POSITIVE = "is not above 0"
FEATURES = (
    *(
        priced(
            name,
            pl.col(f"filed_{item}") / MARKET_VALUE,
            unit=OF_MARKET_VALUE,
            formula=f"{words} / {MARKET_FORMULA}",
            meaning=meaning,
            source=source,
        )
        for name, item, words, meaning, source in (
            ("earnings_yield", "net_income_ttm", "net income of twelve months", "what a dollar of the share price earned in a year",
             f"inverse of price/earnings, Basu (1977); {TWELVE_MONTHS}"),
            ("book_to_price", "equity", "book equity", "accounting value behind a dollar of the share price: high is cheap",
             "Fama & French (1992), with equity of the latest balance sheet, preferred shares included"),
            ("sales_to_price", "revenue_ttm", "revenue of twelve months", "sales behind a dollar of the share price",
             f"Barbee, Mukherji & Raines (1996); {TWELVE_MONTHS}"),
            ("cash_flow_yield", "cfo_ttm", "operating cash flow of twelve months", "operating cash behind a dollar of the share price",
             f"Lakonishok, Shleifer & Vishny (1994), cash flow from operations as filed; {TWELVE_MONTHS}"),
        )
    ),
    priced(
        "ebit_to_enterprise_value",
        over(pl.col("filed_ebit_ttm"), scores.enterprise_value(MARKET_VALUE, pl.col("filed_net_debt"))),
        unit="fraction of enterprise value",
        formula=f"operating income of twelve months / ({MARKET_FORMULA} + long-term and short-term debt - cash)",
        meaning="what the business earned on what it costs with its debt and without its cash",
        missing=f"{UNPRICED}; cash exceeds market value and debt",
        source=f"Greenblatt (2005), The Little Book That Beats the Market, appendix; EBIT as operating income; {TWELVE_MONTHS}",
    ),
    *(
        filed(
            f"{name}_margin",
            unit="fraction of revenue",
            formula=f"{item.replace('_', ' ')} / revenue, twelve months",
            meaning=meaning,
            missing=f"{UNFILED}; revenue {NOT_POSITIVE}",
            source=f"income statement; {TWELVE_MONTHS}",
        )
        for name, item, meaning in (
            ("gross", "gross profit", "what is left of a dollar of sales after the cost of what was sold"),
            ("operating", "operating income", "what is left of a dollar of sales after all costs of operation"),
            ("net", "net income", "what is left of a dollar of sales for shareholders"),
        )
    ),
    filed(
        "revenue_growth",
        unit="fraction",
        formula="revenue of twelve months / revenue of the twelve months a year before - 1",
        meaning="how much sales grew in a year",
        missing=f"{UNFILED}; revenue a year before {NOT_POSITIVE}",
        source=f"{TWELVE_MONTHS}, a year before as the filings restate it by now",
    ),
    filed(
        "net_income_growth",
        unit="fraction",
        formula="(net income of twelve months - that a year before) / |that a year before|",
        meaning="how much profit grew in a year: above 0 also where a loss shrank",
        missing=f"{UNFILED}; net income a year before was 0",
        source=f"{TWELVE_MONTHS}, a year before as the filings restate it by now; USD rather than per share, which splits move",
    ),
    filed(
        "return_on_assets",
        unit="fraction",
        formula="net income of twelve months / average of assets now and a year before",
        meaning="what a dollar of assets earned in a year",
        source=f"Haugen & Baker (1996); {TWELVE_MONTHS}",
    ),
    filed(
        "return_on_equity",
        unit="fraction",
        formula="net income of twelve months / average of equity now and a year before",
        meaning="what a dollar of shareholders' book equity earned in a year",
        missing=f"{UNFILED}; average equity {NOT_POSITIVE}",
        source=f"Haugen & Baker (1996); {TWELVE_MONTHS}",
    ),
    filed(
        "accruals",
        unit="fraction of assets",
        formula="(net income - operating cash flow) of twelve months / average of assets now and a year before",
        meaning="profit that is not cash yet: high tends to be taken back later",
        source=f"Sloan (1996), from the cash-flow statement as Hribar & Collins (2002) recommend; {TWELVE_MONTHS}",
    ),
    filed(
        "return_on_capital",
        unit="fraction",
        formula="operating income of twelve months / (current assets - current liabilities + property, plant and equipment)",
        meaning="what a dollar in working capital and plant earned in a year",
        missing=f"{UNFILED}; the capital {NOT_POSITIVE}",
        source=f"Greenblatt (2005), appendix; {TWELVE_MONTHS}",
    ),
    filed(
        "return_on_operating_capital",
        unit="fraction",
        formula="operating income of twelve months / (max(0, current assets - cash - (current liabilities - short-term debt)) + PP&E)",
        meaning="the same without spare cash and without loans that fall due",
        missing=f"{UNFILED}; the capital {NOT_POSITIVE}",
        source=f"Greenblatt (2005), appendix; {TWELVE_MONTHS}",
    ),
    filed(
        "piotroski_f",
        unit="0..9",
        low=0.0,
        high=9.0,
        formula="sum of the nine signals piotroski_*",
        meaning="how many of nine signs of financial health the last fiscal year showed",
        missing=f"{UNFILED}; one of the nine is null",
        source="Piotroski (2000), J. Accounting Research 38: scaled by assets at the beginning of each year",
    ),
    *(
        filed(
            f"piotroski_{name}",
            unit=FLAG,
            low=0.0,
            high=1.0,
            formula=f"{formula}, last fiscal year",
            meaning=meaning,
            source="Piotroski (2000), J. Accounting Research 38: scaled by assets at the beginning of each year",
        )
        for name, (formula, meaning) in scores.PIOTROSKI.items()
    ),
    priced(
        "altman_z",
        scores.altman_z(pl.col("filed_altman_accounting"), MARKET_VALUE, pl.col("filed_year_liabilities")),
        unit="score with market value",
        formula=f"1.2 X1 + 1.4 X2 + 3.3 X3 + 0.6 {MARKET_FORMULA} / liabilities + 0.999 X5 of the last fiscal year",
        meaning="distance from bankruptcy: below 1.81 distress, above 2.99 safe",
        source="Altman (1968), J. Finance 23; EBIT as operating income, X5 weighs 0.999; market value of the session",
    ),
    *(
        filed(name, unit="score", formula=formula, meaning=meaning, source=source)
        for name, formula, meaning, source in (
            ("altman_z_private", "0.717 X1 + 0.847 X2 + 3.107 X3 + 0.420 book equity / liabilities + 0.998 X5 of the last fiscal year",
             "distance from bankruptcy by the books alone: below 1.23 distress, above 2.90 safe",
             "Altman (1983), Z'; EBIT as operating income"),
            ("altman_z_nonmanufacturer", "6.56 X1 + 3.26 X2 + 6.72 X3 + 1.05 book equity / liabilities of the last fiscal year",
             "distance from bankruptcy by the books, without sales: below 1.10 distress, above 2.60 safe",
             "Altman (1995), Z'' without the 3.25 of emerging markets; EBIT as operating income"),
            ("beneish_m", "-4.84 + 0.92 DSRI + 0.528 GMI + 0.404 AQI + 0.892 SGI + 0.115 DEPI - 0.172 SGAI + 4.679 TATA - 0.327 LVGI",
             "how much the last fiscal year looks like manipulated accounts: above -1.78 suspicious",
             "Beneish (1999), Financial Analysts Journal 55(5); accruals from the cash-flow statement, depreciation with amortisation"),
            ("beneish_m_5", "-6.065 + 0.823 DSRI + 0.906 GMI + 0.593 AQI + 0.717 SGI + 0.107 DEPI",
             "the same from five variables: above -2.22 suspicious", "Beneish (1999); depreciation with amortisation"),
        )
    ),
    filed(
        "filing_age_days",
        expression=(pl.col("session") - pl.col("filed_day")).dt.total_days().cast(pl.Float64),
        inputs=("fundamentals.filed",),
        unit="days",
        low=0.0,
        formula="session - day of the newest filing with an item, in calendar days",
        meaning="how old the newest statements are: beyond about 100 a report is late",
        source="filing date of the SEC",
    ),
)  # fmt: skip
