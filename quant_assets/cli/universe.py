"""`quant-assets universe`: the names of the pipeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from quant_assets.calendars import Window, session_on_or_after
from quant_assets.cli.app import app, print_json, screen
from quant_assets.cli.options import Json, ProfileName, settings_for
from quant_assets.errors import BadArgument, NoData
from quant_assets.membership import Membership
from quant_assets.quality.survivorship import survivorship
from quant_assets.reporting import wording
from quant_assets.settings import Settings
from quant_assets.universe import Listing, Universe
from quant_assets.workspace import last_known_session, utc_now

if TYPE_CHECKING:
    from quant_assets.sources.base import Source

COLUMNS = (
    ("ticker", "Ticker"),
    ("source", "Source"),
    ("listed", "First session"),
    ("delisted", "Last session"),
    ("membership", "Member"),
)
Stays = dict[str, list[dict[str, dt.date | None]]]

group = typer.Typer(help="List, add and remove the names of the pipeline.", no_args_is_help=True)
app.add_typer(group, name="universe")


@group.command("list")
def list_names(profile: ProfileName = None, as_json: Json = False) -> None:
    """List the names, who delivers them, since and until when, and when they were members, as far as the settings say so."""
    settings = settings_for(profile)
    universe = Universe.read(settings.universe_file)
    stays = _stays(settings, universe)
    shown = dict(COLUMNS[:3])
    if any(known.delisted for known in universe.listings):
        shown |= dict(COLUMNS[3:4])
    if stays is not None:
        shown |= dict(COLUMNS[4:])
    items = [_item(known, stays or {}, shown) for known in universe.listings]
    if as_json:
        print_json({"items": items})
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in shown.values():
        table.add_column(title)
    for item in items:
        table.add_row(*(_cell(value) for value in item.values()))
    screen.print(table)
    screen.print(f"{wording.count(len(universe.listings), 'name')} in {universe.file}", soft_wrap=True)
    until = last_known_session(settings, utc_now()) + dt.timedelta(days=1)
    screen.print(survivorship(universe, Window(settings.grids.history_start, until)).sentence, soft_wrap=True)


@group.command()
def add(ticker: str, profile: ProfileName = None, as_json: Json = False) -> None:
    """Add a name that a source of the profile offers; the next run fills its history."""
    settings = settings_for(profile)
    universe = Universe.read(settings.universe_file).add(_offered(settings, ticker.upper()))
    if as_json:
        print_json({"added": ticker.upper(), "universe": universe.file})
        return
    screen.print(f"added {ticker.upper()} to {universe.file}; `quant-assets run` fills its history", soft_wrap=True)


@group.command()
def remove(ticker: str, profile: ProfileName = None, as_json: Json = False) -> None:
    """Remove a name; what is stored of it stays."""
    universe = Universe.read(settings_for(profile).universe_file).remove(ticker)
    if as_json:
        print_json({"removed": ticker.strip().upper(), "universe": universe.file})
        return
    screen.print(f"removed {ticker.upper()} from {universe.file}; its stored rows stay", soft_wrap=True)


def _stays(settings: Settings, universe: Universe) -> Stays | None:
    """(first, last day) of each name's stays; None without a membership."""
    if settings.membership_file is None:
        return None
    found: Stays = {}
    for key, start, end in Membership.read(settings.membership_file, universe).spans.iter_rows():
        found.setdefault(key, []).append({"start": start, "end": end})
    return found


def _item(known: Listing, stays: Stays, shown: Mapping[str, str]) -> dict[str, Any]:
    return {name: stays.get(known.ticker, []) if name == "membership" else getattr(known, name) for name in shown}


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{stay['start']}..{stay['end'] or ''}" for stay in value) or "never"
    return "" if value is None else str(value)


def _offered(settings: Settings, ticker: str) -> Listing:
    from quant_assets.sources import configured

    found = configured(settings, "prices")
    for source in found:
        if listed := _first_session(settings, source, ticker):
            return Listing(ticker, source.name, listed)
    known = sorted({each for source in found for each in source.offers()})
    remedy = f"it has {', '.join(known)}" if known else "write it as the vendor does"
    raise BadArgument(f"no source of profile {settings.profile!r} has {ticker!r}", remedy=remedy)


def _first_session(settings: Settings, source: Source, ticker: str) -> dt.date | None:
    """The first session of the history grid that the source has; a vendor is asked for it."""
    offered = source.offers([ticker]).get(ticker)
    if offered is None:
        return None
    first = session_on_or_after(max(offered.start, settings.grids.history_start))
    if source.policy is None:
        return first
    try:
        raw = source.fetch([ticker], Window(settings.grids.history_start, offered.end))
    except NoData:
        return None
    days = source.normalise(raw, fetched_at=utc_now())["session"].to_list()
    return max(first, min(days)) if days else None
