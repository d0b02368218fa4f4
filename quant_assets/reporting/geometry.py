"""Small marks drawn by the page itself: intervals on an axis, bars around zero, the score gauge. Plotly's data live in `charts.py`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from quant_assets.settings import Signal

BANDS = ("STRONG_BEAR", "BEAR", "NEUTRAL", "BULL", "STRONG_BULL")


@dataclass(frozen=True)
class Axis:
    """A horizontal axis from `low` to `high`; positions on it are per cent of its length, clipped to it."""

    low: float
    high: float

    @classmethod
    def around(cls, centre: float, values: Iterable[float | None], step: float) -> Axis:
        """Symmetrical about `centre`, wide enough for `values`, ends on multiples of `step` away from it."""
        reach = max((abs(value - centre) for value in values if value is not None and math.isfinite(value)), default=step)
        half = step * max(1, math.ceil(reach / step - 1e-9))
        return cls(centre - half, centre + half)

    def at(self, value: float) -> str:
        inside = min(max(value, self.low), self.high)
        return f"{100 * (inside - self.low) / (self.high - self.low):.2f}"

    def width(self, start: float, end: float) -> str:
        return f"{float(self.at(end)) - float(self.at(start)):.2f}"


@dataclass(frozen=True)
class Track:
    """An interval with its point on an axis; all positions in per cent, None where there is nothing to draw."""

    mark: str
    dot: str | None
    left: str | None
    width: str | None


def track(axis: Axis, *, mark: float, point: float | None, low: float | None, high: float | None) -> Track:
    """`mark` is the value to compare with: 0.5 for an AUC, 0 for an IC, the base rate for a score."""
    dot = axis.at(point) if point is not None and math.isfinite(point) else None
    if low is None or high is None or not math.isfinite(low + high):
        return Track(axis.at(mark), dot, None, None)
    return Track(axis.at(mark), dot, axis.at(low), axis.width(low, high))


def bar_around_zero(axis: Axis, value: float) -> tuple[str, str]:
    """(left, width) in per cent of a bar from zero to `value`."""
    start, end = sorted((0.0, value))
    return axis.at(start), axis.width(start, end)


CENTRE_X, CENTRE_Y = 110.0, 108.0
BAND_RADIUS, INTERVAL_RADIUS, NEEDLE_RADIUS = 92.0, 76.0, 80.0


@dataclass(frozen=True)
class Gauge:
    """SVG paths of a half-circle gauge from 0 to 1 in a 220 × 124 box."""

    bands: list[tuple[str, str]]
    interval: str | None
    base: str | None
    needle: str


def gauge(score: float, base_rate: float | None, ci_low: float | None, ci_high: float | None, bands: Signal) -> Gauge:
    edges = (0.0, bands.strong_bear, bands.bear, bands.bull, bands.strong_bull, 1.0)
    gap = 0.004
    return Gauge(
        bands=[(name, _arc(BAND_RADIUS, start + gap, end - gap)) for name, start, end in zip(BANDS, edges[:-1], edges[1:], strict=True)],
        interval=None if ci_low is None or ci_high is None else _arc(INTERVAL_RADIUS, ci_low, ci_high),
        base=None if base_rate is None else _spoke(base_rate, BAND_RADIUS - 9, BAND_RADIUS + 9),
        needle=_spoke(score, 42, NEEDLE_RADIUS),
    )


def _point(radius: float, value: float) -> str:
    angle = math.pi * (1 - min(max(value, 0.0), 1.0))
    return f"{CENTRE_X + radius * math.cos(angle):.2f} {CENTRE_Y - radius * math.sin(angle):.2f}"


def _arc(radius: float, start: float, end: float) -> str:
    return f"M {_point(radius, start)} A {radius:g} {radius:g} 0 0 1 {_point(radius, end)}"


def _spoke(value: float, inner: float, outer: float) -> str:
    return f"M {_point(inner, value)} L {_point(outer, value)}"
