"""`quant-assets run`: one night, from prices to the ranked report, and what is printed of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from quant_assets.calendars import day_window
from quant_assets.cli.app import app, aside, print_json, screen
from quant_assets.cli.options import AsOf, Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.cli.progress import Progress
from quant_assets.lake.coverage import ALL
from quant_assets.lake.night_lock import night_lock
from quant_assets.logs import log_to
from quant_assets.reporting import wording
from quant_assets.settings import FILE_NAME, Settings
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    import dagster as dg

    from quant_assets.planning import Step
    from quant_assets.validation.skill import Skill

EXIT_CODES = {"done": 0, "failed": 1, "partial": 3}
PHASE_TITLES = {
    "indices": "index prices",
    "prices": "prices, through the gate",
    "features": "features and labels",
    "cross_section": "features across names",
    "train": "pooled model, one a quarter",
    "predict": "out-of-sample scores",
    "backtest": "each name's account",
    "portfolio": "portfolio, signal quality",
    "proof": "proof that nothing looks ahead",
    "decide": "signals and verdicts",
    "scorecard": "the week's scorecard of the data",
    "report": "report",
    "macro": "the economy, from its vendors",
    "companies": "companies, from theirs",
    "quotes": "quotes and option chains",
    "warehouse": "warehouse",
}


BESIDE = {"warehouse": "the warehouse does not show this night", "scorecard": "the week has no scorecard of its data"}


@app.command()
def run(tickers: Tickers = None, as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Bring everything up to the night and print the ranked names.

    --tickers narrows the decisions and what is printed; history, models and records are always kept for the whole universe.
    """
    warnings.filterwarnings("ignore")  # third parties' deprecations: ours are errors in the tests
    settings = settings_for(profile)
    work = Workspace.open(settings, as_of=date_from(as_of, "--as-of"))
    names = chosen(work.universe, tickers)
    # Dagster, MLflow and the model libraries take seconds to import: after the arguments have proved sensible
    from quant_assets.defs.instance import open_instance
    from quant_assets.defs.nightly import run_night, take_over
    from quant_assets.steps.reports import report_files

    with night_lock(work.lake.root):
        _announce(work)
        log_to(settings.path(settings.paths.logs))
        work.lake.check()
        for leftover in work.lake.sweep():
            aside.print(f"cleared {leftover.name} in {leftover.parent.name}, left by a run that was killed")
        with Phases(settings) as phases, open_instance(settings) as instance:
            take_over(settings, instance)
            outcome = run_night(lambda: _definitions(settings), instance, work, decide=names, progress=phases)
            phases.end()
            phases.skip_to(None, "nothing to do")
    csv, html = report_files(work)
    errors: list[dict[str, str | None]] = [{"ticker": ticker, "message": reason} for ticker, reason in outcome.failed.items()]
    for phase, lost in outcome.beside.items():
        for name, reason in lost.items():
            errors.append({"ticker": None if name == ALL else name, "message": f"{BESIDE.get(phase, phase)}: {reason}"})
    if outcome.stopped:
        errors.append({"ticker": None, "message": outcome.stopped})
    if as_json:
        shown = _signals(work, names) if not outcome.stopped else []
        files = (None, None) if outcome.stopped else (csv, html)
        report = dict(zip(("csv", "html"), files, strict=True))
        print_json(
            {
                "as_of": work.as_of,
                "profile": settings.profile,
                "status": outcome.status,
                "signals": shown,
                "report": report,
                "errors": errors,
            }
        )
    elif not outcome.stopped:
        _print_night(work, names)
        screen.print(f"\nReport  {html}\nTable   {csv}", soft_wrap=True)
        again = "" if as_of is None else f" --as-of {work.as_of}"
        for verb, purpose in (
            (f"quant-assets report{again}", "open the page"),
            ("quant-assets backtest", "the accounts that traded these scores"),
            ("make ui", "where every number came from"),
        ):
            screen.print(f"{'Next' if purpose == 'open the page' else '':<8}{verb:<{21 + len(again)}}  {purpose}", soft_wrap=True)
    for error in errors:
        who, told = error["ticker"] or "the night", error["message"] or ""
        aside.print(told if told.startswith(f"{who} ") else f"{who}: {told}", markup=False)
    raise typer.Exit(EXIT_CODES[outcome.status])


