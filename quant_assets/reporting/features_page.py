"""The catalogue of features as one self-contained page: what each is, and what it has been like on the data that are stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from quant_assets.features.catalog import CATALOG
from quant_assets.features.feature import FLAG
from quant_assets.features.profile import FEWEST_BLOCKS, FEWEST_ROWS, HORIZONS, Ic, Profile, chance, fewest_sessions
from quant_assets.reporting import wording
from quant_assets.reporting.atomic import write_text
from quant_assets.reporting.geometry import Axis, track
from quant_assets.reporting.html_page import TEMPLATES, environment, script_source
from quant_assets.reporting.sparkline import HEIGHT, WIDTH, svg_path

DRAWN_SESSIONS = 504
STABLE, SHIFTED = 0.1, 0.25
FLAGS = (FLAG, "-1, 0 or 1")
"""Units of which it matters how often the value is not 0."""
NOT_COMPUTED = "not computed yet: `quant-assets run` computes it"
SCRIPT = "features.js"
AXIS = Axis(-0.1, 0.1)
"""Of coefficients: what lies beyond is drawn to the end with an arrow, its figures beside it."""


def write_features_page(
    values: pl.DataFrame,
    profiles: Mapping[str, Profile],
    sets: Mapping[str, Sequence[str]],
    without: Mapping[str, Sequence[tuple[str, int]]],
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
    without : by name the reasons why a feature has no value and how many sessions each, the most first; a feature without any value and
        without a reason has not been computed yet.
    """
    script = Markup((TEMPLATES / SCRIPT).read_text(encoding="utf-8"))
    families: dict[str, list[dict[str, Any]]] = {}
    for name, found in profiles.items():
        families.setdefault(CATALOG[name].family, []).append(_entry(name, found, values, sets, without.get(name, ())))
    entries = [entry for family in families.values() for entry in family]
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
            overview=sorted(entries, key=_strength, reverse=True),
            middle=HORIZONS[MIDDLE],
            horizons=HORIZONS,
            chance=[(horizon, fewest_sessions(horizon), *counts) for horizon, counts in chance(profiles.values()).items()],
            fewest=(FEWEST_BLOCKS, FEWEST_ROWS),
            not_computed=NOT_COMPUTED,
            box=(WIDTH, HEIGHT),
            plain=plain,
            axis=AXIS,
            script=script,
            script_source=script_source(script),
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8") + (TEMPLATES / "features.css").read_text(encoding="utf-8")),
        )
    )
    write_text(path, text)


def _entry(
    name: str, found: Profile, values: pl.DataFrame, sets: Mapping[str, Sequence[str]], reasons: Sequence[tuple[str, int]]
) -> dict[str, Any]:
    ticker, rows = drawn_values(values, name)
    drawn = rows[name].to_list()
    there = [value for value in drawn if value is not None]
    return {
        "name": name,
        "feature": CATALOG[name],
        "look_back": look_back(name),
        "range": in_range(name),
        "sets": [one for one, names in sets.items() if name in names],
        "null_when": null_when(name),
        "share": found.share,
        "fires": fires(name, found.fires, round(found.share * values.height)),
        "drawn": f"{who(ticker, over_time=not found.ic[0].across)}, {stretch(rows)}" if there else "",
        "ends": (plain(min(there)), plain(max(there))) if there else (),
        "path": svg_path(drawn),
        "quantiles": found.quantiles,
        "psi": [(year, value, _state(value)) for year, value in found.psi.items()],
        "worst_psi": max(found.psi.items(), key=lambda item: item[1], default=None),
        "neighbours": found.neighbours,
        "ic": [_coefficient(ic) for ic in found.ic],
        "measured": any(ic.mean is not None for ic in found.ic),
        "few": any(ic.mean is not None and not ic.enough for ic in found.ic),
        "reasons": reasons,
        "over_time": not found.ic[0].across,
    }


MIDDLE = len(HORIZONS) // 2
"""The horizon by which the overview is sorted first."""


def _strength(entry: Mapping[str, Any]) -> float:
    """Those that rest on enough sessions by the size of the coefficient, before all others."""
    ic = entry["ic"][MIDDLE]
    return -1.0 if ic["mean"] is None else abs(ic["mean"]) + (1.0 if ic["enough"] else 0.0)


def drawn_values(values: pl.DataFrame, name: str, ticker: str | None = None) -> tuple[str | None, pl.DataFrame]:
    """The last sessions of one name, `session` and the feature: the one asked for, or the first in the alphabet of those with the most
    values; None and no rows where there is no value at all."""
    mine = values.select("ticker", "session", name).sort("ticker", "session").group_by("ticker", maintain_order=True).tail(DRAWN_SESSIONS)
    counts = mine.group_by("ticker").agg(n=pl.col(name).count()).filter(pl.col("n") > 0).sort("n", "ticker", descending=[True, False])
    chosen = ticker or (counts["ticker"][0] if counts.height else None)
    return chosen, mine.filter(pl.col("ticker").eq_missing(pl.lit(chosen))).select("session", name)


def same_for_all(values: pl.DataFrame, name: str) -> bool:
    """Whether the feature has one value a session: of the market, not of names."""
    spread = values.group_by("session").agg(n=pl.col(name).drop_nulls().n_unique())["n"].max()
    return spread == 1 and values["ticker"].n_unique() > 1


def who(ticker: str | None, *, over_time: bool) -> str:
    """Of whom the drawn values are."""
    return "all names" if over_time else ticker or "any name"


def stretch(rows: pl.DataFrame) -> str:
    """From when to when, and how many sessions."""
    return f"{rows['session'][0]} to {rows['session'][-1]}, {wording.count(rows.height, 'session')}"


def plain(value: float) -> str:
    """Four digits that matter, and never a power of ten where it can be helped: 10,430, 0.0566."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", wording.MINUS, 1 if value < 0 else 0)


def null_when(name: str) -> str:
    """In words, the look-back included."""
    feature = CATALOG[name]
    warm_up = "its look-back is not full" if feature.lookback else ""
    rule = "" if feature.missing == "never" else feature.missing
    return "; ".join(part for part in (warm_up, rule) if part) or "never"


def fires(name: str, share: float, n: int) -> str:
    """How often a flag is not 0, in words; empty for what is no flag.

    Parameters
    ----------
    n : rows with a value.
    """
    return (
        f"on {wording.percent(share, 2)} of these, {wording.count(round(share * n), 'time')}" if CATALOG[name].unit in FLAGS and n else ""
    )


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
        "excludes_zero": ic.excludes_zero,
        "enough": ic.enough,
        "sessions": ic.sessions,
        "names": ic.names,
        "below": ic.low is not None and ic.low < AXIS.low,
        "above": ic.high is not None and ic.high > AXIS.high,
    }
