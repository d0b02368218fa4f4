"""Published scores of a company's statements: the arithmetic, from items under names as in `statements.py`. Null in, null out.

What is read in two ways is a parameter or said at the function. Which filings the items come from is `statements.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

Items = Mapping[str, pl.Expr]
"""Items of one fiscal year and the balance sheet at its end, USD; `shares` in shares of one basis for both years."""

PIOTROSKI = {
    "roa": ("roa > 0", "the year ended with a profit"),
    "cfo": ("operating cash flow / assets > 0", "operations brought in cash"),
    "droa": ("roa > roa of the year before", "assets earned more than the year before"),
    "accrual": ("operating cash flow / assets > roa", "cash earned exceeds reported profit"),
    "dlever": ("long-term debt / average assets < the year before", "long-term debt weighs less than the year before"),
    "dliquid": ("current assets / current liabilities > the year before", "short-term obligations are better covered than the year before"),
    "eq_offer": ("shares <= shares of the year before", "no shares were issued on balance"),
    "dmargin": ("gross profit / revenue > the year before", "more of each dollar of sales is left after costs than the year before"),
    "dturn": ("revenue / assets > the year before", "assets turned over more sales than the year before"),
}
"""The nine signals: what each asks, and what it tells."""


def over(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """The quotient; null where the denominator is not above 0."""
    return pl.when(denominator > 0).then(numerator / denominator)


def piotroski(
    now: Items, before: Items, assets_two_before: pl.Expr, *, scaled_by: Literal["beginning", "ending"] = "beginning"
) -> dict[str, pl.Expr]:
    """The nine signals of Piotroski (2000), 0.0 or 1.0: of a fiscal year against the one before.

    Parameters
    ----------
    assets_two_before : total assets when the year before began.
    scaled_by : the assets that profit, cash flow and sales are divided by: at the beginning of each year, as in the paper, or at its end.
        Long-term debt is over the average of both. A signal that asks for a change is 0 where nothing changed, and the one on shares asks
        for no increase.
    """
    scale, scale_before = (before["assets"], assets_two_before) if scaled_by == "beginning" else (now["assets"], before["assets"])
    average, average_before = (now["assets"] + before["assets"]) / 2, (before["assets"] + assets_two_before) / 2
    roa, roa_before = over(now["net_income"], scale), over(before["net_income"], scale_before)
    cash = over(now["cfo"], scale)
    signals = {
        "roa": roa > 0,
        "cfo": cash > 0,
        "droa": roa > roa_before,
        "accrual": cash > roa,
        "dlever": over(now["long_term_debt"], average) < over(before["long_term_debt"], average_before),
        "dliquid": _current_ratio(now) > _current_ratio(before),
        "eq_offer": now["shares"] <= before["shares"],
        "dmargin": gross_margin(now) > gross_margin(before),
        "dturn": over(now["revenue"], scale) > over(before["revenue"], scale_before),
    }
    return {name: signal.cast(pl.Float64) for name, signal in signals.items()}


def gross_margin(of: Items) -> pl.Expr:
    return over(of["gross_profit"], of["revenue"])


def _current_ratio(of: Items) -> pl.Expr:
    return over(of["current_assets"], of["current_liabilities"])


def altman_ratios(of: Items) -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    """X1, X2, X3 and X5 of Altman (1968), fractions: working capital, retained earnings, EBIT and sales over total assets."""
    working_capital = of["current_assets"] - of["current_liabilities"]
    x1, x2, x3, x5 = (over(part, of["assets"]) for part in (working_capital, of["retained_earnings"], of["ebit"], of["revenue"]))
    return x1, x2, x3, x5


def altman_z_accounting(of: Items) -> pl.Expr:
    """The part of Z that the filing decides: all but 0.6 X4."""
    x1, x2, x3, x5 = altman_ratios(of)
    return 1.2 * x1 + 1.4 * x2 + 3.3 * x3 + 0.999 * x5


def altman_z(accounting: pl.Expr, market_value: pl.Expr, liabilities: pl.Expr) -> pl.Expr:
    """Z of Altman (1968), X5 weighing 0.999 as in the paper (many texts round it to 1): above 2.99 safe, below 1.81 distress."""
    return accounting + 0.6 * over(market_value, liabilities)


def altman_z_private(of: Items) -> pl.Expr:
    """Z' of Altman (1983), for companies without a market price: X4 is book equity (assets less liabilities) over liabilities."""
    x1, x2, x3, x5 = altman_ratios(of)
    return 0.717 * x1 + 0.847 * x2 + 3.107 * x3 + 0.420 * _book_cover(of) + 0.998 * x5


