"""Fundamentals against published scores, what Apple filed, and a reader of filings that is written out formula by formula."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quant_assets.calendars import Window, session_close, session_table, sessions
from quant_assets.features import fundamentals, scores
from quant_assets.features.compute import compute
from quant_assets.features.statements import OF_YEAR, OF_YEAR_END, statements
from quant_assets.quality.lookahead import informative_cuts, leaks
from quant_assets.quality.withheld import Tables
from quant_assets.schemas import TABLES
from quant_assets.sources.vendor_rows import end_of_day
from quant_assets_tests.features.panels import adjusted_only, bars, quandl_sample, tables

D = dt.date
GOLDEN = Path(__file__).parent.parent / "golden"
CASES = {case["id"]: case for case in json.loads((GOLDEN / "fundamental_scores.json").read_text())["cases"]}
NAMES = tuple(feature.name for feature in fundamentals.FEATURES)
READ = ("prices", "fundamentals")


def literal(items: dict[str, float]) -> dict[str, pl.Expr]:
    return {name: pl.lit(float(value)) for name, value in items.items()}


def valued(**expressions: pl.Expr) -> dict[str, float]:
    return pl.select(**expressions).row(0, named=True)


def test_piotroski_as_published():
    case = CASES["piotroski_ending_assets"]
    now, before = literal(case["inputs"]["current"]), literal(case["inputs"]["prior"])
    two_before = pl.lit(float(case["inputs"]["prior_prior_total_assets"]))
    for items in (now, before):
        items["assets"] = items["total_assets"]
    signals = valued(**scores.piotroski(now, before, two_before, scaled_by="ending"))
    assert list(signals.values()) == list(case["expected"]["signals"].values())
    assert sum(signals.values()) == case["expected"]["F"]
    assert [f"{name}_pos" if name in ("roa", "cfo") else name for name in signals] == list(case["expected"]["signals"])
    assert list(signals) == list(scores.PIOTROSKI)
    as_in_the_paper = valued(**scores.piotroski(now, before, two_before))
    assert as_in_the_paper == {**signals, "droa": float(96995 / 352755 > 99803 / 351002), "dturn": float(383285 / 352755 > 394328 / 351002)}


def test_altman_as_published():
    case = CASES["altman"]
    of = literal(case["inputs"])
    of["assets"], of["liabilities"] = of["total_assets"], of["total_liabilities"]
    x1, x2, x3, x5 = scores.altman_ratios(of)
    z = scores.altman_z(scores.altman_z_accounting(of), of["market_cap"], of["liabilities"])
    found = valued(x1=x1, x2=x2, x3=x3, x5=x5, z=z, private=scores.altman_z_private(of), other=scores.altman_z_nonmanufacturer(of))
    x = case["expected"]["X"]
    expected = [*x[:3], x[4], *(case["expected"][name] for name in ("Z_0999", "Z_private", "Z_nonmanuf"))]
    assert list(found.values()) == pytest.approx(expected, rel=0, abs=case["tolerance"]["abs"])


def test_beneish_as_published():
    case = CASES["beneish"]
    now, before = literal(case["inputs"]["current"]), literal(case["inputs"]["prior"])
    for items in (now, before):
        items["assets"], items["ppe"] = items["total_assets"], items["ppe_net"]
    indices = scores.beneish_indices(now, before)
    found = valued(**indices, M8=scores.beneish_m(indices), M5=scores.beneish_m_5(indices))
    expected = {name: value for name, value in case["expected"].items() if name != "threshold"}
    assert found == pytest.approx(expected, rel=0, abs=case["tolerance"]["abs"])


def test_magic_formula_as_published():
    case = CASES["magic_formula"]
    of = literal(case["inputs"])
    ev = scores.enterprise_value(of["market_cap"], of["long_term_debt"] + of["short_term_debt"] - of["cash"])
    roc, operating = (
        scores.return_on_capital({**of, "ppe": of["ppe_net"]}),
        scores.return_on_operating_capital({**of, "ppe": of["ppe_net"]}),
    )
    found = valued(EV=ev, earnings_yield=of["ebit"] / ev, roc_plain=roc, roc_greenblatt_floor=operating)
    assert found == pytest.approx(case["expected"], rel=0, abs=case["tolerance"]["abs"])


# Apple's own filings ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(shared: Path) -> list[dict[str, Any]]:
    """Apple's facts, as the SEC's file has them."""
    file = shared / "data/fundamentals/sec/companyfacts/CIK0000320193.json.gz"
    facts = json.loads(gzip.decompress(file.read_bytes()))["facts"]
    return [
        {"taxonomy": taxonomy, "concept": concept, "unit": unit, **fact}
        for taxonomy, concepts in facts.items()
        for concept, figure in concepts.items()
        for unit, facts_of_unit in figure["units"].items()
        for fact in facts_of_unit
    ]


def table(told: list[dict[str, Any]]) -> pl.DataFrame:
    """The facts as table `fundamentals`."""
    rows = [
        {
            "ticker": "AAPL", "taxonomy": fact["taxonomy"], "concept": fact["concept"], "unit": fact["unit"],
            "period_start": D.fromisoformat(fact["start"]) if "start" in fact else None, "period_end": D.fromisoformat(fact["end"]),
            "value": float(fact["val"]), "accession": fact["accn"], "form": fact["form"], "fiscal_year": fact["fy"],
            "fiscal_period": fact["fp"], "filed": D.fromisoformat(fact["filed"]), "source": "sec",
            "fetched_at": end_of_day(D(2026, 6, 1)), "known_at": end_of_day(D.fromisoformat(fact["filed"])),
        }
        for fact in told
    ]  # fmt: skip
    schema = TABLES["fundamentals"].schema
    return TABLES["fundamentals"].conform(pl.DataFrame(rows, schema=schema).unique(maintain_order=True))


def seen(told: list[dict[str, Any]], session: dt.date) -> Callable[..., float]:
    """What was last filed on an earlier day than `session` for a concept and period, by hand."""

    def value(concept: str, *period: str) -> float:
        matching = [
            (fact["filed"], fact["accn"], fact["val"])
            for fact in told
            if fact["concept"] == concept
            and fact["filed"] < session.isoformat()
            and (*filter(None, [fact.get("start")]), fact["end"]) == period
        ]
        return float(max(matching)[2])

    return value


def flat_bars(first: dt.date, last: dt.date, close: float) -> pl.DataFrame:
    days = sessions(Window(first, last))
    return pl.DataFrame({"session": days}).with_columns(
        ticker=pl.lit("AAPL"),
        open=close,
        high=close,
        low=close,
        close=close,
        volume=1e6,
        price_basis=pl.lit("raw"),
        split_factor=1.0,
        dividend=0.0,
    )


def on(out: pl.DataFrame, session: dt.date) -> dict[str, Any]:
    return out.filter(pl.col("session") == session).row(0, named=True)


def test_apple_restated_its_year_when_it_changed_its_accounting(told: list[dict[str, Any]]):
    """FY 2009: sales of 36.5 billion in the 10-K of 2009-10-27, of 42.9 in the 10-K/A of 2010-01-25: it books phones at once now."""
    facts = table(told)
    out = compute({"prices": flat_bars(D(2009, 10, 1), D(2010, 2, 1), 200.0), "fundamentals": facts}, names=NAMES)
    year = ("2008-09-28", "2009-09-26")
    assert on(out, D(2009, 10, 27))["net_margin"] is None  # filed that day, so known the next
    original, restated = seen(told, D(2009, 10, 28)), seen(told, D(2010, 1, 26))
    assert (original("SalesRevenueNet", *year), restated("SalesRevenueNet", *year)) == (36_537e6, 42_905e6)
    for session in (D(2009, 10, 28), D(2010, 1, 25)):
        row = on(out, session)
        assert row["net_margin"] == pytest.approx(original("NetIncomeLoss", *year) / 36_537e6, rel=1e-12)
        assert row["earnings_yield"] == pytest.approx(5_704e6 / (200 * 900_678_473), rel=1e-12)
        assert row["filing_age_days"] == (session - D(2009, 10, 27)).days
    quarter, quarter_before = ("2009-09-27", "2009-12-26"), ("2008-09-28", "2008-12-27")

    def twelve_months(concept: str) -> float:
        return restated(concept, *year) + restated(concept, *quarter) - restated(concept, *quarter_before)

    after = on(out, D(2010, 1, 26))
    assert after["net_margin"] == pytest.approx(twelve_months("NetIncomeLoss") / twelve_months("SalesRevenueNet"), rel=1e-12)
    assert after["gross_margin"] == pytest.approx(twelve_months("GrossProfit") / twelve_months("SalesRevenueNet"), rel=1e-12)
    assert after["filing_age_days"] == 1


def test_apple_around_its_split_and_a_filing(told: list[dict[str, Any]], shared: Path):
    """Seven shares for one on 2014-06-09: the 861 million of the cover of April are 6,030 million until the cover of July tells 5,988."""
    prices = quandl_sample(shared).filter(pl.col("ticker") == "AAPL")
    out = compute({"prices": prices, "fundamentals": table(told)}, names=NAMES)
    close = dict(prices.select("session", "close").iter_rows())
    year, ytd_march, ytd_march_before = ("2012-09-30", "2013-09-28"), ("2013-09-29", "2014-03-29"), ("2012-09-30", "2013-03-30")
    ytd_june, ytd_june_before = ("2013-09-29", "2014-06-28"), ("2012-09-30", "2013-06-29")
    for session, shares, ytd, before, balance in (
        (D(2014, 6, 6), 861_381_000, ytd_march, ytd_march_before, "2014-03-29"),
        (D(2014, 6, 9), 861_381_000 * 7, ytd_march, ytd_march_before, "2014-03-29"),
        (D(2014, 7, 23), 861_381_000 * 7, ytd_march, ytd_march_before, "2014-03-29"),
        (D(2014, 7, 24), 5_987_867_000, ytd_june, ytd_june_before, "2014-06-28"),
    ):
        value, row = seen(told, session), on(out, session)

        def twelve_months(concept: str) -> float:
            return value(concept, *year) + value(concept, *ytd) - value(concept, *before)  # noqa: B023

        market_value = shares * close[session]
        assert row["earnings_yield"] == pytest.approx(twelve_months("NetIncomeLoss") / market_value, rel=1e-12)
        assert row["sales_to_price"] == pytest.approx(twelve_months("SalesRevenueNet") / market_value, rel=1e-12)
        # From April 2014 to 2017 Apple told it as of continuing operations.
        cash_flow = value(CASH_FLOW, *year) + value(f"{CASH_FLOW}ContinuingOperations", *ytd) - value(CASH_FLOW, *before)
        assert row["cash_flow_yield"] == pytest.approx(cash_flow / market_value, rel=1e-12)
        assert row["book_to_price"] == pytest.approx(value("StockholdersEquity", balance) / market_value, rel=1e-12)
        assert row["piotroski_dlever"] == 0.0  # its first bonds since the nineties were sold in that year
        assert row["piotroski_eq_offer"] == 1.0  # 899 million after 939, and 6,294 million in no filing that also tells the year before


# A reader of filings, written out --------------------------------------------------------------------------------------------------------


class Reader:
    """Figures of AAA as known at a close. Its years are calendar years, and each filing tells its period and the one a year before."""

    def __init__(self, facts: pl.DataFrame, close_at: dt.datetime):
        known = facts.filter(pl.col("ticker") == "AAA", pl.col("known_at") <= close_at).sort("known_at")
        self.figures = {(row["concept"], row["period_start"], row["period_end"]): row["value"] for row in known.iter_rows(named=True)}
        self.quarter_end = known.filter(pl.col("concept") == "Assets")["period_end"].max()
        self.year = known.filter(pl.col("form") == "10-K", pl.col("concept") == "Assets")["period_end"].max().year
        self.filed = known["filed"].max()
        self.covers = {end: value for (concept, _, end), value in self.figures.items() if concept == "EntityCommonStockSharesOutstanding"}

    def at(self, concept: str, end: dt.date) -> float:
        return self.figures[concept, None, end]

    def in_year(self, concept: str, year: int) -> float:
        return self.figures[concept, D(year, 1, 1), D(year, 12, 31)]

    def ttm(self, concept: str, years_ago: int = 0) -> float:
        end = self.quarter_end.replace(year=self.quarter_end.year - years_ago)
        if end.month == 12:
            return self.in_year(concept, end.year)
        ytd = self.figures[concept, D(end.year, 1, 1), end]
        return self.in_year(concept, end.year - 1) + ytd - self.figures[concept, D(end.year - 1, 1, 1), end.replace(year=end.year - 1)]


SALES, PROFIT, EBIT, CASH_FLOW = "Revenues", "NetIncomeLoss", "OperatingIncomeLoss", "NetCashProvidedByUsedInOperatingActivities"
GROSS, SGA, DEPRECIATION = "GrossProfit", "SellingGeneralAndAdministrativeExpense", "DepreciationDepletionAndAmortization"
CA, CL, PPE, LTD = "AssetsCurrent", "LiabilitiesCurrent", "PropertyPlantAndEquipmentNet", "LongTermDebtNoncurrent"


def expected(of: Reader, session: dt.date, close: float, splits: dict[dt.date, float]) -> dict[str, float]:
    cover = max(of.covers)
    shares = of.covers[cover]
    for day, factor in splits.items():
        if cover < day <= session:
            shares *= factor
    market_value = close * shares
    q, before_q = of.quarter_end, of.quarter_end.replace(year=of.quarter_end.year - 1)
    debt = of.at(LTD, q) + of.at("DebtCurrent", q)
    cash = of.at("CashAndCashEquivalentsAtCarryingValue", q)
    average_assets = (of.at("Assets", q) + of.at("Assets", before_q)) / 2
    working = max(0.0, of.at(CA, q) - cash - of.at(CL, q) + of.at("DebtCurrent", q))
    y, e, e1, e2 = of.year, D(of.year, 12, 31), D(of.year - 1, 12, 31), D(of.year - 2, 12, 31)
    ta, ta1, ta2 = (of.at("Assets", day) for day in (e, e1, e2))
    roa, roa1 = of.in_year(PROFIT, y) / ta1, of.in_year(PROFIT, y - 1) / ta2
    flags = {
        "roa": roa > 0,
        "cfo": of.in_year(CASH_FLOW, y) > 0,
        "droa": roa > roa1,
        "accrual": of.in_year(CASH_FLOW, y) > of.in_year(PROFIT, y),
        "dlever": of.at(LTD, e) / ((ta + ta1) / 2) < of.at(LTD, e1) / ((ta1 + ta2) / 2),
        "dliquid": of.at(CA, e) / of.at(CL, e) > of.at(CA, e1) / of.at(CL, e1),
        "eq_offer": of.at("CommonStockSharesOutstanding", e) <= of.at("CommonStockSharesOutstanding", e1),
        "dmargin": of.in_year(GROSS, y) / of.in_year(SALES, y) > of.in_year(GROSS, y - 1) / of.in_year(SALES, y - 1),
        "dturn": of.in_year(SALES, y) / ta1 > of.in_year(SALES, y - 1) / ta2,
    }
    x1, x2 = (of.at(CA, e) - of.at(CL, e)) / ta, of.at("RetainedEarningsAccumulatedDeficit", e) / ta
    x3, x5 = of.in_year(EBIT, y) / ta, of.in_year(SALES, y) / ta
    liabilities = of.at("Liabilities", e)
    x4 = (ta - liabilities) / liabilities

    def measures(year: int, day: dt.date) -> dict[str, float]:
        sales, assets, depreciation, ppe = of.in_year(SALES, year), of.at("Assets", day), of.in_year(DEPRECIATION, year), of.at(PPE, day)
        return {
            "receivables": of.at("AccountsReceivableNetCurrent", day) / sales, "margin": of.in_year(GROSS, year) / sales,
            "soft": 1 - (of.at(CA, day) + ppe) / assets, "depreciation": depreciation / (depreciation + ppe),
            "sga": of.in_year(SGA, year) / sales, "leverage": (of.at(LTD, day) + of.at(CL, day)) / assets,
        }  # fmt: skip

    this, last = measures(y, e), measures(y - 1, e1)
    dsri, gmi, aqi = this["receivables"] / last["receivables"], last["margin"] / this["margin"], this["soft"] / last["soft"]
    sgi, depi = of.in_year(SALES, y) / of.in_year(SALES, y - 1), last["depreciation"] / this["depreciation"]
    sgai, lvgi = this["sga"] / last["sga"], this["leverage"] / last["leverage"]
    tata = (of.in_year(PROFIT, y) - of.in_year(CASH_FLOW, y)) / ta
    equity, equity_before = of.at("StockholdersEquity", q), of.at("StockholdersEquity", before_q)
    return {
        "earnings_yield": of.ttm(PROFIT) / market_value,
        "book_to_price": equity / market_value,
        "sales_to_price": of.ttm(SALES) / market_value,
        "cash_flow_yield": of.ttm(CASH_FLOW) / market_value,
        "ebit_to_enterprise_value": of.ttm(EBIT) / (market_value + debt - cash),
        "gross_margin": of.ttm(GROSS) / of.ttm(SALES),
        "operating_margin": of.ttm(EBIT) / of.ttm(SALES),
        "net_margin": of.ttm(PROFIT) / of.ttm(SALES),
        "revenue_growth": of.ttm(SALES) / of.ttm(SALES, 1) - 1,
        "net_income_growth": of.ttm(PROFIT) / of.ttm(PROFIT, 1) - 1,
        "return_on_assets": of.ttm(PROFIT) / average_assets,
        "return_on_equity": of.ttm(PROFIT) / ((equity + equity_before) / 2),
        "accruals": (of.ttm(PROFIT) - of.ttm(CASH_FLOW)) / average_assets,
        "return_on_capital": of.ttm(EBIT) / (of.at(CA, q) - of.at(CL, q) + of.at(PPE, q)),
        "return_on_operating_capital": of.ttm(EBIT) / (working + of.at(PPE, q)),
        "piotroski_f": float(sum(flags.values())),
        **{f"piotroski_{name}": float(flag) for name, flag in flags.items()},
        "altman_z": 1.2 * x1 + 1.4 * x2 + 3.3 * x3 + 0.6 * market_value / liabilities + 0.999 * x5,
        "altman_z_private": 0.717 * x1 + 0.847 * x2 + 3.107 * x3 + 0.42 * x4 + 0.998 * x5,
        "altman_z_nonmanufacturer": 6.56 * x1 + 3.26 * x2 + 6.72 * x3 + 1.05 * x4,
        "beneish_m": -4.84 + 0.92 * dsri + 0.528 * gmi + 0.404 * aqi + 0.892 * sgi + 0.115 * depi
        - 0.172 * sgai + 4.679 * tata - 0.327 * lvgi,
        "beneish_m_5": -6.065 + 0.823 * dsri + 0.906 * gmi + 0.593 * aqi + 0.717 * sgi + 0.107 * depi,
        "filing_age_days": float((session - of.filed).days),
    }  # fmt: skip


def test_every_feature_against_a_reader_of_filings():
    panel = tables()
    out = compute(panel, names=NAMES)
    prices = panel["prices"]
    splits = dict(prices.filter(pl.col("split_factor") != 1).select("session", "split_factor").iter_rows())
    flags: dict[str, set[float]] = {name: set() for name in scores.PIOTROSKI}
    for place in range(0, prices.height, 20):
        row, bar = out.row(place, named=True), prices.row(place, named=True)
        wanted = expected(Reader(panel["fundamentals"], session_close(bar["session"])), bar["session"], bar["close"], splits)
        assert set(wanted) == set(NAMES)
        assert {name: row[name] for name in NAMES} == pytest.approx(wanted, rel=1e-9), bar["session"]
        for name, values in flags.items():
            values.add(row[f"piotroski_{name}"])
    assert [name for name, values in flags.items() if len(values) == 2] == ["droa", "dlever", "dliquid", "eq_offer", "dmargin", "dturn"]


# What is not there, and what is told otherwise -------------------------------------------------------------------------------------------

FILED = D(2012, 2, 1)
YEAR_2010, YEAR_2011 = (D(2010, 1, 1), D(2010, 12, 31)), (D(2011, 1, 1), D(2011, 12, 31))


def fact(concept: str, value: float, *period: dt.date, filed: dt.date = FILED, unit: str = "USD", **other: Any) -> dict[str, Any]:
    start, end = period if len(period) == 2 else (None, *period)
    return {
        "ticker": "AAPL", "taxonomy": "us-gaap", "concept": concept, "unit": unit, "period_start": start, "period_end": end, "value": value,
        "accession": f"0-{filed}", "form": "10-K", "filed": filed, "source": "x", "fetched_at": end_of_day(filed),
        "known_at": end_of_day(filed), **other,
    }  # fmt: skip


def last_state(*facts: dict[str, Any]) -> dict[str, Any]:
    rows = [{**dict.fromkeys(TABLES["fundamentals"].schema), **row} for row in facts]
    frame = pl.DataFrame(rows, schema=TABLES["fundamentals"].schema)
    return statements(frame.lazy()).collect().row(-1, named=True)


ASSETS = fact("Assets", 100.0, YEAR_2011[1])
INCOME = fact("NetIncomeLoss", 10.0, *YEAR_2011)


@pytest.mark.parametrize(
    ("facts", "item", "value"),
    [
        ([fact("SalesRevenueNet", 5.0, *YEAR_2011)], "revenue_ttm", 5.0),
        ([fact("SalesRevenueNet", 5.0, *YEAR_2011), fact("Revenues", 6.0, *YEAR_2011)], "revenue_ttm", 6.0),
        ([fact("Revenues", 5.0, *YEAR_2011), fact("Revenues", 7.0, *YEAR_2011, filed=D(2012, 5, 1), form="10-K/A")], "revenue_ttm", 7.0),
        ([fact("Revenues", 6.0, *YEAR_2011), fact("CostOfRevenue", 4.0, *YEAR_2011)], "gross_profit_ttm", 2.0),
        ([fact("CostOfRevenue", 4.0, *YEAR_2011)], "gross_profit_ttm", None),
        ([fact("SellingAndMarketingExpense", 1.0, *YEAR_2011)], "year_sga", None),
        ([fact("SellingExpense", 1.0, *YEAR_2011), fact("GeneralAndAdministrativeExpense", 2.0, *YEAR_2011)], "year_sga", 3.0),
        ([fact("StockholdersEquity", 30.0, YEAR_2011[1])], "year_liabilities", 70.0),
        ([], "year_liabilities", None),
        ([], "long_term_debt", 0.0),
        ([fact("LongTermDebtNoncurrent", 8.0, YEAR_2010[1])], "long_term_debt", None),
        ([fact("LongTermDebt", 8.0, YEAR_2011[1])], "long_term_debt", 8.0),
        ([fact("LongTermDebtCurrent", 2.0, YEAR_2011[1]), fact("CommercialPaper", 3.0, YEAR_2011[1])], "short_term_debt", 5.0),
        ([fact("LongTermDebtCurrent", 2.0, YEAR_2011[1]), fact("DebtCurrent", 9.0, YEAR_2011[1])], "short_term_debt", 9.0),
        ([fact("Revenues", 5.0, D(2011, 10, 1), YEAR_2011[1])], "revenue_ttm", None),
        ([fact("Revenues", 5.0, *YEAR_2011, unit="EUR")], "revenue_ttm", None),
        ([fact("Assets", 999.0, D(2035, 12, 31))], "assets", 100.0),
        ([fact("Assets", 90.0, D(2012, 3, 31), filed=D(2012, 5, 1))], "net_income_ttm", None),
        ([fact("ProfitLoss", 12.0, *YEAR_2011, filed=D(2012, 5, 1))], "net_income_ttm", 10.0),
    ],
)  # fmt: skip
def test_an_item_is_found_or_null(facts: list[dict[str, Any]], item: str, value: float | None):
    assert last_state(ASSETS, INCOME, *facts)[item] == value


def test_a_year_of_53_weeks_is_a_year():
    """Apple's fiscal 2012 began on 2011-09-25 and its fiscal 2017 had 53 weeks: quarters end 371 days apart."""
    year, quarter, before = (D(2015, 9, 27), D(2016, 9, 24)), (D(2016, 9, 25), D(2016, 12, 31)), (D(2015, 9, 27), D(2015, 12, 26))
    facts = [fact("Revenues", value, *period, filed=D(2017, 2, 1)) for value, period in ((100.0, year), (30.0, quarter), (25.0, before))]
    balances = [fact("Assets", 1.0, day, filed=D(2017, 2, 1)) for day in (quarter[1], before[1])]
    state = last_state(*facts, *balances)
    assert (state["revenue_ttm"], state["assets_before"]) == (105.0, 1.0)


