"""The last step of a night: gather what the report shows and write its two files. How they look is `reporting/`'s business."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from quant_assets.adjustments import adjust
from quant_assets.backtest.metrics import performance
from quant_assets.calendars import Window, day_window, session_offset, year_window
from quant_assets.errors import BadArgument
from quant_assets.features.catalog import OF_BARS
from quant_assets.features.overlays import overlays
from quant_assets.lake import Lake
from quant_assets.models.pooled import importances
from quant_assets.models.terms import MODEL_NAME
from quant_assets.quality.scorecard import put_right
from quant_assets.quality.survivorship import survivorship
from quant_assets.reporting import wording
from quant_assets.reporting.csv_table import write_csv
from quant_assets.reporting.html_page import write_html
from quant_assets.reporting.inputs import ModelCard, PerformanceRow, ReportInputs
from quant_assets.steps.models import registry, trained_at
from quant_assets.steps.records import record_of
from quant_assets.workspace import Workspace

CHART_SESSIONS = 252


def report_files(work: Workspace) -> tuple[Path, Path]:
    """(CSV, HTML) of the night."""
    stem = work.settings.reports / f"daily_report_{work.as_of}"
    return stem.with_suffix(".csv"), stem.with_suffix(".html")


def write_report(work: Workspace) -> tuple[Path, Path]:
    """Writes both files of the night from the lake; unchanged inputs give unchanged bytes.

    Raises
    ------
    BadArgument : the session has no report in the lake.
    """
    day = day_window(work.as_of)
    report = work.lake.scan("daily_report", window=day).collect()
    if report.is_empty():
        raise BadArgument(f"no report for {work.as_of} in the lake", remedy=f"run `quant-assets run --as-of {work.as_of}` first")
    csv, html = report_files(work)
    write_csv(report, csv)
    write_html(gather(work, report), html)
    return csv, html


def gather(work: Workspace, report: pl.DataFrame) -> ReportInputs:
    """Everything the page shows, as known at `as_of`."""
    day = day_window(work.as_of)
    record = record_of(work)
    trained = trained_at(work, work.cutoff)
    booster = registry(work).load(trained["model_run_id"]).booster
    equity = work.lake.scan("equity", window=work.out_of_sample).collect()
    card = ModelCard(
        name=MODEL_NAME,
        run_id=trained["model_run_id"],
        cutoff=trained["cutoff"],
        feature_set=trained["feature_set"],
        base_rate=trained["base_rate"],
        best_round=trained["best_round"],
        unproven=record.decides.unproven,
    )
    return ReportInputs(
        as_of=work.as_of,
        profile=work.settings.profile,
        bands=work.settings.signal,
        report=report,
        synthesis=work.lake.scan("trade_synthesis", window=day).collect(),
        prices=chart_prices(work),
        equity=equity,
        performance=accounts(work.lake, equity, work.out_of_sample),
        record=record,
        importances=importances(booster),
        model=card,
        scorecard=newest_scorecard(work),
        survivorship=survivorship(work.universe, Window(work.history.start, work.after_as_of)).sentence,
        notes=notes(work),
    )


def newest_scorecard(work: Workspace) -> pl.DataFrame:
    """Rows of `quality_scorecard` of the last week that ended by the night; none before the first."""
    rows = work.lake.scan("quality_scorecard", window=Window(work.history.start, work.after_as_of)).collect()
    return rows.filter(pl.col("session") == pl.col("session").max())


def chart_prices(work: Workspace) -> pl.DataFrame:
    """The last 252 sessions of each name, adjusted as of the night, with the averages and bands drawn over them."""
    prices = work.lake.scan("prices", window=work.history)
    basis = prices.select("ticker", "session", "price_basis").collect()
    drawn = overlays(adjust(prices, work.as_of)).join(basis, on=["ticker", "session"])
    since = session_offset(work.as_of, -CHART_SESSIONS + 1)
    return drawn.filter(pl.col("session") >= since)


def accounts(lake: Lake, equity: pl.DataFrame, window: Window) -> list[PerformanceRow]:
    """Figures of every account in the equity table."""
    trades = lake.scan("trades", window=window).collect()
    rows = []
    for (strategy, account, ticker), line in equity.group_by("strategy", "account", "ticker", maintain_order=True):
        own = (pl.col("strategy") == strategy) & (pl.col("account") == account)
        mine = trades.filter(own if account == "portfolio" else own & (pl.col("ticker") == ticker))
        figures = performance(line, mine)
        rows.append(PerformanceRow(str(strategy), str(account), str(ticker), figures))
    return rows


def _proven(work: Workspace) -> list[str]:
    """What was computed again before the decision of the night, if it was."""
    rows = work.lake.scan("leak_proof", window=day_window(work.as_of)).collect()
    if rows.is_empty():
        return []
    n = rows.filter(pl.col("subject") != "inputs")["compared"].sum()
    n_differ, cuts = rows["differing"].sum(), wording.count(rows["cuts"].max(), "session")  # type: ignore[arg-type]
    found = "none moved" if not n_differ else f"{n_differ:,} moved: {rows.filter(pl.col('differing') > 0)['example'][0]}"
    return [f"Look-ahead: {n:,} values were computed again with the future withheld, multiplied and shuffled after {cuts}: {found}."]


def _without_values(work: Workspace) -> list[str]:
    """Which features no name has a value of tonight, by family and reason."""
    day = day_window(work.as_of)
    tonight = work.lake.scan("features", window=day).select(pl.col(list(OF_BARS)).count(), names=pl.len()).collect().row(0, named=True)
    empty = [name for name in OF_BARS if not tonight[name]]
    if not empty or not tonight["names"]:
        return []
    year = work.lake.scan("feature_gaps", window=year_window(work.as_of.year)).filter(pl.col("feature").is_in(empty))
    why = pl.col("reason").str.replace(r" has nothing of \S+ by then", " has nothing").str.replace(r" has no .* by then", " lacks them")
    reasons = dict(year.select("feature", reason=why).unique(["feature"], keep="first", maintain_order=True).collect().iter_rows())
    groups: dict[tuple[str, str], int] = {}
    for name in empty:
        group = OF_BARS[name].family, reasons.get(name, OF_BARS[name].missing)
        groups[group] = groups.get(group, 0) + 1
    told = "; ".join(f"{n} {family.replace('_', ' ')} ({reason})" for (family, reason), n in groups.items())
    return [f"{len(empty)} of {len(OF_BARS)} features have no value for any name tonight, and none was made up: {told}."]


def notes(work: Workspace) -> list[str]:
    """What is missing tonight, and how far the sources can be trusted."""
    log = work.lake.scan("quality_log", window=work.history, scope={"table": "prices"}).collect()
    disagree = log.filter(pl.col("field") == "total_return")
    inferred = log.filter(pl.col("field").is_in(["split_factor", "dividend"]))
    held_back = work.lake.scan("quarantine", window=work.history).select(pl.len()).collect().item()
    tonight = work.lake.scan("prices", window=day_window(work.as_of)).filter(pl.col("price_basis") == "adjusted")
    n_adjusted, n_bare = tonight.select(pl.len(), bare=pl.col("high").is_null().sum()).collect().row(0)
    n_repaired = log.filter(put_right()).height
    held = f"{wording.count(held_back, 'row')} in quarantine."
    if n_repaired:
        held += f" {wording.count(n_repaired, 'value')} that the bar or the vendor's own record proves wrong were put right."
    absent = f"no {work.settings.profile} source: they are reported as missing, never invented."
    missing = f"Implied volatility, options, news, earnings and macro series have {absent}"
    if work.settings.profile == "live":
        chosen = "The names are today's watchlist, chosen knowing how they fared: returns of buy-and-hold are flattered by that."
        return [*_proven(work), missing, *_without_values(work), held, _members(work) or chosen]
    return [
        *_proven(work),
        missing,
        f"{wording.count(n_adjusted, 'name')} with prices that the vendor adjusts are ranked, not traded, and have no price levels; "
        f"features that need high, low or volume are null for the {n_bare} of them with a close only.",
        *_without_values(work),
        f"{inferred.height} splits and dividends were inferred from changes of the vendor's adjusted close and are marked as inferred.",
        held,
        _agreement(disagree),
        _members(work)
        or "The names were chosen by the packages that ship them and survived until then: returns of buy-and-hold are flattered by that.",
    ]


def _members(work: Workspace) -> str | None:
    if work.membership is None:
        return None
    return f"Each session decides on its own members alone, as {work.membership.file.name} names them."


def _agreement(disagree: pl.DataFrame) -> str:
    if disagree.is_empty():
        return "Names found in two sources agree: no daily total return differs by more than 1 %."
    shown = "; ".join(
        f"{ticker} {session}: {one:.2%} and {other:.2%}"
        for ticker, session, one, other in disagree.select("ticker", "session", "repaired", "original").iter_rows()
    )
    return f"Names found in two sources differ by more than 1 % in {disagree.height} daily total returns ({shown}); the first was kept."
