"""Options that several verbs share, and how they are read."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, get_args

import typer

from quant_assets.calendars import Window, session_on_or_after, session_on_or_before
from quant_assets.errors import BadArgument
from quant_assets.settings import Profile, Settings
from quant_assets.universe import Universe

Tickers = Annotated[str | None, typer.Option("--tickers", metavar="A,B", help="Only these names.")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="The session to decide for; default: the last known one.")]
ProfileName = Annotated[str | None, typer.Option("--profile", metavar="offline|live", help="Where data come from.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Start = Annotated[str | None, typer.Option("--start", metavar="DATE", help="First day; snaps to the next session.")]
End = Annotated[str | None, typer.Option("--end", metavar="DATE", help="Last day; snaps to the session before.")]


def settings_for(profile: str | None) -> Settings:
    """Raises BadArgument on an unknown profile or a bad settings file."""
    if profile is None:
        return Settings.load()
    if profile not in get_args(Profile):
        raise BadArgument(f"--profile {profile!r} is unknown", remedy=f"choose from {', '.join(get_args(Profile))}")
    return Settings.load(profile=profile)


def date_from(text: str | None, option: str) -> dt.date | None:
    """Raises BadArgument on a date that does not exist."""
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadArgument(f"{option} {text!r} is not a date", remedy="write it as YYYY-MM-DD") from None


def chosen(universe: Universe, tickers: str | None) -> list[str]:
    """The named tickers, or the whole universe. Raises BadArgument on an unknown one, or when none is named."""
    if tickers is None:
        return universe.tickers
    named = [name for name in tickers.split(",") if name.strip()]
    if not named:
        raise BadArgument(f"--tickers {tickers!r} names none", remedy="write them as AAPL,IBM, or leave the option out for all")
    return universe.select(named)


def sessions_between(start: str | None, end: str | None, within: Window) -> Window:
    """The window of the options, snapped inwards to sessions.

    Raises
    ------
    BadArgument : it ends before it starts, holds no session, or lies outside `within`.
    """
    asked = date_from(start, "--start"), date_from(end, "--end")
    if asked[0] is not None and asked[1] is not None and asked[0] > asked[1]:
        raise BadArgument(f"--start {asked[0]} is after --end {asked[1]}", remedy="swap them")
    starts, ends = asked[0] or within.start, asked[1] or max(within.last_day, asked[0] or within.start)
    if starts < within.end and ends >= within.start:
        first = session_on_or_after(max(starts, within.start))
        last = session_on_or_before(min(ends, within.last_day))
        if first <= last:
            return Window(first, last + dt.timedelta(days=1))
    raise BadArgument(f"no session of the record lies in {starts}..{ends}", remedy=f"the record covers {within}")
