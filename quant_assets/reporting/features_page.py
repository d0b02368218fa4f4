"""The catalogue of features as one self-contained page: what each is, and what it has been like on the data that are stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from quant_assets.features.catalog import CATALOG
from quant_assets.features.profile import HORIZONS, Ic, Profile
from quant_assets.reporting import wording
from quant_assets.reporting.atomic import write_text
from quant_assets.reporting.geometry import Axis, track
from quant_assets.reporting.html_page import TEMPLATES, environment, script_source
from quant_assets.reporting.sparkline import HEIGHT, WIDTH, svg_path

DRAWN_SESSIONS = 504
STABLE, SHIFTED = 0.1, 0.25
SCRIPT = "features.js"
AXIS = Axis(-0.1, 0.1)
"""Of coefficients: what lies beyond is drawn at the end, with its figures beside it."""


def write_features_page(
    values: pl.DataFrame,
    profiles: Mapping[str, Profile],
    sets: Mapping[str, Sequence[str]],
    without: Mapping[str, str],
    path: Path,
    *,
    as_of: dt.date,
    profile: str,
) -> None:
    """Writes the page.

    Parameters
    ----------
    values : ticker, session and the features of `profiles`.
    sets : the names of the sets that a feature can be in, with their features.
    without : why features have no value, by name.
    """
    script = Markup((TEMPLATES / SCRIPT).read_text(encoding="utf-8"))
    families: dict[str, list[dict[str, Any]]] = {}
    for name, found in profiles.items():
        families.setdefault(CATALOG[name].family, []).append(_entry(name, found, values, sets, without.get(name)))
    text = (
        environment()
        .get_template("features.html.j2")
        .render(
            as_of=as_of,
            profile=profile,
            n_features=len(profiles),
            n_rows=values.height,
            n_names=values["ticker"].n_unique(),
            first=values["session"].min(),
            last=values["session"].max(),
            families=families,
            horizons=HORIZONS,
            box=(WIDTH, HEIGHT),
            drawn_sessions=DRAWN_SESSIONS,
            axis=AXIS,
            script=script,
            script_source=script_source(script),
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8") + (TEMPLATES / "features.css").read_text(encoding="utf-8")),
        )
    )
    write_text(path, text)


def _entry(name: str, found: Profile, values: pl.DataFrame, sets: Mapping[str, Sequence[str]], reason: str | None) -> dict[str, Any]:
    ticker, drawn = drawn_values(values, name)
    return {
        "name": name,
        "feature": CATALOG[name],
        "look_back": look_back(name),
        "range": in_range(name),
        "sets": [one for one, names in sets.items() if name in names],
        "share": found.share,
        "ticker": ticker,
        "path": svg_path(drawn),
        "quantiles": found.quantiles,
        "psi": [(year, value, _state(value)) for year, value in found.psi.items()],
        "worst_psi": max(found.psi.items(), key=lambda item: item[1], default=None),
        "neighbours": found.neighbours,
        "ic": [_coefficient(ic) for ic in found.ic],
        "reason": reason or CATALOG[name].missing,
        "over_time": not found.ic[0].across,
    }


def drawn_values(values: pl.DataFrame, name: str, ticker: str | None = None) -> tuple[str | None, list[float | None]]:
    """The last sessions of one name: the one asked for, or the first in the alphabet of those with the most values."""
    mine = values.select("ticker", "session", name).sort("ticker", "session").group_by("ticker", maintain_order=True).tail(DRAWN_SESSIONS)
    counts = mine.group_by("ticker").agg(n=pl.col(name).count()).filter(pl.col("n") > 0).sort("n", "ticker", descending=[True, False])
    chosen = ticker or (counts["ticker"][0] if counts.height else None)
    return chosen, mine.filter(pl.col("ticker") == chosen)[name].to_list() if chosen else []


def look_back(name: str) -> str:
    """In words."""
    feature = CATALOG[name]
    told = wording.count(feature.lookback, "session") if feature.lookback else "none"
    return f"{told}, and every earlier bar" if feature.recursive else told


def in_range(name: str) -> str:
    """In words; empty where there is no bound, or the unit says it."""
    low, high = CATALOG[name].low, CATALOG[name].high
    if CATALOG[name].unit.lstrip("-")[0].isdigit():
        return ""
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"{low:g} or more" if low is not None else f"{high:g} or less" if high is not None else ""


def _state(psi: float) -> str:
    return "stable" if psi < STABLE else "drifting" if psi < SHIFTED else "shifted"


def _coefficient(ic: Ic) -> dict[str, Any]:
    return {
        "horizon": ic.horizon,
        "mean": ic.mean,
        "interval": wording.interval(ic.low, ic.high, sign=True),
        "track": track(AXIS, mark=0.0, point=ic.mean, low=ic.low, high=ic.high),
        "excludes_zero": ic.low is not None and ic.high is not None and (ic.low > 0 or ic.high < 0),
    }
