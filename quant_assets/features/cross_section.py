"""Cross-section: where a name stands among all names of its session, and what the session as a whole is like.

Expressions are evaluated on the features of every eligible name at once (`across.py`), so each says over what it reads: mostly the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_assets.features.feature import ELIGIBLE, Beside, Feature, Tables
from quant_assets.features.known import last_known

FAMILY = "cross_section"
SESSION = "session"
SECTOR, CORRELATION = "across_sector", "across_correlation"
SPAN = 60
"""Sessions of the correlations."""
FEWEST = 5
"""Names below which a rank or a residual says nothing."""
RANKED = (
    "ret_1", "ret_5", "ret_20", "momentum_12_1", "high_252_distance", "rsi_14", "volatility_20", "beta_60", "volume_ratio_20",
    "log_dollar_volume_20", "amihud_20",
)  # fmt: skip


def percentile(name: str) -> pl.Expr:
    """(average rank - 1) / (names - 1) within the session: 0 the lowest, 1 the highest, ties in the middle of their places."""
    values, n = pl.col(name), pl.col(name).count().over(SESSION)
    return pl.when(n >= FEWEST).then((values.rank("average").over(SESSION) - 1) / (n - 1))


def residual(name: str, *, sector: bool, size: str | None) -> pl.Expr:
    """What is left of a feature after a regression within the session on sector dummies, on size, or on both (Frisch-Waugh)."""
    there = pl.all_horizontal(pl.col(column).is_not_null() for column in (name, *((SECTOR,) if sector else ()), *((size,) if size else ())))
    over = [SESSION, SECTOR] if sector else [SESSION]

    def centred(column: str) -> pl.Expr:
        values = pl.when(there).then(pl.col(column))
        return values - values.mean().over(over)

    left = centred(name)
    if size:
        by = centred(size)
        slope = (left * by).sum().over(SESSION) / (by * by).sum().over(SESSION)
        left = left - slope * by
    return pl.when(there.sum().over(SESSION) >= FEWEST).then(left)


def session_wide(value: pl.Expr, names: pl.Expr) -> pl.Expr:
    """One number a session, the same for each of its names."""
    return pl.when(names.count().over(SESSION) >= FEWEST).then(value.over(SESSION))


def average_pairwise_correlation(returns: npt.NDArray[np.float64], sessions: int) -> npt.NDArray[np.float64]:
    """Mean of the correlations of all pairs of columns over the last `sessions` rows.

    The sum of all entries of a correlation matrix is the sum of squares of the row sums of the standardised returns over (sessions - 1),
    which spares the matrix. A column with a hole in the window, or that did not move, is left out.

    Parameters
    ----------
    returns : (n_sessions, n_names), NaN where there is none.

    Returns
    -------
    (n_sessions,), NaN with fewer than two columns.
    """
    found = np.full(len(returns), np.nan)
    for last in range(sessions - 1, len(returns)):
        window = returns[last - sessions + 1 : last + 1]
        window = window[:, ~np.isnan(window).any(axis=0)]
        window = window[:, window.max(axis=0, initial=-np.inf) > window.min(axis=0, initial=np.inf)]
        n = window.shape[1]
        if n >= 2:
            z = (window - window.mean(axis=0)) / window.std(axis=0, ddof=1)
            found[last] = (np.square(z.sum(axis=1)).sum() / (sessions - 1) - n) / (n * (n - 1))
    return found


def _with_sector(rows: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    told = tables["company_info"].filter(pl.col("field") == "sector").select("ticker", "known_at", pl.col("text").alias(SECTOR))
    return last_known(rows, told, [SECTOR])


def _with_correlation(rows: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
    """Of the names that are eligible on the session; what they did before they were is part of it."""
    frame = rows.select(SESSION, "ticker", "ret_1", ELIGIBLE).collect()
    returns, member = (frame.pivot("ticker", index=SESSION, values=values).sort(SESSION) for values in ("ret_1", ELIGIBLE))
    found = _by_membership(
        returns.drop(SESSION).cast(pl.Float64).fill_null(np.nan).to_numpy(), member.drop(SESSION).fill_null(False).to_numpy()
    )
    told = returns.select(SESSION, pl.Series(CORRELATION, found).fill_nan(None))
    return rows.join(told.lazy(), on=SESSION, how="left", maintain_order="left")


def _by_membership(returns: npt.NDArray[np.float64], member: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The correlation at each session of the columns that are members then; sessions of one membership are done together."""
    found = np.full(len(returns), np.nan)
    changes = (np.flatnonzero((member[1:] != member[:-1]).any(axis=1)) + 1).tolist()
    for first, end in zip([0, *changes], [*changes, len(returns)], strict=True):
        if end > first:
            since = max(0, first - SPAN + 1)
            found[first:end] = average_pairwise_correlation(returns[since:end, member[first]], SPAN)[first - since :]
    return found


