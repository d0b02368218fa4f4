"""The daily report as one self-contained page: assembles what each section shows; layout is in `templates/`, behaviour in `page.js`.

The page carries a content security policy that names its three scripts by hash and allows no other source, so it cannot load
anything, and text that came from elsewhere cannot run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import polars as pl
from markupsafe import Markup

from quant_assets.backtest.accounts import PORTFOLIO
from quant_assets.backtest.rules import STRATEGIES
from quant_assets.calendars import session_close
from quant_assets.models.terms import MODEL_NAME, PERSISTENCE, RIDGE
from quant_assets.reporting import wording
from quant_assets.reporting.atomic import write_text
from quant_assets.reporting.charts import embedded, equity_chart, price_chart
from quant_assets.reporting.data_section import data_section
from quant_assets.reporting.geometry import Axis, Track, bar_around_zero, gauge, track
from quant_assets.reporting.inputs import PerformanceRow, ReportInputs
from quant_assets.validation.record import MAJORITY
from quant_assets.validation.skill import FEWEST_SESSIONS

if TYPE_CHECKING:
    from quant_assets.validation.record import Record

TEMPLATES = Path(__file__).parent / "templates"
TOP_IMPORTANCES = 15
RIVAL_NAMES = {MODEL_NAME: "Model", RIDGE: "Ridge", PERSISTENCE: "Persistence", MAJORITY: "Base rate"}
STRATEGY_NAMES = {"threshold": "Threshold", "top_fifth": "Top fifth", "buy_and_hold": "Buy and hold"}


def write_html(inputs: ReportInputs, path: Path) -> None:
    """Writes the page. Identical inputs give identical bytes.

    Raises
    ------
    QuantAssetsError : the folder cannot be written.
    """
    write_text(path, render(inputs))


def render(inputs: ReportInputs) -> str:
    """The page as text; plotly is in it once."""
    from plotly.offline import get_plotlyjs

    scripts = {
        "early": Markup("document.documentElement.classList.add('js')"),
        "plotly": Markup(get_plotlyjs()),
        "page": Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
    }
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            as_of=inputs.as_of,
            close_at=session_close(inputs.as_of),
            profile=inputs.profile,
            bands=inputs.bands,
            scripts=scripts,
            script_sources=" ".join(script_source(script) for script in scripts.values()),
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
            n_universe=inputs.report.height,
            statuses=_statuses(inputs.report),
            today=wording.today_finding(inputs.report, inputs.bands),
            skill=_skill(inputs.record),
            fewest_sessions=FEWEST_SESSIONS,
            ranking=_ranking(inputs.report),
            strategies=_strategies(inputs),
            names=_names(inputs),
            model=inputs.model,
            importances=_importances(inputs),
            data=data_section(inputs.scorecard),
            survivorship=inputs.survivorship,
            notes=inputs.notes,
        )
    )


@cache
def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        number=wording.number,
        signed=wording.signed,
        percent=wording.percent,
        chart=embedded,
        words=lambda name: name.replace("_", " "),
        sentence=wording.sentence,
    )
    environment.globals.update(interval=wording.interval, count=wording.count)
    return environment


def script_source(script: str) -> str:
    """The script's entry in the content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _statuses(report: pl.DataFrame) -> list[tuple[str, int]]:
    """(status, names), "ok" first."""
    counts = report.group_by("status").len().sort(pl.col("status") != "ok", "status")
    return list(counts.iter_rows())


def _skill(record: Record) -> dict[str, Any]:
    skill = record.decides
    auc_axis = Axis.around(0.5, (skill.auc_low, skill.auc_high, skill.auc), 0.02)
    ic_axis = Axis.around(0.0, (skill.rank_ic_low, skill.rank_ic_high, skill.rank_ic), 0.02)
    return {
        "figures": skill,
        "findings": wording.skill_findings(skill),
        "log_loss_difference": _difference(skill.log_loss, skill.base_log_loss),
        "auc_difference": _difference(skill.auc, 0.5),
        "auc_axis": auc_axis,
        "auc_track": track(auc_axis, mark=0.5, point=skill.auc, low=skill.auc_low, high=skill.auc_high),
        "ic_axis": ic_axis,
        "ic_track": track(ic_axis, mark=0.0, point=skill.rank_ic, low=skill.rank_ic_low, high=skill.rank_ic_high),
        "rivals": [(RIVAL_NAMES.get(name, name), rival) for name, rival in record.rivals.items()],
        **_by_year(record),
        **_by_ticker(record.by_ticker),
    }


def _by_year(record: Record) -> dict[str, Any]:
    rows = record.decides.by_year
    axis = Axis.around(0.5, [value for _, *values in rows for value in values], 0.05)
    others = {name: rival for name, rival in list(record.rivals.items())[1:] if name != MAJORITY}  # which ranks no two rows of a quarter
    beside = {RIVAL_NAMES.get(name, name): {year: auc for year, auc, *_ in rival.by_year} for name, rival in others.items()}
    years = [
        {
            "year": year,
            "auc": auc,
            "low": low,
            "high": high,
            "track": track(axis, mark=0.5, point=auc, low=low, high=high),
            "rivals": [aucs.get(year) for aucs in beside.values()],
        }
        for year, auc, low, high in rows
    ]
    return {"year_axis": axis, "years": years, "year_rivals": list(beside)}


