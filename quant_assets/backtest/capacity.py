"""How much wealth a record could have carried before its own orders were too large a part of what was traded."""

from __future__ import annotations

import polars as pl

from quant_assets.backtest.track import Track
from quant_assets.errors import BadArgument


def capacity_usd(track: Track, dollar_volume: pl.DataFrame, *, max_share: float = 0.01) -> float | None:
    """Starting wealth at which the tightest fill of the closed trades would have been `max_share` of its session's volume.

    Every fill is scaled in proportion to the starting wealth; what a trade bought or sold counts in the session of its entry or exit,
    together with the other trades of the name in that session. None where no trade was closed.

    Parameters
    ----------
    dollar_volume : ticker, session, dollar_volume (USD traded in the session).
    max_share : of a session's volume, fraction.

    Raises
    ------
    BadArgument : a fill without the volume of its session.
    """
    if track.trades.is_empty():
        return None
    fills = pl.concat(
        [
            track.trades.select("ticker", session="entered", usd=pl.col("entry_shares") * pl.col("entry_price")),
            track.trades.select("ticker", "session", usd=pl.col("exit_shares") * pl.col("exit_price")),
        ]
    )
    a_session = fills.group_by("ticker", "session", maintain_order=True).agg(pl.col("usd").sum())
    beside = a_session.join(dollar_volume, on=["ticker", "session"], how="left", maintain_order="left")
    unknown = beside.filter(pl.col("dollar_volume").is_null())
    if unknown.height:
        ticker, session = unknown.select("ticker", "session").row(0)
        what = f"{unknown.height} of {beside.height} fills have no volume, the first {ticker} {session}"
        raise BadArgument(what, remedy="give ticker, session and dollar_volume of every session with a fill")
    tightest: float = beside.select((max_share * pl.col("dollar_volume") / pl.col("usd")).min()).item()
    return float(track.wealth[0]) * tightest
