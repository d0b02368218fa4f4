"""What surrounds the bars of a tape: spreads, what can be borrowed, volatility; each as it was known at the close before a fill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quant_assets.backtest.tape import Tape
from quant_assets.errors import BadArgument, require_columns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surroundings:
    """None where the costs say it of all names, or nothing does.

    Parameters
    ----------
    half_spread : (n_names, n_sessions) fraction of the price. borrowable : (n_names, n_sessions) 0 where a name cannot be sold short.
    vix : (n_sessions,) index points.
    """

    half_spread: Floats | None = None
    borrowable: Floats | None = None
    vix: Floats | None = None


NOTHING_SPECIAL = Surroundings()


def known_before(tape: Tape, rows: pl.DataFrame, column: str, *, otherwise: float) -> Floats:
    """(n_names, n_sessions) of a column, each value from the session after its own on, until the next one.

    Parameters
    ----------
    rows : ticker, session, column; names and sessions that are not on the tape are not read.
    otherwise : before a name's first value.

    Raises
    ------
    BadArgument : two values of one name and session, or one that is not finite.
    """
    require_columns(rows.columns, "ticker", "session", column)
    told = rows.select("ticker", "session", value=pl.col(column).cast(pl.Float64)).drop_nulls("value")
    wrong = told.filter(~pl.col("value").is_finite() | pl.struct("ticker", "session").is_duplicated())
    if wrong.height:
        ticker, session, value = wrong.row(0)
        raise BadArgument(f"{column} of {ticker} {session} is {value}, or there twice", remedy="give one finite value a name and session")
    grid = pl.DataFrame({"session": tape.sessions}, schema={"session": pl.Date})
    names = pl.DataFrame({"ticker": tape.tickers}, schema={"ticker": pl.String})
    cells = names.join(grid, how="cross").sort("ticker", "session")
    before = cells.join_asof(told.sort("ticker", "session"), on="session", by="ticker", allow_exact_matches=False, check_sortedness=False)
    return before["value"].fill_null(otherwise).to_numpy().reshape(len(tape.tickers), len(tape.sessions))


def quoted_half_spread(quotes: pl.DataFrame) -> pl.DataFrame:
    """ticker, session, half_spread (fraction of the middle) from bid and ask; a one-sided or crossed quote has none."""
    require_columns(quotes.columns, "ticker", "session", "bid", "ask")
    two_sided = (pl.col("bid") > 0) & (pl.col("ask") >= pl.col("bid"))
    half = pl.when(two_sided).then((pl.col("ask") - pl.col("bid")) / (pl.col("ask") + pl.col("bid")))
    return quotes.select("ticker", "session", half_spread=half)


def estimated_half_spread(features: pl.DataFrame, column: str) -> pl.DataFrame:
    """ticker, session, half_spread from a feature that estimates the whole spread as a fraction, as `corwin_schultz_spread_20` does.

    Roll (1984), A simple implicit measure of the effective bid-ask spread; Corwin and Schultz (2012), A simple way to estimate bid-ask
    spreads from daily high and low prices.
    """
    require_columns(features.columns, "ticker", "session", column)
    return features.select("ticker", "session", half_spread=pl.col(column) / 2)
