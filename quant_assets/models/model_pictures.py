"""Pictures of one trained model's evidence, as MLflow keeps them. What they show is computed in `evidence.py`.

A picture whose figures are not defined says why instead.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from quant_assets.models.evidence import Evidence
from quant_assets.validation.signal_quality import MIN_NAMES

SHOWN_FEATURES = 25
BLUE, ORANGE, GREY = "#2563eb", "#d97706", "#6b7280"
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", [BLUE, "#a78bfa", "#dc2626"])
UNKNOWN = "#c4c7cc"
PILE_BINS = 60
LABEL_POINTS = 8


def pictures(evidence: Evidence) -> dict[str, Figure]:
    """By name, all that can be drawn of a model."""
    return {
        "importance": importance(evidence.gains),
        "contributions": beeswarm(evidence),
        "calibration": calibration(evidence.calibration()),
        "learning_curve": learning_curve(evidence.learning_curve),
        "cumulative_rank_ic": cumulative_rank_ic(evidence.cumulative_rank_ic()),
    }


def write(evidence: Evidence, folder: Path) -> None:
    """All of them as PNG files of their names in a folder that is there."""
    for name, figure in pictures(evidence).items():
        figure.savefig(folder / f"{name}.png")


def importance(gains: pl.DataFrame) -> Figure:
    """Share of the total gain of the features the trees split on, largest first.

    Parameters
    ----------
    gains : as of `Evidence`.
    """
    shown = gains.head(SHOWN_FEATURES)
    figure, axes = _rows_of_features(shown["feature"].to_list())
    axes.set_title(f"share of total gain{_of_all(shown.height, gains.height)}", fontsize=10)
    if shown.is_empty():
        return _without(figure, axes, "no tree splits on any feature")
    bars = axes.barh(range(shown.height), shown["share"].to_list(), color=BLUE)
    axes.bar_label(bars, fmt="{:.1%}", fontsize=7, padding=2)
    axes.xaxis.set_visible(False)
    return _plain(figure)


def beeswarm(evidence: Evidence) -> Figure:
    """What each feature adds to the log-odds of each sampled row, those that matter most on top; points pile up where there are many."""
    ranked = evidence.mean_contributions()
    shown = ranked.head(SHOWN_FEATURES)["feature"].to_list()
    figure, axes = _rows_of_features(shown)
    told = f"contributions in {evidence.contributions.height:,} rows of those learned from"
    axes.set_title(f"{told}{_of_all(len(shown), ranked.height)}", fontsize=10)
    if evidence.contributions.is_empty():
        return _without(figure, axes, "no row was sampled")
    added = evidence.contributions.select(shown).to_numpy()
    ranks = evidence.values.select((pl.col(name).rank() - 1) / (pl.col(name).count() - 1) for name in shown).to_numpy()
    reach = float(np.abs(added).max())
    height = np.column_stack([row + _piles(column, reach) for row, column in enumerate(added.T)])
    known = np.isfinite(ranks)
    axes.scatter(added[~known], height[~known], s=3, color=UNKNOWN, linewidths=0)
    axes.scatter(added[known], height[known], s=3, c=ranks[known], cmap=LOW_TO_HIGH, vmin=0, vmax=1, linewidths=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlabel("SHAP value, log-odds (blue: low value of the feature, red: high, grey: unknown)", fontsize=8)
    return _plain(figure)


def calibration(deciles: pl.DataFrame) -> Figure:
    """Share that rose against mean score by decile of the held scores, with the number of rows below.

    Parameters
    ----------
    deciles : of `Evidence.calibration`.
    """
    figure = _framed(6, 4.6)
    axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    axes.set_title("calibration of the held rows (interval as if they were independent)", fontsize=10)
    if deciles.is_empty():
        below.set_visible(False)
        return _without(figure, axes, "no held row has a score and a label")
    score, share = deciles["mean_score"].to_numpy(), deciles["share"].to_numpy()
    reach = np.stack([share - deciles["low"].to_numpy(), deciles["high"].to_numpy() - share])
    axes.plot(score, score, color=GREY, linewidth=0.8, label="as often as said")
    axes.errorbar(score, share, yerr=np.clip(reach, 0, None), fmt="o", markersize=4, color=BLUE, capsize=2, label="share that rose, 95 %")
    axes.legend(fontsize=8, frameon=False)
    axes.set_ylabel("share that rose", fontsize=8)
    below.vlines(score, 0, deciles["n"].to_list(), linewidth=5, color=GREY)
    below.set_ylim(0)
    below.set_ylabel("rows", fontsize=8)
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.set_xlabel("mean score of the decile", fontsize=8)
    return _plain(figure)


def learning_curve(rounds: pl.DataFrame) -> Figure:
    """Log-loss by round, of the rows learned from and of those held out, with the round that was best on the latter.

    Parameters
    ----------
    rounds : as of `Evidence`.
    """
    figure = _framed(6, 3)
    axes = figure.subplots()
    axes.set_title("log-loss, nats", fontsize=10)
    if rounds.is_empty():
        return _without(figure, axes, "no round was grown")
    mark = "o" if rounds.height == 1 else ""
    for name, colour, label in (("train", GREY, "learned from"), ("validation", BLUE, "held out")):
        axes.plot(rounds["round"], rounds[name], marker=mark, color=colour, linewidth=1.4, label=label)
    best = int(rounds["round"][int(rounds["validation"].arg_min() or 0)])
    axes.axvline(best, color=ORANGE, linewidth=1, label=f"best round {best}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter("{x:.4f}")
    axes.legend(fontsize=8, frameon=False)
    axes.set_xlabel("round", fontsize=8)
    return _plain(figure)


def cumulative_rank_ic(days: pl.DataFrame) -> Figure:
    """Sum of the rank ICs of the held sessions so far: a straight rise is a skill that lasts.

    Parameters
    ----------
    days : of `Evidence.cumulative_rank_ic`.
    """
    figure = _framed(6, 3)
    axes = figure.subplots()
    axes.set_title("cumulative rank IC of the held sessions", fontsize=10)
    if days.is_empty():
        return _without(figure, axes, f"no held session has {MIN_NAMES} names whose scores differ")
    axes.plot(days["session"].to_numpy(), days["cumulative"].to_numpy(), color=BLUE, linewidth=1.4, marker="o" if days.height == 1 else "")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    mean = float(days["rank_ic"].to_numpy().mean())
    axes.set_title(f"cumulative rank IC of the held sessions: {days.height}, mean {mean:+.4f}", fontsize=10)
    return _plain(figure)


def _rows_of_features(names: list[str]) -> tuple[Figure, Axes]:
    """A row for each name, the first on top."""
    left = 1.03 * max((_inches(name) for name in names), default=0.0) + 0.25
    figure = Figure(figsize=(max(6, left + 4.6), 1.0 + 0.22 * max(len(names), 2)))
    axes = figure.subplots()
    _margins(figure, left=left)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    return figure, axes


def _of_all(shown: int, n: int) -> str:
    return f", {shown} of {n} features" if shown < n else ""


def _piles(added: npt.NDArray[np.float64], reach: float) -> npt.NDArray[np.float64]:
    """Offset of each point from its row, within 0.4: points of one bin stand above and below one another, the fullest bin to the full."""
    place = np.clip(((added + reach) / (2 * reach or 1) * PILE_BINS).astype(np.int64), 0, PILE_BINS - 1)
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], np.arange(PILE_BINS))
    nth = np.empty(len(added))
    nth[order] = np.arange(len(added)) - start[place[order]]
    fullest = np.bincount(place).max()
    side = np.where(nth % 2, 1, -1)
    offset: npt.NDArray[np.float64] = side * np.ceil(nth / 2) / max(fullest / 2, 10) * 0.4
    return offset


def _without(figure: Figure, axes: Axes, why: str) -> Figure:
    axes.axis("off")
    axes.text(0.5, 0.5, why, ha="center", va="center", fontsize=9, color=GREY, transform=axes.transAxes)
    return figure


def _framed(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height))
    _margins(figure)
    return figure


def _margins(figure: Figure, *, left: float = 0.75) -> None:
    """Inches: a layout engine, or a tight box, would draw everything twice."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left=left / width, right=1 - 0.45 / width, bottom=0.5 / height, top=1 - 0.35 / height)


def _inches(label: str) -> float:
    points, _, _ = text_to_path.get_text_width_height_descent(label, FontProperties(size=LABEL_POINTS), ismath=False)
    return float(points) / 72


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=LABEL_POINTS)
    return figure
