"""`quant-assets features`: the catalogue at the terminal, and as a page."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table

from quant_assets.cli.app import app, aside, print_json, screen
from quant_assets.cli.options import AsOf, Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.errors import BadArgument, NoData
from quant_assets.features.catalog import CATALOG, select
from quant_assets.features.feature import Feature
from quant_assets.features.sets import SETS
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

group = typer.Typer(help="The catalogue of features: what each is, and what it has been like.", no_args_is_help=True)
app.add_typer(group, name="features")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A feature of the catalogue.")]
Family = Annotated[str | None, typer.Option("--family", metavar="NAME", help="Only this family.")]
WIDEST, HEIGHT, LOW_HEIGHT, SCALE = 84, 8, 4, 12
"""Of a chart: columns at most, lines, lines of a distribution, columns kept for its scale."""
FACTS = ("family", "unit", "formula", "meaning", "missing", "source", "lookback", "recursive", "low", "high", "version", "inputs")


@group.command("list")
def list_features(family: Family = None, as_json: Json = False) -> None:
    """List every feature: its unit, how far it looks back, what it tells."""
    families = {feature.family: "" for feature in CATALOG.values()}
    if family is not None and family not in families:
        raise BadArgument(f"--family {family!r} is unknown", remedy=f"choose among {', '.join(families)}")
    shown = [feature for feature in CATALOG.values() if family in (None, feature.family)]
    if as_json:
        print_json({"items": [_item(feature) for feature in shown]})
        return
    for name in families:
        mine = [feature for feature in shown if feature.family == name]
        if mine:
            screen.print(f"\n[bold]{name}[/bold] ({len(mine)})" if len(shown) > len(mine) else f"[bold]{name}[/bold] ({len(mine)})")
            screen.print(_table(mine))
    known = wording.count(len(shown), "feature")
    screen.print(f"\n{known}; `quant-assets features describe NAME` says more of one.", markup=False)


@group.command()
def describe(name: Name, as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """What a feature is, and what it has been like on the stored data: share of values, stability, what it resembles and foretold."""
    [feature] = select((name,))
    found = _measured(name, as_of, profile)
    if as_json:
        print_json(_item(feature) | {"measured": found})
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, told in _told(feature):
        table.add_row(title, told)
    screen.print(f"[bold]{name}[/bold]")
    screen.print(table, markup=False)
    screen.print()
    if "reason" in found:
        screen.print(f"Not measured: {found['reason']}", markup=False)
        return
    screen.print(_figures(found))


@group.command()
def plot(name: Name, tickers: Tickers = None, as_of: AsOf = None, profile: ProfileName = None) -> None:
    """Draw a feature: the last two years of one name, and how all its values are distributed."""
    from quant_assets.reporting.features_page import DRAWN_SESSIONS, drawn_values
    from quant_assets.reporting.sparkline import blocks
    from quant_assets.steps.features import stored_values

    [feature] = select((name,))
    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    values = stored_values(work, (name,))
    known = values[name].drop_nulls()
    if known.is_empty():
        raise NoData(f"{name} has no value in the lake ({feature.missing})", remedy="`quant-assets features describe` says what it reads")
    asked: list[str | None] = [*chosen(work.universe, tickers)] if tickers else [None]
    for ticker in asked:
        who, drawn = drawn_values(values, name, ticker)
        there = [value for value in drawn if value is not None]
        if not there:
            screen.print(f"{who}: no value in its last {DRAWN_SESSIONS} sessions", markup=False)
            continue
        screen.print(f"{name} of {who}, last {len(drawn)} sessions [{feature.unit}]", markup=False)
        _draw(blocks(drawn, width=_width(), height=HEIGHT), max(there), min(there))
        screen.print()
    low, high = known.quantile(0.005), known.quantile(0.995)
    inside = known.filter(known.is_between(low, high))
    counts = inside.hist(bin_count=_width())["count"].cast(pl.Float64).to_list() if inside.n_unique() > 1 else [float(inside.len())]
    screen.print(f"{wording.count(known.len(), 'value')}, from {low:.4g} to {high:.4g} (the middle 99 %)", markup=False)
    _draw(blocks(list(counts), width=_width(), height=LOW_HEIGHT), max(counts), 0)


@group.command()
def page(as_of: AsOf = None, profile: ProfileName = None) -> None:
    """Write the catalogue as a page: every definition with its sparkline, stability, neighbours and information coefficients."""
    from quant_assets.features.profile import profiles
    from quant_assets.reporting.features_page import write_features_page
    from quant_assets.steps.features import stored_values

    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    values = stored_values(work, tuple(CATALOG))
    aside.print(f"measuring {len(CATALOG)} features on {values.height:,} rows ...", markup=False)
    found = profiles(values, work.lake.scan("prices", window=work.history).collect(), tuple(CATALOG))
    path = work.settings.features_page
    sets = {**SETS, **work.settings.features.sets}
    why = _reasons(work).group_by("feature").agg(pl.col("reason").sort_by("sessions").last())
    write_features_page(values, found, sets, dict(why.iter_rows()), path, as_of=work.as_of, profile=work.settings.profile)
    screen.print(str(path), soft_wrap=True, markup=False)


def _item(feature: Feature) -> dict[str, Any]:
    return {"name": feature.name} | {fact: getattr(feature, fact) for fact in FACTS}


def _table(features: list[Feature]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Feature", no_wrap=True)
    table.add_column("Unit", no_wrap=True)
    table.add_column("Back", justify="right", no_wrap=True)
    table.add_column("What it tells", overflow="fold")
    for feature in features:
        table.add_row(feature.name, feature.unit, f"{feature.lookback}{'+' if feature.recursive else ''}", feature.meaning)
    return table


def _told(feature: Feature) -> list[tuple[str, str]]:
    from quant_assets.reporting.features_page import in_range, look_back

    spread = in_range(feature.name)
    return [
        ("tells", feature.meaning),
        ("formula", feature.formula),
        ("unit", f"{feature.unit}{f', {spread}' if spread else ''}"),
        ("look-back", look_back(feature.name)),
        ("null when", feature.missing),
        ("reads", ", ".join(feature.inputs) or "the calendar"),
        ("source", feature.source),
        ("family", f"{feature.family}, version {feature.version}"),
    ]


def _measured(name: str, as_of: str | None, profile: str | None) -> dict[str, Any]:
    """What the stored data say of it, or why they say nothing."""
    from quant_assets.features.profile import profiles
    from quant_assets.steps.features import stored_values

    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    try:
        values = stored_values(work, tuple(CATALOG))
    except NoData as error:
        return {"reason": str(error)}
    found = profiles(values, work.lake.scan("prices", window=work.history).collect(), (name,), among=tuple(CATALOG))[name]
    told = {"rows": values.height, "share": found.share, "quantiles": list(found.quantiles), "psi": found.psi}
    return told | {
        "neighbours": dict(found.neighbours),
        "ic": [{"horizon": ic.horizon, "mean": ic.mean, "low": ic.low, "high": ic.high, "across": ic.across} for ic in found.ic],
        "without": dict(_reasons(work).filter(feature=name).select("reason", "sessions").iter_rows()),
    }


def _reasons(work: Workspace) -> pl.DataFrame:
    """feature, reason, sessions without a value for it, the most first."""
    rows = work.lake.scan("feature_gaps", window=work.history)
    counts = rows.group_by("feature", "reason").agg(pl.col("sessions").sum())
    return counts.sort("sessions", "feature", "reason", descending=[True, False, False]).collect()


def _figures(found: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("values", f"{wording.percent(found['share'])} of {found['rows']:,} stored rows")
    for reason, sessions in found["without"].items():
        table.add_row("", f"{sessions:,} rows without: {reason}")
    if found["quantiles"]:
        table.add_row("1, 50, 99 %", ", ".join(f"{found['quantiles'][place]:.4g}" for place in (0, 2, 4)))
    if found["psi"]:
        worst = max(found["psi"], key=found["psi"].get)
        told = " ".join(f"{value:.2f}" for value in found["psi"].values())
        table.add_row("PSI by year", f"{told} (from {min(found['psi'])}; worst {worst}, above 0.25 is another distribution)")
    if found["neighbours"]:
        table.add_row("most alike", ", ".join(f"{name} {wording.signed(value, 2)}" for name, value in found["neighbours"].items()))
    for ic in found["ic"]:
        title = f"IC, {wording.count(ic['horizon'], 'session')}"
        interval = wording.interval(ic["low"], ic["high"], sign=True)
        over = "" if ic["across"] else ", over time"
        told = "too little to measure" if ic["mean"] is None else f"{wording.signed(ic['mean'])} (95 %: {interval}){over}"
        table.add_row(title, told)
    return table


def _width() -> int:
    return min(WIDEST, max(10, screen.width - SCALE))


def _draw(lines: list[str], high: float, low: float) -> None:
    for place, line in enumerate(lines):
        edge = f"{high:.4g}" if place == 0 else f"{low:.4g}" if place == len(lines) - 1 else ""
        screen.print(f"{line:<{_width()}}  {edge}", markup=False)