class Phases(Progress):
    """One line a phase, also for those that have nothing to do."""

    def __init__(self, settings: Settings) -> None:
        from quant_assets.planning import phases

        super().__init__()
        self._names = [phase.name for phase in phases(settings)]
        self._told = 0

    def __call__(self, step: Step) -> None:
        self.end()
        why = "nothing to do" if step.stopped is None else f"not reached, {PHASE_TITLES[step.stopped]} failed"
        self.skip_to(self._names.index(step.phase.name), why)
        windows = sorted({window for rectangle in step.runs for window in rectangle.windows})
        span = windows[0] if len(windows) == 1 else f"{windows[0]}..{windows[-1]}"
        n_names = len({ticker for rectangle in step.runs for ticker in rectangle.tickers})
        who = f", {wording.count(n_names, 'name')}" if n_names else ""
        self.begin(f"{self._place()}: {span}{who}")
        self._told += 1

    def skip_to(self, place: int | None, why: str) -> None:
        while self._told < (len(self._names) if place is None else place):
            aside.print(f"{self._place()}: {why}", markup=False)
            self._told += 1

    def _place(self) -> str:
        return f"[{self._told + 1}/{len(self._names)}] {PHASE_TITLES[self._names[self._told]]}"


def _announce(work: Workspace) -> None:
    settings = work.settings
    if not (settings.home / FILE_NAME).is_file():
        aside.print(
            f"Home {settings.home}: no {FILE_NAME} here or above it, so the settings are the defaults and everything is stored here"
        )
    aside.print(f"Night of {work.as_of:%A %d %B %Y}, profile {settings.profile}, {wording.count(len(work.universe.tickers), 'name')}")


def _signals(work: Workspace, names: Sequence[str]) -> list[dict[str, Any]]:
    fields = (
        "ticker",
        "rank",
        "signal",
        "score",
        "base_rate",
        "ci_low",
        "ci_high",
        "iv_risk",
        "top_option",
        "verdict",
        "confidence",
        "status",
        "reason",
    )
    rows = work.lake.scan("daily_report", keys=names, window=day_window(work.as_of)).collect()
    return rows.sort("rank", "ticker", nulls_last=True).select(fields).to_dicts()


def _print_night(work: Workspace, names: Sequence[str]) -> None:
    from quant_assets.steps.records import skill_of

    skill = skill_of(work)
    screen.print()
    screen.print(_record(skill), soft_wrap=True, markup=False)
    for finding in wording.skill_findings(skill):
        screen.print(finding, soft_wrap=True, markup=False)
    screen.print()
    rows = _signals(work, names)
    screen.print(_night_table([row for row in rows if row["score"] is not None]))
    for row in rows:
        if row["score"] is None:
            screen.print(f"      {row['ticker']}  no score: {row['reason'] or row['status']}", soft_wrap=True, markup=False)


def _record(skill: Skill) -> str:
    if skill.auc is None:
        return "Out-of-sample record: no score has a known label yet."
    auc = f"AUC {wording.number(skill.auc)} (95 %: {wording.interval(skill.auc_low, skill.auc_high)})"
    ic = f"rank IC {wording.number(skill.rank_ic)} (95 %: {wording.interval(skill.rank_ic_low, skill.rank_ic_high)})"
    return f"Out-of-sample record: {auc}, {ic}, {skill.n_rows:,} scores, {skill.n_names} names, {skill.first} to {skill.last}."


def _night_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("Rank", "Ticker", "Signal", "Score", "- base", "95 % CI", "Verdict", "Confidence"):
        numeric = title in ("Rank", "Score", "- base")
        table.add_column(title, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row["rank"]),
            row["ticker"],
            row["signal"],
            wording.number(row["score"]),
            wording.signed(row["score"] - row["base_rate"]),
            f"{row['ci_low']:.3f}-{row['ci_high']:.3f}" if row["ci_low"] is not None else "n/a",
            row["verdict"],
            row["confidence"],
        )
    return table


def _definitions(settings: Settings) -> dg.Definitions:
    from quant_assets.definitions import build_defs

    return build_defs(settings)