def _by_ticker(rows: pl.DataFrame) -> dict[str, Any]:
    """The names by their AUC, the highest first; those with one outcome only last."""
    ordered = rows.sort(pl.col("auc").neg(), "ticker", nulls_last=True).rows(named=True)
    axis = Axis.around(0.5, [row[name] for row in ordered for name in ("auc", "low", "high")], 0.05)
    for row in ordered:
        row["track"] = None if row["auc"] is None else track(axis, mark=0.5, point=row["auc"], low=row["low"], high=row["high"])
    return {"name_axis": axis, "names": ordered}


def _ranking(report: pl.DataFrame) -> dict[str, Any]:
    scored = pl.col("score").is_not_null()
    rows = report.filter(scored).sort("rank", "ticker").rows(named=True)
    unscored = report.filter(~scored).sort("ticker").rows(named=True)
    axis = _score_axis(report)
    excesses = [_difference(row["score"], row["base_rate"]) for row in rows]
    excess_axis = Axis.around(0.0, excesses, 0.02)
    for row, excess in zip(rows, excesses, strict=True):
        row["excess"] = excess
        row["bar"] = bar_around_zero(excess_axis, excess) if excess is not None else None
        row["track"] = _score_track(axis, row)
    return {"rows": rows, "unscored": unscored, "axis": axis, "excess_axis": excess_axis, "shared": _shared_absences(report)}


def _score_axis(report: pl.DataFrame) -> Axis:
    """One axis for every score of the session: 0.4 to 0.6, or wider in steps of 0.1."""
    columns = report.select("ci_low", "ci_high", "score", "base_rate").get_columns()
    return Axis.around(0.5, [value for column in columns for value in column], 0.1)


def _score_track(axis: Axis, row: dict[str, Any]) -> Track:
    mark = 0.5 if row["base_rate"] is None else row["base_rate"]
    return track(axis, mark=mark, point=row["score"], low=row["ci_low"], high=row["ci_high"])


def _shared_absences(report: pl.DataFrame) -> dict[str, str]:
    """Columns in which every name has the same `n/a (reason)`, by their heading: the reason is said once below the table."""
    shared = {}
    for column, heading in (("iv_risk", "IV risk"), ("top_option", "Top option")):
        values = report[column].unique()
        if len(values) == 1 and values[0].startswith("n/a ("):
            shared[heading] = values[0].removeprefix("n/a (").removesuffix(")")
    return shared


def _strategies(inputs: ReportInputs) -> dict[str, Any]:
    rows = _accounts([row for row in inputs.performance if row.account == "portfolio" and row.ticker == PORTFOLIO])
    account = inputs.equity.filter(pl.col("account") == "portfolio")
    return {"rows": rows, "undrawn": _undrawn(rows), "chart": equity_chart(account, _curves(rows))}


def _accounts(performance: Sequence[PerformanceRow]) -> list[dict[str, Any]]:
    """The rules of one account in their fixed order; none when it never ran."""
    rows = sorted(performance, key=lambda row: STRATEGIES.index(row.strategy))
    return [
        {
            "strategy": row.strategy,
            "name": STRATEGY_NAMES[row.strategy],
            "figures": row.figures,
            "traded": row.figures.n_entries > 0,
        }
        for row in rows
    ]


def _curves(rows: list[dict[str, Any]]) -> list[str]:
    """Strategies worth a line: a flat one at the opening cash says nothing."""
    return [row["strategy"] for row in rows if row["traded"]]


def _undrawn(rows: list[dict[str, Any]]) -> str:
    idle = [row["name"] for row in rows if not row["traded"]]
    return f" Not drawn, no trades: {', '.join(idle).lower()}." if idle else ""


def _names(inputs: ReportInputs) -> list[dict[str, Any]]:
    prices = inputs.prices.partition_by("ticker", as_dict=True)
    equity = inputs.equity.filter(pl.col("account") == "ticker").partition_by("ticker", as_dict=True)
    synthesis = {row["ticker"]: row for row in inputs.synthesis.iter_rows(named=True)}
    performance: dict[str, list[PerformanceRow]] = {}
    for account in inputs.performance:
        if account.account == "ticker":
            performance.setdefault(account.ticker, []).append(account)
    names = []
    axis = _score_axis(inputs.report)
    for row in inputs.report.sort("rank", "ticker", nulls_last=True).iter_rows(named=True):
        ticker = row["ticker"]
        accounts = _accounts(performance.get(ticker, ()))
        own = (ticker,)
        names.append(
            {
                "row": row,
                "track": _score_track(axis, row),
                "excess": _difference(row["score"], row["base_rate"]),
                "gauge": None
                if row["score"] is None
                else gauge(row["score"], row["base_rate"], row["ci_low"], row["ci_high"], inputs.bands),
                "synthesis": synthesis.get(ticker),
                "prices": price_chart(prices[own]) if own in prices else None,
                "accounts": accounts,
                "undrawn": _undrawn(accounts),
                "equity": equity_chart(equity[own], _curves(accounts), thin=True) if own in equity else None,
            }
        )
    return names


def _importances(inputs: ReportInputs) -> list[tuple[str, float, str]]:
    """(feature, share, width in per cent of the largest), largest first; ties by name."""
    top = sorted(inputs.importances, key=lambda entry: (-entry[1], entry[0]))[:TOP_IMPORTANCES]
    axis = Axis(0.0, top[0][1]) if top and top[0][1] > 0 else Axis(0.0, 1.0)
    return [(feature, share, axis.at(share)) for feature, share in top]


def _difference(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else value - reference