BESIDE = (
    Beside(tables=("company_info",), columns=(SECTOR,), join=_with_sector),
    Beside(tables=(), columns=(CORRELATION,), join=_with_correlation),
)


def _entry(name: str, expression: pl.Expr, inputs: Sequence[str], *, missing: str = "", lookback: int = 0, **told: Any) -> Feature:
    few = f"fewer than {FEWEST} names have one, or the name may not be decided on"
    return Feature(
        name=name,
        family=FAMILY,
        expression=expression,
        inputs=tuple(inputs),
        lookback=lookback,
        recursive=False,
        missing=few + missing,
        across=True,
        **told,
    )


NEUTRAL = "linear residual within the session; Grinold and Kahn (1999), Active Portfolio Management, ch. 3"
SIZE = "log_market_cap"
FEATURES = (
    *(
        _entry(
            f"rank_{name}",
            percentile(name),
            (f"features.{name}",),
            formula=f"(rank({name}) - 1) / (n - 1) among the session's names",
            meaning=f"where the name's {name} stands among all names: 0 lowest, 1 highest",
            unit="0..1",
            low=0.0,
            high=1.0,
            source="percentile rank, ties at their average place; Kakushadze (2016), 101 Formulaic Alphas: rank(x)",
        )
        for name in RANKED
    ),
    *(
        _entry(
            f"{name}_{words}_neutral",
            residual(name, sector=sector, size=SIZE if size else None),
            (f"features.{name}", *(("company_info.text",) if sector else ()), *((f"features.{SIZE}",) if size else ())),
            formula=f"residual of {name} on {told} over the session's names",
            meaning=f"how far the name did better than {told} would suggest",
            unit="fraction",
            source=NEUTRAL,
            missing=f", or the name's {told} is not known",
        )
        for name in ("ret_5", "ret_20")
        for words, sector, size, told in (
            ("sector", True, False, "sector"),
            ("size", False, True, "log market cap"),
            ("sector_size", True, True, "sector and log market cap"),
        )
    ),
    _entry(
        "relative_strength_20",
        residual("ret_20", sector=False, size=None),
        ("features.ret_20",),
        formula="ret_20 less its mean over the session's names",
        meaning="how much more the name gained in 20 sessions than the average name",
        unit="fraction",
        source="excess over the equally weighted peer group",
    ),
    *(
        _entry(
            f"dispersion_{sessions}",
            session_wide(pl.col(f"ret_{sessions}").std(ddof=1), pl.col(f"ret_{sessions}")),
            (f"features.ret_{sessions}",),
            formula=f"std over names of ret_{sessions}, ddof 1",
            meaning=f"how far names lie apart after {sessions} session{'s' if sessions > 1 else ''}: what choosing among them could gain",
            unit="fraction",
            low=0.0,
            source="cross-sectional dispersion, equally weighted; Solnik and Roulet (2000)",
        )
        for sessions in (1, 20)
    ),
    _entry(
        "breadth_50",
        session_wide((pl.col("sma_50_distance") > 0).mean(), pl.col("sma_50_distance")),
        ("features.sma_50_distance",),
        formula="share of names with close > SMA(close, 50)",
        meaning="how many names take part in a rise: near 1 all, near 0 none",
        unit="0..1",
        low=0.0,
        high=1.0,
        source="percentage of names above their 50-session average",
    ),
    _entry(
        "advance_decline",
        session_wide(pl.col("ret_1").sign().mean(), pl.col("ret_1")),
        ("features.ret_1",),
        formula="(names up - names down) / names",
        meaning="whether more names rose or fell: 1 all up, -1 all down",
        unit="-1..1",
        low=-1.0,
        high=1.0,
        source="advance-decline share on total returns",
    ),
    _entry(
        f"pairwise_correlation_{SPAN}",
        session_wide(pl.col(CORRELATION).first(), pl.col("ret_1")),
        ("features.ret_1",),
        formula=f"mean correlation of all pairs of names over {SPAN} total returns",
        meaning="how much names move together: near 1 there is nothing to choose among",
        unit="-1..1",
        lookback=SPAN - 1,
        low=-1.0,
        high=1.0,
        source="average pairwise correlation, equally weighted; Pollet and Wilson (2010), Average Correlation and Stock Market Returns",
    ),
)