def test_shares_of_two_years_are_those_of_one_filing():
    """A quarterly report after a split tells the last year's shares anew, and not those of the year before."""
    counted = "CommonStockSharesOutstanding"
    annual = [fact("NetIncomeLoss", 1.0, *YEAR_2010), INCOME, fact(counted, 100.0, YEAR_2010[1], unit="shares")]
    annual.append(fact(counted, 99.0, YEAR_2011[1], unit="shares"))
    quarterly = fact(counted, 693.0, YEAR_2011[1], unit="shares", filed=D(2012, 5, 1), form="10-Q")
    state = last_state(*annual, quarterly)
    assert (state["year_shares"], state["year_shares_before"]) == (99.0, 100.0)
    amended = [fact(counted, value, year[1], unit="shares", filed=D(2012, 8, 1)) for value, year in ((98.0, YEAR_2011), (97.0, YEAR_2010))]
    state = last_state(*annual, *amended)
    assert (state["year_shares"], state["year_shares_before"]) == (98.0, 97.0)
    classes = [
        fact("WeightedAverageNumberOfSharesOutstandingBasic", value, *year, unit="shares")
        for value, year in ((5.0, YEAR_2010), (6.0, YEAR_2011))
    ]
    state = last_state(*annual[:2], *classes)
    assert (state["year_shares"], state["year_shares_before"]) == (6.0, 5.0)


def test_as_many_shares_as_before_is_no_issue():
    items = {name: pl.lit(1.0) for name in (*OF_YEAR, *OF_YEAR_END, "shares")}
    signals = valued(**scores.piotroski(items, items, pl.lit(1.0)))
    assert {name for name, signal in signals.items() if signal} == {"roa", "cfo", "eq_offer"}


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([fact("EntityCommonStockSharesOutstanding", 5.0, D(2012, 1, 20), unit="shares", taxonomy="dei")], (5.0, D(2012, 1, 20))),
        ([fact("CommonStockSharesOutstanding", 6.0, YEAR_2011[1], unit="shares")], (6.0, FILED)),
        ([fact("CommonStockSharesOutstanding", 6.0, YEAR_2011[1], unit="shares"),
          fact("EntityCommonStockSharesOutstanding", 5.0, D(2012, 1, 20), unit="shares", taxonomy="dei")], (5.0, D(2012, 1, 20))),
        ([], (None, None)),
    ],
)  # fmt: skip
def test_shares_are_those_of_the_cover_day_or_of_the_filing(shares: list[dict[str, Any]], expected: tuple[float, dt.date]):
    """A cover counts on its day; a balance sheet already shows a split that came before it was filed."""
    state = last_state(ASSETS, *shares)
    assert (state["shares"], state["shares_day"]) == expected


def test_what_is_not_above_zero_divides_nothing():
    out = compute(
        {
            "prices": flat_bars(D(2012, 1, 30), D(2012, 2, 10), 10.0),
            "fundamentals": pl.DataFrame(
                [
                    {**dict.fromkeys(TABLES["fundamentals"].schema), **row}
                    for row in (ASSETS, INCOME, fact("Revenues", 0.0, *YEAR_2011), fact("StockholdersEquity", -5.0, YEAR_2011[1]),
                                fact("Assets", 80.0, YEAR_2010[1]), fact("StockholdersEquity", -7.0, YEAR_2010[1]),
                                fact("EntityCommonStockSharesOutstanding", 2.0, D(2012, 1, 20), unit="shares", taxonomy="dei"))
                ],
                schema=TABLES["fundamentals"].schema,
            ),
        },
        names=NAMES,
    )  # fmt: skip
    assert out.filter(pl.col("session") <= D(2012, 2, 1)).select(NAMES).null_count().sum_horizontal().item() == 3 * len(NAMES)
    row = on(out, D(2012, 2, 2))
    known = {name: value for name, value in row.items() if value is not None}
    assert known == {
        "ticker": "AAPL", "session": D(2012, 2, 2), "earnings_yield": 0.5, "book_to_price": -0.25, "sales_to_price": 0.0,
        "return_on_assets": 10 / 90, "filing_age_days": 1.0,
    }  # fmt: skip


