"""A company's statements as they stood after each of its filings: items found among XBRL concepts, years, twelve months, balances.

What is made of the items is `scores.py`'s business. Of each item and period the latest version filed by then counts, under the first
concept of the item's list that the company has told the period with. A figure that is not there is null, never 0; two rules fill one in:
where gross profit, liabilities or SG&A have no line of their own they are computed from the lines that make them up, and a kind of debt
that a company has told of neither at the day of a balance sheet nor before is 0 in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from quant_assets.features.tellings import moment_by_moment

FLOWS = {
    "revenue": (
        "Revenues",  # the total where contracts with customers are a part of it
        "RevenueFromContractWithCustomerExcludingAssessedTax",
        "RevenueFromContractWithCustomerIncludingAssessedTax",
        "SalesRevenueNet",
        "RevenuesNetOfInterestExpense",
    ),
    "cost_of_revenue": ("CostOfRevenue", "CostOfGoodsAndServicesSold", "CostOfGoodsSold"),
    "gross_profit": ("GrossProfit",),
    "ebit": ("OperatingIncomeLoss",),
    "net_income": ("NetIncomeLoss", "NetIncomeLossAvailableToCommonStockholdersBasic", "ProfitLoss"),
    "cfo": ("NetCashProvidedByUsedInOperatingActivities", "NetCashProvidedByUsedInOperatingActivitiesContinuingOperations"),
    "depreciation": (
        "DepreciationDepletionAndAmortization",
        "DepreciationAmortizationAndAccretionNet",
        "DepreciationAndAmortization",
        "Depreciation",
    ),
    "sga": ("SellingGeneralAndAdministrativeExpense",),
    "selling": ("SellingAndMarketingExpense", "SellingExpense"),
    "general": ("GeneralAndAdministrativeExpense",),
}
"""USD of a period, by item: XBRL concepts of us-gaap, the preferred one first."""

BALANCES = {
    "assets": ("Assets",),
    "current_assets": ("AssetsCurrent",),
    "current_liabilities": ("LiabilitiesCurrent",),
    "liabilities": ("Liabilities",),
    "equity": ("StockholdersEquity", "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest"),
    "equity_of_all": ("StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest", "StockholdersEquity"),
    "retained_earnings": ("RetainedEarningsAccumulatedDeficit",),
    "receivables": ("AccountsReceivableNetCurrent", "ReceivablesNetCurrent", "AccountsNotesAndLoansReceivableNetCurrent"),
    "ppe": (
        "PropertyPlantAndEquipmentNet",
        "PropertyPlantAndEquipmentAndFinanceLeaseRightOfUseAssetAfterAccumulatedDepreciationAndAmortization",
    ),
    "cash": ("CashAndCashEquivalentsAtCarryingValue", "CashCashEquivalentsRestrictedCashAndRestrictedCashEquivalents"),
    "long_term_debt": (
        "LongTermDebtNoncurrent",
        "LongTermDebtAndCapitalLeaseObligations",
        "LongTermDebt",  # with the part that is due within a year
        "LongTermNotesPayable",
        "LongTermNotesAndLoans",
        "SeniorLongTermNotes",
        "ConvertibleLongTermNotesPayable",
        "ConvertibleDebtNoncurrent",
        "LongTermLineOfCredit",
        "LongTermLoansPayable",
        "OtherLongTermDebtNoncurrent",
    ),
    "debt_due": ("DebtCurrent",),
    "debt_maturing": ("LongTermDebtCurrent", "LongTermDebtAndCapitalLeaseObligationsCurrent"),
    "borrowings": ("ShortTermBorrowings", "CommercialPaper", "OtherShortTermBorrowings"),
}
"""USD at an instant."""

SHARES_OF_A_YEAR = ("CommonStockSharesOutstanding", "WeightedAverageNumberOfSharesOutstandingBasic")
"""What says whether there were more shares than a year before: counted at its end, or on average where the company has several classes."""
SHARES_NOW = (("dei", "EntityCommonStockSharesOutstanding"), ("us-gaap", "CommonStockSharesOutstanding"))
"""Shares outstanding: as on the cover of the filing, else of the balance sheet."""

YEAR = range(350, 381)
"""Days of a fiscal year: 52 or 53 weeks, or twelve months."""
SHIFT = 7
"""Days by which a fiscal year may begin before or after the day that follows the year before."""
A_YEAR_BEFORE = 14
"""Days by which the same quarter a year before may end earlier or later than 365 days ago."""
ANNUAL_FORMS = ("10-K", "20-F", "40-F")

OF_TWELVE_MONTHS = ("revenue", "gross_profit", "ebit", "net_income", "cfo")
OF_TWELVE_MONTHS_BEFORE = ("revenue", "net_income")
OF_BALANCE = (
    "assets", "equity", "current_assets", "current_liabilities", "ppe", "cash", "long_term_debt", "short_term_debt",
)  # fmt: skip
OF_BALANCE_BEFORE = ("assets", "equity")
OF_YEAR = ("revenue", "gross_profit", "sga", "ebit", "net_income", "cfo", "depreciation")
OF_YEAR_END = (
    "assets", "current_assets", "current_liabilities", "liabilities", "receivables", "ppe", "long_term_debt", "retained_earnings",
)  # fmt: skip
STATE = (
    *(f"{item}_ttm" for item in OF_TWELVE_MONTHS),
    *(f"{item}_ttm_before" for item in OF_TWELVE_MONTHS_BEFORE),
    *OF_BALANCE,
    *(f"{item}_before" for item in OF_BALANCE_BEFORE),
    *(f"year_{item}{which}" for which in ("", "_before") for item in (*OF_YEAR, *OF_YEAR_END, "shares")),
    "year_assets_two_before",
    "shares",
)

Told = dict[int, tuple[int, float]]
"""Of one item and one last day: by first day the place of its concept in the list, and the value. Days are numbers, as polars has them."""


def statements(facts: pl.LazyFrame) -> pl.LazyFrame:
    """A company's items after each of its filings.

    Parameters
    ----------
    facts : rows of table `fundamentals`, every version of them.

    Returns
    -------
    A row for each (ticker, known_at): `filed`, the day of the newest filing that told an item; of the latest balance sheet by then its
    items, `_before` a year earlier; `_ttm`, twelve months up to it (fiscal year + year to date - year to date a year before), and
    `_ttm_before`, those a year earlier; `year_`, the last fiscal year of an annual report and `_before` the one before it; `shares`
    outstanding in shares of the day `shares_day`. USD and shares.
    """
    of_a_period = pl.col("period_start").is_not_null() == pl.col("of_a_period")
    rows = (
        facts.join(_wanted().lazy(), on=["taxonomy", "concept", "unit"])
        .filter(of_a_period, pl.col("period_end") <= pl.col("filed"))  # a period that ends after its filing is a slip of the pen
        .sort("ticker", "known_at", "accession", "concept")
    )
    told = rows.select(
        "ticker", "known_at", "item", "place", pl.col("period_start", "period_end").to_physical(), "value", "accession", "form",
        pl.col("filed").to_physical(),
    )  # fmt: skip
    schema = {**dict.fromkeys(STATE, pl.Float64), "shares_day": pl.Int32, "filed": pl.Int32}
    return moment_by_moment(told, _Statements, schema).with_columns(pl.col("shares_day", "filed").cast(pl.Date))


def _wanted() -> pl.DataFrame:
    """Concepts by item, and their place in its list."""
    lists = [(item, concepts, "us-gaap", "USD", True) for item, concepts in FLOWS.items()]
    lists += [(item, concepts, "us-gaap", "USD", False) for item, concepts in BALANCES.items()]
    rows = [(tax, concept, unit, item, place, flow) for item, concepts, tax, unit, flow in lists for place, concept in enumerate(concepts)]
    counted, average = SHARES_OF_A_YEAR
    rows += [("us-gaap", counted, "shares", "shares_counted", 0, False), ("us-gaap", average, "shares", "shares_average", 0, True)]
    rows += [(taxonomy, concept, "shares", "shares_now", place, False) for place, (taxonomy, concept) in enumerate(SHARES_NOW)]
    return pl.DataFrame(rows, schema=["taxonomy", "concept", "unit", "item", "place", "of_a_period"], orient="row")


class _Statements:
    """The filings of one company, as `tellings.py` hands them out."""

    def __init__(self) -> None:
        self._flows: dict[str, dict[int, Told]] = {item: {} for item in FLOWS}
        self._balances: dict[str, Told] = {item: {} for item in BALANCES}
        self._year_ends: dict[int, int] = {}  # last day of a fiscal year of an annual report: its first day
        self._shares: dict[str, dict[str, dict[int, float]]] = {"shares_counted": {}, "shares_average": {}}  # by filing and last day
        self._shares_now: tuple[int, int, float, int] | None = None  # day, preference, shares, day whose share it is
        self._filed = 0

    def tell(self, row: Sequence[Any]) -> None:
        item, place, start, end, value, accession, form, filed = row
        self._filed = max(self._filed, filed)
        if item == "shares_now":
            # A cover tells the shares of its day. A balance sheet shows a split that came between it and its filing (SAB topic 4.C).
            now = (end, -place, value, end if place == 0 else filed)
            if self._shares_now is None or now[:2] >= self._shares_now[:2]:
                self._shares_now = now
        elif item in self._shares:
            if start is None or end - start + 1 in YEAR:
                self._shares[item].setdefault(accession, {})[end] = value
        elif item in self._balances:
            _keep(self._balances[item], end, place, value)
        else:
            _keep(self._flows[item].setdefault(end, {}), start, place, value)
            if item == "net_income" and form.startswith(ANNUAL_FORMS) and end - start + 1 in YEAR:
                self._year_ends[end] = start

    def state(self) -> Sequence[Any]:
        now = max(self._balances["assets"], default=None)
        ago = _first(_near(now - 365, A_YEAR_BEFORE), self._balances["assets"]) if now is not None else None
        year = max(self._year_ends, default=None)
        before = self._year_before(year)
        shares_of = self._shares_of(year, before)
        found: list[float | None] = []
        found += [self._flow(item, now, self._twelve_months) for item in OF_TWELVE_MONTHS]
        found += [self._flow(item, ago, self._twelve_months) for item in OF_TWELVE_MONTHS_BEFORE]
        found += [self._balance(item, now) for item in OF_BALANCE]
        found += [self._balance(item, ago) for item in OF_BALANCE_BEFORE]
        for end, shares in zip((year, before), shares_of, strict=True):
            found += [self._flow(item, end, self._year) for item in OF_YEAR]
            found += [self._balance(item, end) for item in OF_YEAR_END]
            found.append(shares)
        found.append(self._balance("assets", self._day_before(before)))
        _, _, shares_now, shares_day = self._shares_now or (0, 0, None, None)
        return (*found, shares_now, shares_day, self._filed)

    def _year_before(self, year: int | None) -> int | None:
        return _first(_near(self._year_ends[year] - 1, SHIFT), self._year_ends) if year is not None else None

    def _day_before(self, year: int | None) -> int | None:
        """The last balance sheet before a fiscal year began."""
        return _first(_near(self._year_ends[year] - 1, SHIFT), self._balances["assets"]) if year is not None else None

    def _flow(self, item: str, end: int | None, measure: Callable[[str, int], float | None]) -> float | None:
        if end is None or (told := measure(item, end)) is not None:
            return told if end is not None else None
        if item == "gross_profit":
            revenue, cost = measure("revenue", end), measure("cost_of_revenue", end)
            return revenue - cost if revenue is not None and cost is not None else None
        if item == "sga":
            selling, general = measure("selling", end), measure("general", end)
            return selling + general if selling is not None and general is not None else None
        return None

    def _year(self, item: str, end: int) -> float | None:
        return next((value for start, (_, value) in self._flows[item].get(end, {}).items() if end - start + 1 in YEAR), None)

    def _twelve_months(self, item: str, end: int) -> float | None:
        """Fiscal year + year to date - year to date a year before; where `end` ends a fiscal year, that year."""
        if (whole := self._year(item, end)) is not None:
            return whole
        told = self._flows[item]
        to_date = min(((start, value) for start, (_, value) in told.get(end, {}).items() if end - start + 1 < YEAR.start), default=None)
        if to_date is None:
            return None
        for year_end in _near(to_date[0] - 1, SHIFT):
            for year_start, (_, year) in told.get(year_end, {}).items():
                if year_end - year_start + 1 in YEAR:
                    for before in _near(end - 365, A_YEAR_BEFORE):
                        for start, (_, value) in told.get(before, {}).items():
                            if abs(start - year_start) <= SHIFT:
                                return year + to_date[1] - value
        return None

    def _balance(self, item: str, day: int | None) -> float | None:
        if day is None:
            return None
        if item == "short_term_debt":
            if (due := self._balances["debt_due"].get(day)) is not None:
                return due[1]
            parts = [self._debt(kind, day) for kind in ("debt_maturing", "borrowings")]
            return sum(part for part in parts if part is not None) if None not in parts else None
        if item == "long_term_debt":
            return self._debt(item, day)
        if (told := self._balances[item].get(day)) is not None:
            return told[1]
        assets, equity = self._balances["assets"].get(day), self._balances["equity_of_all"].get(day)
        return assets[1] - equity[1] if item == "liabilities" and assets and equity else None

    def _debt(self, kind: str, day: int) -> float | None:
        if (told := self._balances[kind].get(day)) is not None:
            return told[1]
        told_by_then = any(end <= day for end in self._balances[kind])
        return 0.0 if day in self._balances["assets"] and not told_by_then else None

    def _shares_of(self, year: int | None, before: int | None) -> tuple[float | None, float | None]:
        """Shares at the end of both years from one filing: a later one tells the newer year in shares after a split, and not the older."""
        if year is not None and before is not None:
            for filings in self._shares.values():
                for told in reversed(filings.values()):
                    if year in told and before in told:
                        return told[year], told[before]
        return None, None


def _keep(told: Told, day: int, place: int, value: float) -> None:
    if day not in told or place <= told[day][0]:
        told[day] = place, value


def _near(day: int, within: int) -> Iterator[int]:
    yield day
    for days in range(1, within + 1):
        yield day - days
        yield day + days


def _first(days: Iterator[int], among: dict[int, Any]) -> int | None:
    return next((day for day in days if day in among), None)
