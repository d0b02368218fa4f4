"""What an account did: every figure of the catalogue, and the few that the nightly report shows.

What each figure is, `catalog.py` says; tables by year, ticker or side are `breakdowns.py`'s business; whether scores forecast anything is
`validation/skill.py`'s.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import polars as pl

from quant_assets.backtest.catalog import METRICS, Metric, n_entries
from quant_assets.backtest.ratios import sharpe_ratio
from quant_assets.backtest.track import Track
from quant_assets.validation.sharpe import Trials

__all__ = ["METRICS", "Metric", "Performance", "measure", "performance", "sharpe_ratio"]

OPEN_AT_THE_END = "Positions are open at the end, valued at the close without the cost of {}."


def measure(track: Track, trials: Trials | None = None) -> dict[str, float | None]:
    """Every metric of METRICS, in its order; None where it is undefined, for the reason that the metric gives as `missing`.

    Parameters
    ----------
    trials : how many strategies were tried before this one, and the variance of their Sharpe ratios per session (`ratios.trials_of`).
    """
    record = track if trials is None else dataclasses.replace(track, trials=trials)
    return {key: metric.of(record) for key, metric in METRICS.items()}


@dataclass(frozen=True)
class Performance:
    """What an account did, in the figures of METRICS that have these names; None where nothing that happened defines them.

    sentence : why figures are missing or what they leave out.
    """

    n_trades: int
    n_entries: int
    total_return: float | None = None
    cagr: float | None = None
    volatility_annual: float | None = None
    sharpe: float | None = None
    max_drawdown: float | None = None
    exposure: float | None = None
    win_rate: float | None = None
    total_costs: float | None = None
    sentence: str | None = None


def performance(equity: pl.DataFrame, trades: pl.DataFrame) -> Performance:
    """Figures of one account.

    Parameters
    ----------
    equity : its rows of table `equity`, from any session on. Fills up to the close of the first row are not counted; an account's own
        first row comes before any fill.
    trades : its rows of table `trades`, perhaps none.

    Raises
    ------
    ValueError : no equity row, or rows of more than one account.
    BadArgument : as `Track.of`.
    """
    owners = equity.select("strategy", "account", "ticker").unique()
    if owners.height != 1:
        raise ValueError(f"equity holds {owners.height} accounts where exactly one is measured: filter by strategy, account and ticker")
    track = Track.of(equity, trades)
    first, last = track.sessions[0], track.sessions[-1]
    if n_entries(track) == 0 and not track.exposure.any():
        return Performance(n_trades=0, n_entries=0, sentence=f"No trades: nothing was bought from {first} to {last}.")
    names = ("total_return", "cagr", "volatility_annual", "sharpe", "max_drawdown", "exposure", "win_rate", "total_costs")
    return Performance(
        n_trades=track.trades.height,
        n_entries=n_entries(track),
        **{name: METRICS[name].of(track) for name in names},
        sentence=left_out(track),
    )


def left_out(track: Track) -> str | None:
    """What the figures do not count, a sentence; None where they count all."""
    if track.ruined:
        return f"Ruined: equity was {track.wealth[-1]:.2f} USD at the close of {track.sessions[-1]}, and the figures end there."
    if track.exposure[-1] == 0:
        return None
    return OPEN_AT_THE_END.format("selling" if track.exposure[-1] > 0 else "buying back")