def altman_z_nonmanufacturer(of: Items) -> pl.Expr:
    """Z'' of Altman (1995), without sales and without the 3.25 that is added for emerging markets; X4 as in Z'."""
    x1, x2, x3, _ = altman_ratios(of)
    return 6.56 * x1 + 3.26 * x2 + 6.72 * x3 + 1.05 * _book_cover(of)


def _book_cover(of: Items) -> pl.Expr:
    return over(of["assets"] - of["liabilities"], of["liabilities"])


def beneish_indices(now: Items, before: Items) -> dict[str, pl.Expr]:
    """The eight variables of Beneish (1999).

    Accruals (TATA) are net income less operating cash flow. Depreciation includes amortisation, which few companies tell apart. Securities
    held for long count among the other assets of AQI.
    """

    def index(measure: dict[str, pl.Expr], against: dict[str, pl.Expr], name: str) -> pl.Expr:
        return over(measure[name], against[name])

    this, last = _measures(now), _measures(before)
    return {
        "DSRI": index(this, last, "receivables"),
        "GMI": index(last, this, "margin"),
        "AQI": index(this, last, "other_assets"),
        "SGI": over(now["revenue"], before["revenue"]),
        "DEPI": index(last, this, "depreciation"),
        "SGAI": index(this, last, "sga"),
        "LVGI": index(this, last, "leverage"),
        "TATA": over(now["net_income"] - now["cfo"], now["assets"]),
    }


def _measures(of: Items) -> dict[str, pl.Expr]:
    return {
        "receivables": over(of["receivables"], of["revenue"]),
        "margin": gross_margin(of),
        "other_assets": 1 - over(of["current_assets"] + of["ppe"], of["assets"]),
        "depreciation": over(of["depreciation"], of["depreciation"] + of["ppe"]),
        "sga": over(of["sga"], of["revenue"]),
        "leverage": over(of["long_term_debt"] + of["current_liabilities"], of["assets"]),
    }


def beneish_m(index: Mapping[str, pl.Expr]) -> pl.Expr:
    """M of eight variables: above -1.78 accounts look manipulated."""
    return (
        -4.84 + 0.920 * index["DSRI"] + 0.528 * index["GMI"] + 0.404 * index["AQI"] + 0.892 * index["SGI"] + 0.115 * index["DEPI"]
        - 0.172 * index["SGAI"] + 4.679 * index["TATA"] - 0.327 * index["LVGI"]
    )  # fmt: skip


def beneish_m_5(index: Mapping[str, pl.Expr]) -> pl.Expr:
    """M of the five variables that need neither expenses, debt nor accruals: above -2.22 accounts look manipulated."""
    return (
        -6.065 + 0.823 * index["DSRI"] + 0.906 * index["GMI"] + 0.593 * index["AQI"] + 0.717 * index["SGI"] + 0.107 * index["DEPI"]
    )  # fmt: skip


def enterprise_value(market_value: pl.Expr, net_debt: pl.Expr) -> pl.Expr:
    """What it takes to own all of a company, USD: its shares at the market and its debt, less its cash."""
    return market_value + net_debt


def return_on_capital(of: Items) -> pl.Expr:
    """EBIT over working capital and net fixed assets, fraction, of Greenblatt (2005); working capital is current assets less current
    liabilities, all cash and all debt included."""
    return over(of["ebit"], of["current_assets"] - of["current_liabilities"] + of["ppe"])


def return_on_operating_capital(of: Items) -> pl.Expr:
    """The same with working capital free of cash and of debt that falls due, and at least 0."""
    working = of["current_assets"] - of["cash"] - (of["current_liabilities"] - of["short_term_debt"])
    return over(of["ebit"], pl.when(working >= 0).then(working).when(working < 0).then(0.0) + of["ppe"])
