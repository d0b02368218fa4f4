"""`quant-assets features`: the catalogue at the terminal, and as a page."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.table import Table

from quant_assets.cli.app import app, aside, print_json, screen
from quant_assets.cli.options import Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.errors import BadArgument, NoData
from quant_assets.features.catalog import CATALOG, select
from quant_assets.features.feature import Feature
from quant_assets.features.gaps import together
from quant_assets.features.sets import SETS
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace

if TYPE_CHECKING:
    from quant_assets.features.profile import Profile

group = typer.Typer(help="The catalogue of features: what each is, and what it has been like.", no_args_is_help=True)
app.add_typer(group, name="features")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A feature of the catalogue.")]
FAMILIES = tuple(dict.fromkeys(feature.family for feature in CATALOG.values()))
Family = Annotated[str | None, typer.Option("--family", metavar="NAME", help=f"Only this family: {', '.join(FAMILIES)}.")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="Look at what is stored up to this session; default: all of it.")]
WIDEST, HEIGHT, LOW_HEIGHT, SCALE = 84, 8, 4, 12
"""Of a chart: columns at most, lines, lines of a distribution, columns kept for its scale."""
BINS = 50
"""Of a distribution in a document: at the terminal there are as many as it has columns."""
FACTS = ("family", "unit", "formula", "meaning", "missing", "source", "lookback", "recursive", "low", "high", "version", "inputs")


@group.command("list")
def list_features(family: Family = None, as_json: Json = False) -> None:
    """List every feature: its unit, how far it looks back, what it tells."""
    if family is not None and family not in FAMILIES:
        near = difflib.get_close_matches(family.lower(), FAMILIES, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"choose among {', '.join(FAMILIES)}"
        raise BadArgument(f"--family {family!r} is unknown", remedy=remedy)
    shown = [feature for feature in CATALOG.values() if family in (None, feature.family)]
    if as_json:
        print_json({"items": [_item(feature) for feature in shown]})
        return
    if not screen.is_terminal:
        for line in _lines(shown):
            screen.print(line, markup=False, soft_wrap=True)
        return
    for name in FAMILIES:
        mine = [feature for feature in shown if feature.family == name]
        if mine:
            screen.print(f"\n[bold]{name}[/bold] ({len(mine)})" if len(shown) > len(mine) else f"[bold]{name}[/bold] ({len(mine)})")
            screen.print(_table(mine))
    known = wording.count(len(shown), "feature")
    screen.print(f"\n{known}; `quant-assets features describe NAME` says more of one.", markup=False)


@group.command()
def describe(name: Name, as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """What a feature is, and what it has been like on the stored data: share of values, stability, what it resembles and foretold."""
    feature = _feature(name)
    found = _measured(feature.name, as_of, profile)
    if as_json:
        print_json(_item(feature) | {"measured": found})
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, told in _told(feature):
        table.add_row(title, told)
    screen.print(f"[bold]{feature.name}[/bold]")
    screen.print(table, markup=False)
    screen.print()
    if "reason" in found:
        screen.print(f"Not measured: {found['reason']}", markup=False)
        return
    screen.print(_figures(feature, found))


@group.command()
def plot(name: Name, tickers: Tickers = None, as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Draw a feature: the last two years of one name, and how all its values are distributed."""
    from quant_assets.reporting.features_page import NOT_COMPUTED, drawn_values, same_for_all, who
    from quant_assets.steps.features import stored_values

    feature = _feature(name)
    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    asked: list[str | None] = [None] if tickers is None else [*chosen(work.universe, tickers)]
    values = stored_values(work, (feature.name,))
    known = values[feature.name].drop_nulls()
    if known.is_empty():
        told = _reasons(work, feature.name)
        why = told[0][0] if told else NOT_COMPUTED
        raise NoData(f"{feature.name} has no value in the lake: {why}", remedy="`quant-assets features describe` says what it reads")
    of_market = same_for_all(values, feature.name)
    drawn = [drawn_values(values, feature.name, ticker) for ticker in ([None] if of_market else asked)]
    edges, counts = _histogram(known, BINS if as_json else _width())
    if as_json:
        series = [{"ticker": None if of_market else ticker, "values": _by_session(rows)} for ticker, rows in drawn]
        spread = {"values": known.len(), "edges": edges, "counts": counts}
        print_json({"name": feature.name, "unit": feature.unit, "series": series, "distribution": spread})
        return
    for ticker, rows in drawn:
        _draw_series(work, feature, rows, ticker, who(ticker, over_time=of_market))
    _draw_distribution(known, edges, counts)


@group.command()
def page(as_of: AsOf = None, profile: ProfileName = None, as_json: Json = False) -> None:
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
    without: dict[str, list[tuple[str, int]]] = {}
    for feature, reason, sessions in together(work.lake.scan("feature_gaps", window=work.history)).iter_rows():
        without.setdefault(feature, []).append((reason, sessions))
    write_features_page(values, found, sets, without, path, as_of=work.as_of, profile=work.settings.profile)
    if as_json:
        print_json({"path": str(path)})
        return
    screen.print(str(path), soft_wrap=True, markup=False)