def test_names_without_raw_prices_keep_what_filings_tell():
    out = compute({**tables(), "prices": adjusted_only(bars("AAA", actions=False))}, names=NAMES)
    priced = {feature.name for feature in fundamentals.FEATURES if "prices.price_basis" in feature.inputs}
    assert priced == {"earnings_yield", "book_to_price", "sales_to_price", "cash_flow_yield", "ebit_to_enterprise_value", "altman_z"}
    assert {name for name in NAMES if out[name].null_count() == out.height} == priced
    assert all(out[name].null_count() == 0 for name in set(NAMES) - priced)


def test_no_filings_give_nulls():
    out = compute({"prices": bars("AAA", 5)}, names=NAMES)
    assert out.select(NAMES).null_count().row(0) == (5,) * len(NAMES)


# The future ------------------------------------------------------------------------------------------------------------------------------


YEARS = Window(D(2009, 12, 1), D(2013, 12, 31))


def features(tables: Tables) -> pl.DataFrame:
    return compute(tables, names=NAMES)


def joined_on_period_end(tables: Tables) -> pl.DataFrame:
    """The planted leak: a figure counts from the end of its period on, before anybody had filed it."""
    early = tables["fundamentals"].with_columns(known_at=pl.col("period_end").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    return features({**tables, "fundamentals": early})


def test_no_filing_is_read_before_its_day():
    panel = {name: tables(200)[name] for name in READ}
    panel["prices"] = panel["prices"].join(session_table(YEARS), on="session").rename({"close_at": "known_at"})
    panel["fundamentals"] = panel["fundamentals"].filter(pl.col("ticker") == "AAA")
    span = Window(panel["prices"]["session"].min(), panel["prices"]["session"].max())
    cuts = [cut for cut in informative_cuts(panel, span, n=3, seed=2) if span.start < cut < span.end]
    assert leaks(features, panel, cuts).is_empty()
    found = set(leaks(joined_on_period_end, panel, cuts)["column"])
    assert {"net_margin", "earnings_yield", "beneish_m", "filing_age_days"} <= found
