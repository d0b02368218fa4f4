"""`quant-assets data quarantine`: what was not let in and why, and the operator's word on it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import polars as pl
import typer
from rich.table import Table

from quant_assets.cli.app import print_json, screen
from quant_assets.cli.data import group as data
from quant_assets.cli.options import Json, ProfileName, Tickers, chosen, date_from, settings_for
from quant_assets.quality.rulings import Ruling, quarantined, rule
from quant_assets.reporting import wording
from quant_assets.workspace import Workspace, utc_now

Name = Annotated[str, typer.Argument(metavar="TICKER")]
Day = Annotated[str, typer.Argument(metavar="SESSION")]
Field = Annotated[str | None, typer.Option("--field", metavar="NAME", help="Only this field of the bar, e.g. close.")]
Because = Annotated[str, typer.Option("--because", metavar="WHY", help="Kept with the ruling.")]
SHOWN = 20

group = typer.Typer(help="What was not let in and why; let it in, or keep it out.", no_args_is_help=True)
data.add_typer(group, name="quarantine")


@group.command("list")
def list_rows(tickers: Tickers = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """What is in quarantine, newest first, with the operator's word where there is one."""
    work = Workspace.open(settings_for(profile))
    rows = quarantined(work.lake, tickers=chosen(work.universe, tickers) if tickers else None)
    if as_json:
        print_json({"items": rows.to_dicts()})
        return
    if rows.is_empty():
        screen.print("Nothing is in quarantine.")
        return
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("Ticker", "Session", "Field", "Value", "Check", "Ruling"):
        shown.add_column(title, justify="right" if title == "Value" else "left", no_wrap=True)
    lines = _absences_in_one(rows)
    for line in lines.head(SHOWN).iter_rows(named=True):
        value = "" if line["value"] is None else f"{line['value']:g}"
        sessions = str(line["last"]) if line["n"] == 1 else f"{line['first']}..{line['last']} ({line['n']})"
        shown.add_row(line["ticker"], sessions, line["field"], value, line["check"], line["ruling"] or "open")
    screen.print(shown)
    n_open = rows.filter(pl.col("ruling").is_null()).height
    more = f"; {lines.height - SHOWN} lines more, all of them with --json" if lines.height > SHOWN else ""
    screen.print(f"{wording.count(rows.height, 'finding')}, {n_open} without a ruling{more}")
    screen.print("`quant-assets data quarantine show TICKER SESSION` says why, and what to do.")


@group.command()
def show(ticker: Name, session: Day, profile: ProfileName = None, as_json: Json = False) -> None:
    """Why a bar was not let in, and the bar as it was delivered."""
    work = Workspace.open(settings_for(profile))
    day = date_from(session, "SESSION")
    rows = quarantined(work.lake, tickers=[_named(work, ticker)]).filter(session=day)
    if as_json:
        print_json({"items": rows.to_dicts()})
        return
    if rows.is_empty():
        screen.print(f"{ticker.upper()} on {day} is not in quarantine.", markup=False)
        return
    for row in rows.iter_rows(named=True):
        screen.print(row["reason"], soft_wrap=True, markup=False)
        if row["ruling"]:
            screen.print(f"  {row['ruling']} on {row['ruled_at']:%Y-%m-%d %H:%M} UTC: {row['because']}", soft_wrap=True, markup=False)
    first = rows.row(0, named=True)
    if first["row"] == "{}":
        screen.print(f"No source delivered it, asked {first['fetched_at']:%Y-%m-%d %H:%M} UTC.")
        return
    screen.print(f"As {first['source']} delivered it, fetched {first['fetched_at']:%Y-%m-%d %H:%M} UTC:")
    for bar in _bars(first["row"]):
        screen.print("  " + "  ".join(f"{name} {value}" for name, value in bar.items()), soft_wrap=True, markup=False)


@group.command()
def release(ticker: Name, session: Day, because: Because, field: Field = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Let a value in as it was delivered: it is genuine. The next run asks for its year again."""
    _ruled(ticker, session, field, "released", because, profile, as_json, "the next `quant-assets run` lets it in")


@group.command()
def reject(ticker: Name, session: Day, because: Because, field: Field = None, profile: ProfileName = None, as_json: Json = False) -> None:
    """Keep a value out: seen, and wrong. Its year stays withheld until a source delivers another one."""
    _ruled(ticker, session, field, "rejected", because, profile, as_json, "its year stays withheld until a source delivers another value")


def _ruled(
    ticker: str, session: str, field: str | None, ruling: Ruling, because: str, profile: str | None, as_json: bool, then: str
) -> None:
    work = Workspace.open(settings_for(profile))
    name = _named(work, ticker)
    day = date_from(session, "SESSION")
    assert day is not None
    rows = rule(work.lake, name, day, field=field, ruling=ruling, because=because, at=utc_now())
    if as_json:
        print_json({"items": rows.to_dicts()})
        return
    screen.print(f"{name} {day}, {', '.join(rows['field'])}: {ruling}; {then}.", soft_wrap=True, markup=False)


def _absences_in_one(rows: pl.DataFrame) -> pl.DataFrame:
    """The findings with first, last and n of their sessions: one line for all bars that a name lacks, newest first."""
    place = pl.int_range(pl.len()).cast(pl.String)
    line = (
        pl.when(pl.col("check") == "missing_session")
        .then(pl.concat_str("ticker", "ruling", separator=" ", ignore_nulls=True))
        .otherwise(place)
    )
    told = pl.col("ticker", "field", "value", "check", "ruling").first()
    return rows.group_by(line.alias("line"), maintain_order=True).agg(
        told, first=pl.col("session").min(), last=pl.col("session").max(), n=pl.len()
    )


def _named(work: Workspace, ticker: str) -> str:
    """A ticker of the universe, or a series that something is in quarantine of."""
    held = {name.upper(): name for name in quarantined(work.lake)["ticker"]}
    return held.get(ticker.strip().upper()) or work.universe.select([ticker])[0]


def _bars(row: str) -> list[dict[str, Any]]:
    """The delivered bars that the JSON of a quarantined row holds, without what is said of them elsewhere."""
    found = json.loads(row)
    aside = ("ticker", "session", "source", "fetched_at", "known_at", "inferred")
    return [{name: value for name, value in bar.items() if name not in aside} for bar in (found if isinstance(found, list) else [found])]