def _feature(name: str) -> Feature:
    """The feature of this name, however it is written.

    Raises
    ------
    BadArgument : there is none.
    """
    if not name.strip():
        raise BadArgument("no feature is named", remedy="`quant-assets features list` shows every name")
    [feature] = select((name.strip().lower(),))
    return feature


def _lines(features: list[Feature]) -> list[str]:
    """A line a feature, for other programs to read: family, name, unit, look-back, what it tells."""
    cells = [(feature.family, feature.name, feature.unit, _back(feature), feature.meaning) for feature in features]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return ["  ".join([*(f"{cell:<{width}}" for cell, width in zip(row[:4], widths, strict=True)), row[4]]) for row in cells]


def _back(feature: Feature) -> str:
    return f"{feature.lookback}{'+' if feature.recursive else ''}"


def _item(feature: Feature) -> dict[str, Any]:
    return {"name": feature.name} | {fact: getattr(feature, fact) for fact in FACTS}


def _table(features: list[Feature]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Feature", no_wrap=True)
    table.add_column("Unit", no_wrap=True)
    table.add_column("Back", justify="right", no_wrap=True)
    table.add_column("What it tells", overflow="fold")
    for feature in features:
        table.add_row(feature.name, feature.unit, _back(feature), feature.meaning)
    return table


def _told(feature: Feature) -> list[tuple[str, str]]:
    from quant_assets.reporting.features_page import in_range, look_back, null_when

    spread = in_range(feature.name)
    return [
        ("tells", feature.meaning),
        ("formula", feature.formula),
        ("unit", f"{feature.unit}{f', {spread}' if spread else ''}"),
        ("look-back", look_back(feature.name)),
        ("null when", null_when(feature.name)),
        ("reads", ", ".join(feature.inputs) or "the calendar"),
        ("source", feature.source),
        ("family", f"{feature.family}, version {feature.version}"),
    ]


def _measured(name: str, as_of: str | None, profile: str | None) -> dict[str, Any]:
    """What the stored data say of it, or why they say nothing."""
    from quant_assets.features.profile import profiles
    from quant_assets.reporting.features_page import NOT_COMPUTED
    from quant_assets.steps.features import stored_values

    work = Workspace.open(settings_for(profile), as_of=date_from(as_of, "--as-of"))
    try:
        values = stored_values(work, tuple(CATALOG))
    except NoData as error:
        return {"reason": str(error)}
    without = _reasons(work, name)
    # every null of a computed feature is counted with its reason
    if not without and values[name].null_count() == values.height:
        return {"reason": NOT_COMPUTED}
    found = profiles(values, work.lake.scan("prices", window=work.history).collect(), (name,), among=tuple(CATALOG))[name]
    return _document(found) | {"rows": values.height, "without": dict(without)}


def _document(found: Profile) -> dict[str, Any]:
    figures = ("horizon", "mean", "low", "high", "across", "sessions", "names", "enough", "excludes_zero")
    return {
        "share": found.share,
        "fires": found.fires,
        "quantiles": list(found.quantiles),
        "psi": found.psi,
        "neighbours": dict(found.neighbours),
        "ic": [{figure: getattr(ic, figure) for figure in figures} for ic in found.ic],
    }


def _reasons(work: Workspace, name: str, ticker: str | None = None) -> list[tuple[str, int]]:
    """(reason, sessions without a value for it), the most first; of one name or of all."""
    rows = work.lake.scan("feature_gaps", keys=[ticker] if ticker else None, window=work.history).filter(feature=name)
    return list(together(rows).select("reason", "sessions").iter_rows())


def _figures(feature: Feature, found: dict[str, Any]) -> Table:
    from quant_assets.reporting.features_page import fires, plain

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("values", f"{wording.percent(found['share'])} of {found['rows']:,} stored rows")
    for reason, sessions in found["without"].items():
        table.add_row("", f"{wording.count(sessions, 'row')} without: {reason}")
    if often := fires(feature.name, found["fires"], round(found["share"] * found["rows"])):
        table.add_row("fires", often)
    if found["quantiles"]:
        table.add_row("1, 50, 99 %", "; ".join(plain(found["quantiles"][place]) for place in (0, 2, 4)))
    if found["psi"]:
        table.add_row("PSI by year", _stability(found["psi"]))
    if found["neighbours"]:
        table.add_row("most alike", ", ".join(f"{name} {wording.signed(value, 2)}" for name, value in found["neighbours"].items()))
    for title, told in _coefficients(found["ic"]):
        table.add_row(title, told)
    return table


def _stability(psi: dict[int, float]) -> str:
    from quant_assets.reporting.features_page import SHIFTED, STABLE

    first, last, worst = min(psi), max(psi), max(psi, key=lambda year: psi[year])
    against = f"{first} to {last}, each against the year before" if first < last else f"{first} against the year before"
    told = " ".join(f"{value:.2f}" for value in psi.values())
    if psi[worst] < 0.005:
        return f"0.00 in every year, {against}"
    if psi[worst] < STABLE:
        return f"{told} ({against})"
    return f"{told} ({against}; worst {worst}; below {STABLE} is stable, from {SHIFTED} on another distribution)"


def _coefficients(ics: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """A title and a sentence each."""
    from quant_assets.features.profile import FEWEST_BLOCKS, FEWEST_ROWS, fewest_sessions

    over = "IC" if ics[0]["across"] else "IC over time"
    if all(ic["mean"] is None for ic in ics):
        n = wording.count(ics[0]["sessions"], "session")
        return [(over, f"too little to measure: {n} to compare, {FEWEST_ROWS} are the least")]
    told = []
    for ic in ics:
        rests = f"{wording.count(ic['sessions'], 'session')}, {wording.count(ic['names'], 'name')}"
        figures = f"{wording.signed(ic['mean'])} (95 %: {wording.interval(ic['low'], ic['high'], sign=True)}; {rests})"
        least = f"{fewest_sessions(ic['horizon'])} sessions, {FEWEST_BLOCKS} blocks, are the least"
        few = "" if ic["enough"] else f": too few to tell it from zero, {least}"
        missing = f"too little to measure ({rests})"
        told.append((f"{over}, {wording.count(ic['horizon'], 'session')}", missing if ic["mean"] is None else f"{figures}{few}"))
    return told


def _histogram(known: pl.Series, n: int) -> tuple[list[float], list[int]]:
    """Edges of equal steps over the middle 99 % of the values, and the values between two neighbours."""
    low, high = float(known.quantile(0.005) or 0.0), float(known.quantile(0.995) or 0.0)
    inside = known.filter(known.is_between(low, high))
    if low == high:
        return [low, high], [inside.len()]
    return [low + (high - low) * step / n for step in range(n + 1)], inside.hist(bin_count=n)["count"].to_list()


def _by_session(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [{"session": session, "value": value} for session, value in rows.iter_rows()]


def _draw_series(work: Workspace, feature: Feature, rows: pl.DataFrame, ticker: str | None, shown: str) -> None:
    from quant_assets.reporting.features_page import DRAWN_SESSIONS, stretch
    from quant_assets.reporting.sparkline import blocks

    drawn = rows[feature.name].to_list()
    there = [value for value in drawn if value is not None]
    if not there:
        told = _reasons(work, feature.name, ticker)
        why = f": {told[0][0]}" if told else ""
        last = wording.count(len(drawn) or DRAWN_SESSIONS, "session")
        screen.print(f"{feature.name} of {shown}: no value in its last {last}{why}\n", markup=False)
        return
    screen.print(f"{feature.name} of {shown}, {stretch(rows)} [{feature.unit}]", markup=False, soft_wrap=True)
    _draw(blocks(drawn, width=_width(), height=HEIGHT), max(there), min(there))
    n = min(_width(), len(drawn))
    _below(str(rows["session"][0]), str(rows["session"][-1]), n)
    if len(drawn) > n:
        each = f"{len(drawn) // n} or {len(drawn) // n + 1}" if len(drawn) % n else f"{len(drawn) // n}"
        screen.print(f"A column is the mean of {each} sessions; the figures at its right are the highest and lowest session.", markup=False)
    screen.print()


def _draw_distribution(known: pl.Series, edges: Sequence[float], counts: Sequence[int]) -> None:
    from quant_assets.reporting.features_page import plain
    from quant_assets.reporting.sparkline import blocks

    low, high = plain(edges[0]), plain(edges[-1])
    if len(counts) == 1:
        screen.print(f"{wording.count(known.len(), 'value')}, {counts[0]:,} of them {low}", markup=False)
        return
    screen.print(f"{wording.count(known.len(), 'value')}; how many lie where, of the middle 99 %", markup=False)
    _draw(blocks([float(n) for n in counts], width=_width(), height=LOW_HEIGHT), max(counts), 0)
    _below(low, high, _width())


def _width() -> int:
    return min(WIDEST, max(10, screen.width - SCALE))


def _draw(lines: list[str], high: float, low: float) -> None:
    from quant_assets.reporting.features_page import plain

    for place, line in enumerate(lines):
        edge = plain(high) if place == 0 else plain(low) if place == len(lines) - 1 else ""
        screen.print(f"{line:<{_width()}}  {edge}".rstrip(), markup=False)


def _below(first: str, last: str, width: int) -> None:
    """What stands at the left and right end of the axis."""
    screen.print(f"{first}{last:>{max(0, width - len(first))}}", markup=False)
