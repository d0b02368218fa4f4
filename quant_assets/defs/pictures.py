"""Small pictures for asset metadata, where one says more than rows."""

from __future__ import annotations

import polars as pl
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

SHOWN_NAMES = 40
NORMAL_95 = 1.96
COLOURS = {"threshold": "#2563eb", "top_fifth": "#d97706", "buy_and_hold": "#6b7280"}


def presence(rows: pl.DataFrame) -> Figure:
    """How many rows of each name or series lie in each month; those with most rows where there are too many names to read.

    Parameters
    ----------
    rows : key, day.
    """
    months = rows.group_by("key", month=pl.col("day").dt.truncate("1mo")).len()
    shown = months.group_by("key").agg(n=pl.col("len").sum()).sort("n", "key", descending=[True, False]).head(SHOWN_NAMES)["key"].sort()
    figure = Figure(figsize=(7, 0.9 + 0.17 * max(shown.len(), 1)))
    axes = figure.subplots()
    if months.height:
        span = months.select(start=pl.col("month").min(), end=pl.col("month").max().dt.offset_by("1mo"))
        edges = span.select(pl.date_ranges("start", "end", "1mo").explode())["start"]
        every = edges.head(-1).to_frame("month").join(shown.to_frame("key"), how="cross")
        counts = every.join(months, on=["key", "month"], how="left").pivot("month", index="key", values="len").sort("key")
        mesh = axes.pcolormesh(edges, range(shown.len() + 1), counts.drop("key").to_numpy().astype(float), cmap="Blues", vmin=0)
        figure.colorbar(mesh, ax=axes, pad=0.02).ax.tick_params(labelsize=8)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    axes.set_yticks([place + 0.5 for place in range(shown.len())], shown.to_list())
    axes.invert_yaxis()
    more = f", {shown.len()} of {months['key'].n_unique()} names" if months["key"].n_unique() > shown.len() else ""
    axes.set_title(f"rows a month{more}", fontsize=10)
    return _plain(figure)


def scores(rows: pl.DataFrame) -> Figure:
    """How far scores leave the base rate."""
    figure = Figure(figsize=(6, 2.8))
    axes = figure.subplots()
    axes.hist(rows["score"].drop_nulls().to_numpy(), bins=60, color=COLOURS["threshold"])
    if rows.height:
        base = float(rows["base_rate"].mean())  # type: ignore[arg-type]
        axes.axvline(base, color="#111827", linewidth=1)
        axes.annotate(f"mean base rate {base:.3f} ", (base, 1.0), xycoords=("data", "axes fraction"), fontsize=8, ha="right", va="top")
    axes.set_xlabel("score", fontsize=8)
    axes.set_ylabel("rows", fontsize=8)
    axes.set_title("out-of-sample scores", fontsize=10)
    return _plain(figure)


def equity(rows: pl.DataFrame) -> Figure:
    """Each account of the window, by strategy: the portfolio's bold with its drawdowns below, a name's thin with the name at its end."""
    with_portfolio = "portfolio" in rows["account"]
    figure = Figure(figsize=(7, 5.0 if with_portfolio else 3.6))
    axes, *below = figure.subplots(2, sharex=True, height_ratios=(3, 1)) if with_portfolio else [figure.subplots()]
    shown: set[str] = set()
    for (strategy, account, ticker), line in rows.sort("session").group_by("strategy", "account", "ticker", maintain_order=True):
        whole = account == "portfolio" or not with_portfolio
        days, values = line["session"].to_numpy(), line["equity"].to_numpy()
        label = str(strategy).replace("_", " ") if whole and strategy not in shown else None
        shown |= {str(strategy)} if whole else set()
        axes.plot(days, values, color=COLOURS[str(strategy)], linewidth=1.4 if whole else 0.7, alpha=1.0 if whole else 0.55, label=label)
        if account == "ticker":
            axes.annotate(f" {ticker}", (days[-1], values[-1]), fontsize=6, va="center", color=COLOURS[str(strategy)])
        elif below:
            fallen = (line["equity"] / line["equity"].cum_max() - 1).to_numpy()
            below[0].plot(days, fallen, color=COLOURS[str(strategy)], linewidth=1)
    if shown:
        axes.legend(fontsize=8, frameon=False)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("equity, USD", fontsize=10)
    for under in below:
        under.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        under.set_title("below the highest close of the window", fontsize=8)
    lowest = [axes, *below][-1]
    lowest.xaxis.set_major_formatter(ConciseDateFormatter(lowest.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    return _plain(figure)


def rank_ic_by_year(years: pl.DataFrame) -> Figure:
    """Mean rank IC of each year with its 95 % interval.

    Parameters
    ----------
    years : year, horizon, rank_ic, rank_ic_se, as of `validation.signal_quality.summary`.
    """
    figure = Figure(figsize=(6, 2.8))
    axes = figure.subplots()
    shown = years.drop_nulls("rank_ic")
    reach = (NORMAL_95 * shown["rank_ic_se"].fill_null(0)).to_numpy()
    axes.errorbar(shown["year"].cast(pl.String), shown["rank_ic"], yerr=reach, fmt="o", color=COLOURS["threshold"], capsize=3)
    axes.axhline(0, color="#111827", linewidth=1)
    horizon = f" over {shown['horizon'][0]} sessions" if shown.height else ""
    axes.set_title(f"rank IC{horizon}, 95 % (Newey-West)", fontsize=10)
    return _plain(figure)


def sharpe_by_threshold(rows: pl.DataFrame, *, untuned: float | None) -> Figure:
    """Sharpe ratio of the user's rule at each threshold by the last session, with the number of trades at each point.

    Parameters
    ----------
    rows : of table `threshold_sweep`.
    untuned : that of the fixed rule by then, which has no threshold.
    """
    figure = Figure(figsize=(6, 2.8))
    axes = figure.subplots()
    shown = rows.filter(pl.col("session") == pl.col("session").max()).drop_nulls("sharpe").sort("threshold")
    axes.plot(shown["threshold"], shown["sharpe"], "o-", markersize=4, linewidth=1.2, color=COLOURS["threshold"], label="user's rule")
    for threshold, sharpe, n_trades in shown.select("threshold", "sharpe", "n_trades").iter_rows():
        axes.annotate(f"{n_trades}", (threshold, sharpe), xytext=(0, 5), textcoords="offset points", fontsize=7, ha="center")
    if untuned is not None:
        axes.axhline(untuned, color=COLOURS["top_fifth"], linewidth=1.2, label="top fifth, no threshold")
    axes.margins(y=0.15)
    axes.legend(fontsize=8, frameon=False)
    axes.set_xlabel("threshold (number: trades)", fontsize=8)
    axes.set_title("Sharpe ratio by threshold", fontsize=10)
    return _plain(figure)


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure
