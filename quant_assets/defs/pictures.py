"""Small pictures for asset metadata, where one says more than rows."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from matplotlib.figure import Figure

COLOURS = {"threshold": "#2563eb", "top_fifth": "#d97706", "buy_and_hold": "#6b7280"}


def importances(shares: Mapping[str, float], *, top: int = 12) -> Figure:
    """Share of total gain of the features the trees split on."""
    names = list(shares)[:top][::-1]
    figure = Figure(figsize=(6, 3.2))
    axes = figure.subplots()
    axes.barh(names, [shares[name] for name in names], color=COLOURS["threshold"])
    axes.set_title("share of gain", fontsize=10)
    return _plain(figure)


def scores(rows: pl.DataFrame) -> Figure:
    """How far scores leave the base rate."""
    figure = Figure(figsize=(6, 2.6))
    axes = figure.subplots()
    axes.hist(rows["score"].drop_nulls().to_numpy(), bins=60, color=COLOURS["threshold"])
    if rows.height:
        base = float(rows["base_rate"].mean())  # type: ignore[arg-type]
        axes.axvline(base, color="#111827", linewidth=1)
        axes.annotate("base rate", (base, axes.get_ylim()[1]), fontsize=8, va="top")
    axes.set_title("out-of-sample scores", fontsize=10)
    return _plain(figure)


def equity(rows: pl.DataFrame) -> Figure:
    """Each account of the window, by strategy."""
    figure = Figure(figsize=(6, 2.8))
    axes = figure.subplots()
    shown: set[str] = set()
    for (strategy, _, _), line in rows.group_by("strategy", "account", "ticker", maintain_order=True):
        label = None if strategy in shown else str(strategy).replace("_", " ")
        shown.add(str(strategy))
        axes.plot(line["session"].to_numpy(), line["equity"].to_numpy(), color=COLOURS[str(strategy)], linewidth=1, label=label)
    if shown:
        axes.legend(fontsize=8, frameon=False)
    axes.set_title("equity, USD", fontsize=10)
    return _plain(figure)


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure
