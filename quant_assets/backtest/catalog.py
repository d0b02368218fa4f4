"""Every figure of an account by name: its unit, its definition, why it may be missing. Measuring them is `metrics.py`'s business.

The mathematics lives by noun: `ratios.py`, `drawdowns.py`, `tail_risk.py`, `trade_figures.py`, `benchmark.py`, and `validation/sharpe.py`
for how far a Sharpe ratio can be believed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_assets.backtest import benchmark, drawdowns, ratios, tail_risk, trade_figures
from quant_assets.backtest.track import Track
from quant_assets.validation.sharpe import SharpeEstimate, deflated_sharpe, minimum_track_record, probabilistic_sharpe

Floats = npt.NDArray[np.float64]
Figure = Callable[[Track], float | None]


@dataclass(frozen=True)
class Metric:
    """One figure of an account.

    Parameters
    ----------
    unit : "fraction" (0.1 is 10 %), "USD", "sessions", "trades", or "-" where it has none.
    definition : one sentence, with the choices made where there is more than one reading.
    of : the figure of a track; None where nothing that happened defines it.
    missing : why it has no value, where it has none; empty where it always has one.
    """

    name: str
    unit: str
    definition: str
    of: Figure
    missing: str = ""


def n_entries(track: Track) -> int:
    """Filled after the first session."""
    return int(track.entries[-1] - track.entries[0])


def _of_wealth(figure: Callable[[Floats], float | None]) -> Figure:
    return lambda track: figure(track.wealth)


def _of_returns(figure: Callable[[Floats], float | None], *, at_least: int = 1) -> Figure:
    return lambda track: figure(track.returns) if track.returns.size >= at_least else None


def _of_shape(figure: Callable[[Floats], float | None]) -> Figure:
    """Of returns that vary, as a Sharpe ratio asks for too."""
    return lambda track: None if ratios.sharpe_estimate(track.returns) is None else figure(track.returns)


def _of_estimate(figure: Callable[[SharpeEstimate], float | None]) -> Figure:
    def of(track: Track) -> float | None:
        estimate = ratios.sharpe_estimate(track.returns)
        return None if estimate is None else figure(estimate)

    return of


def _of_pnl(figure: Callable[[Floats], float | None]) -> Figure:
    return lambda track: figure(track.trades["pnl"].to_numpy())


def _beside(figure: Callable[[Floats, Floats], float | None]) -> Figure:
    return lambda track: None if track.benchmark_returns is None else figure(track.returns, track.benchmark_returns)


def _calmar(track: Track) -> float | None:
    growth, fall = ratios.cagr(track.wealth, track.years), drawdowns.max_drawdown(track.wealth)
    return growth / -fall if growth is not None and fall < 0 else None


def _sharpe(returns: Floats) -> float | None:
    ratio = float(ratios.sharpe_ratio(returns))
    return None if np.isnan(ratio) else ratio


def _deflated(track: Track) -> float | None:
    estimate = ratios.sharpe_estimate(track.returns)
    return None if estimate is None or track.trials is None else deflated_sharpe(estimate, track.trials)


def _exposed(track: Track) -> Floats:
    return track.exposure[track.wealth > 0]


def _a_year(track: Track, usd: float) -> float | None:
    """As a share of mean equity, a year."""
    return usd / float(track.wealth.mean()) / track.years if track.years else None


def _total_costs(track: Track) -> float:
    return float(track.costs[-1] - track.costs[0])


def _costs_of_notional(track: Track) -> float | None:
    traded = trade_figures.traded_notional(track.trades)
    return trade_figures.costs_usd(track.trades) / traded if traded else None


TOO_SHORT = "one session only"
TOO_FEW = "fewer than three sessions"
STILL = "fewer than three sessions, or returns that do not vary"
NO_LOSS = "no session with a loss"
NO_FALL = "wealth never fell below an earlier peak"
NO_TRADE = "no trade was closed"
NO_BENCHMARK = "no benchmark was given"
BENCHMARK_STILL = f"{NO_BENCHMARK}, or fewer than three sessions, or returns that do not vary"
NO_TAIL = f"{STILL}, or so skewed that the expansion is no quantile in the tail"

METRICS: dict[str, Metric] = {
    "total_return": Metric("Total return", "fraction", "Last equity / starting wealth - 1.", _of_wealth(ratios.total_return)),
    "annual_return": Metric(
        "Annual return", "fraction", "Arithmetic: mean daily return times 252.", _of_returns(ratios.annual_return), TOO_SHORT
    ),
    "cagr": Metric(
        "CAGR",
        "fraction",
        "Compound annual growth: (1 + total return) ** (365.25 / calendar days) - 1.",
        lambda track: ratios.cagr(track.wealth, track.years),
        f"{TOO_SHORT}, or more than everything was lost",
    ),
    "volatility_annual": Metric(
        "Volatility",
        "fraction",
        "Standard deviation (ddof 1) of daily returns, flat days included, times sqrt(252).",
        _of_returns(ratios.volatility_annual),
        TOO_FEW,
    ),
    "sharpe": Metric(
        "Sharpe ratio",
        "-",
        "Mean / standard deviation (ddof 1) of daily returns, flat days included, times sqrt(252), zero rate.",
        _of_returns(_sharpe),
        STILL,
    ),
    "sharpe_standard_error": Metric(
        "Standard error of Sharpe",
        "-",
        "Standard deviation of the Sharpe ratio as estimated from independent returns of this skew and kurtosis, times sqrt(252).",
        _of_estimate(lambda estimate: estimate.standard_error * ratios.ANNUAL),
        STILL,
    ),
    "sortino": Metric(
        "Sortino ratio",
        "-",
        "Mean daily return / root mean square of min(return, 0) over all sessions, times sqrt(252), zero rate.",
        _of_returns(ratios.sortino),
        NO_LOSS,
    ),
    "calmar": Metric(
        "Calmar ratio", "-", "CAGR / size of the maximum drawdown, over the whole span.", _calmar, f"{TOO_SHORT}, or {NO_FALL}"
    ),
    "omega": Metric("Omega ratio", "-", "Sum of daily gains / sum of daily losses (threshold 0).", _of_returns(ratios.omega), NO_LOSS),
    "gain_to_pain": Metric(
        "Gain to pain", "-", "Sum of daily returns / sum of daily losses (Omega - 1).", _of_returns(ratios.gain_to_pain), NO_LOSS
    ),
    "probabilistic_sharpe": Metric(
        "Probabilistic Sharpe",
        "fraction",
        "Probability that the true Sharpe ratio exceeds zero, given length, skew and kurtosis (Bailey, López de Prado 2012).",
        _of_estimate(probabilistic_sharpe),
        STILL,
    ),
    "deflated_sharpe": Metric(
        "Deflated Sharpe",
        "fraction",
        "Probability that the true Sharpe ratio exceeds zero, given that it is the best of so many trials (Bailey, López de Prado 2014).",
        _deflated,
        f"the number of trials is not said, or {STILL}",
    ),
    "minimum_track_record": Metric(
        "Minimum track record",
        "sessions",
        "Daily returns of this Sharpe ratio, skew and kurtosis that it takes to say with 95 % confidence that the true ratio exceeds zero.",
        _of_estimate(minimum_track_record),
        f"the Sharpe ratio is not above zero, or {STILL}",
    ),
    "max_drawdown": Metric(
        "Maximum drawdown",
        "fraction",
        "Lowest equity / highest equity before it - 1, zero or negative; starting wealth counts as a peak.",
        _of_wealth(drawdowns.max_drawdown),
    ),
    "average_drawdown": Metric(
        "Average drawdown",
        "fraction",
        "Mean over all spells below an earlier peak of the lowest point of each, negative.",
        _of_wealth(drawdowns.average_drawdown),
        NO_FALL,
    ),
    "longest_drawdown": Metric(
        "Longest drawdown",
        "sessions",
        "Closes in the longest spell below an earlier peak, recovered or not.",
        _of_wealth(drawdowns.longest_drawdown),
    ),
    "drawdown_fall": Metric(
        "Fall of maximum drawdown",
        "sessions",
        "From the last close at the peak to the trough of the maximum drawdown.",
        _of_wealth(drawdowns.fall_sessions),
        NO_FALL,
    ),
    "drawdown_recovery": Metric(
        "Recovery of maximum drawdown",
        "sessions",
        "From the trough of the maximum drawdown to the first close at its peak or above.",
        _of_wealth(drawdowns.recovery_sessions),
        f"{NO_FALL}, or has not recovered",
    ),
    "under_water": Metric(
        "Time under water",
        "fraction",
        "Share of closes, after the first, below an earlier peak.",
        _of_wealth(drawdowns.under_water_share),
        TOO_SHORT,
    ),
    "ulcer_index": Metric(
        "Ulcer index",
        "fraction",
        "Root mean square of the drawdown over the closes after the first.",
        _of_wealth(drawdowns.ulcer_index),
        TOO_SHORT,
    ),
    "var_95": Metric(
        "VaR 95 %, historical",
        "fraction",
        "5th percentile of daily returns (linear interpolation); a loss is negative.",
        _of_returns(tail_risk.historical_var),
        TOO_SHORT,
    ),
    "cvar_95": Metric(
        "CVaR 95 %, historical",
        "fraction",
        "Mean of the daily returns not above the historical VaR.",
        _of_returns(tail_risk.historical_cvar),
        TOO_SHORT,
    ),
    "var_95_normal": Metric(
        "VaR 95 %, normal",
        "fraction",
        "5 % quantile of a normal distribution with the mean and standard deviation (ddof 1) of daily returns.",
        _of_returns(tail_risk.normal_var, at_least=2),
        TOO_FEW,
    ),
    "cvar_95_normal": Metric(
        "CVaR 95 %, normal",
        "fraction",
        "Mean of the same normal distribution below its 5 % quantile.",
        _of_returns(tail_risk.normal_cvar, at_least=2),
        TOO_FEW,
    ),
    "var_95_cornish_fisher": Metric(
        "VaR 95 %, Cornish-Fisher",
        "fraction",
        "5 % quantile of the normal distribution corrected for skew and excess kurtosis (Cornish-Fisher, third order).",
        _of_shape(tail_risk.cornish_fisher_var),
        NO_TAIL,
    ),
    "cvar_95_cornish_fisher": Metric(
        "CVaR 95 %, Cornish-Fisher",
        "fraction",
        "Mean of the Cornish-Fisher quantiles below 5 %.",
        _of_shape(tail_risk.cornish_fisher_cvar),
        NO_TAIL,
    ),
    "skew": Metric("Skew", "-", "Third standardised moment of daily returns (population, ddof 0).", _of_shape(tail_risk.skewness), STILL),
    "excess_kurtosis": Metric(
        "Excess kurtosis",
        "-",
        "Fourth standardised moment of daily returns (population, ddof 0) - 3: zero is a normal distribution's.",
        _of_shape(lambda returns: tail_risk.kurtosis(returns) - 3),
        STILL,
    ),
    "tail_ratio": Metric(
        "Tail ratio",
        "-",
        "Size of the 95th percentile of daily returns / size of the 5th (linear interpolation).",
        _of_returns(tail_risk.tail_ratio),
        f"{TOO_SHORT}, or a 5th percentile of zero",
    ),
    "best_session": Metric("Best day", "fraction", "Highest daily return.", _of_returns(lambda returns: float(returns.max())), TOO_SHORT),
    "worst_session": Metric("Worst day", "fraction", "Lowest daily return.", _of_returns(lambda returns: float(returns.min())), TOO_SHORT),
    "positive_sessions": Metric(
        "Positive days",
        "fraction",
        "Share of daily returns above zero, flat days counted among the others.",
        _of_returns(lambda returns: float((returns > 0).mean())),
        TOO_SHORT,
    ),
    "n_trades": Metric("Trades", "trades", "Trades closed after the first session.", lambda track: track.trades.height),
    "n_entries": Metric(
        "Entries",
        "trades",
        "Entries filled after the first session, those still open at the end included.",
        n_entries,
    ),
    "win_rate": Metric(
        "Win rate", "fraction", "Share of closed trades with a profit after all costs.", _of_pnl(trade_figures.win_rate), NO_TRADE
    ),
    "profit_factor": Metric(
        "Profit factor",
        "-",
        "Sum of the profits / sum of the losses of closed trades, after all costs.",
        _of_pnl(trade_figures.profit_factor),
        "no trade lost",
    ),
    "expectancy": Metric(
        "Expectancy", "USD", "Mean profit of a closed trade after all costs.", _of_pnl(trade_figures.expectancy_usd), NO_TRADE
    ),
    "payoff": Metric("Payoff", "-", "Average win / size of the average loss.", _of_pnl(trade_figures.payoff), "no trade won, or none lost"),
    "average_win": Metric(
        "Average win", "USD", "Mean of the trades with a profit.", _of_pnl(trade_figures.average_win_usd), "no trade won"
    ),
    "average_loss": Metric(
        "Average loss", "USD", "Mean of the trades with a loss, negative.", _of_pnl(trade_figures.average_loss_usd), "no trade lost"
    ),
    "longest_losing_streak": Metric(
        "Longest losing streak",
        "trades",
        "Most trades with a loss in a row, by exit and then by ticker.",
        _of_pnl(trade_figures.longest_losing_streak),
        NO_TRADE,
    ),
    "average_sessions_held": Metric(
        "Average holding",
        "sessions",
        "Mean sessions from entry to exit of closed trades: 0 within a session, 3 from the open of t+1 to the open of t+4.",
        lambda track: float(track.trades["sessions_held"].to_numpy().mean()) if track.trades.height else None,
        NO_TRADE,
    ),
    "exposure": Metric(
        "Exposure", "fraction", "Mean over closes of net position / equity, shorts negative.", lambda track: float(_exposed(track).mean())
    ),
    "time_in_market": Metric(
        "Time in the market", "fraction", "Share of closes with a net position.", lambda track: float((_exposed(track) != 0).mean())
    ),
    "turnover": Metric(
        "Turnover",
        "fraction",
        "One-way, a year: half of what closed trades bought and sold / mean equity / calendar years.",
        lambda track: _a_year(track, trade_figures.traded_notional(track.trades) / 2),
        TOO_SHORT,
    ),
    "alpha": Metric(
        "Alpha",
        "fraction",
        "Intercept of the regression of daily returns on the benchmark's, times 252, zero rate.",
        _beside(benchmark.alpha_annual),
        BENCHMARK_STILL,
    ),
    "beta": Metric("Beta", "-", "Slope of the regression of daily returns on the benchmark's.", _beside(benchmark.beta), BENCHMARK_STILL),
    "correlation": Metric(
        "Correlation", "-", "Pearson correlation of daily returns with the benchmark's.", _beside(benchmark.correlation), BENCHMARK_STILL
    ),
    "tracking_error": Metric(
        "Tracking error",
        "fraction",
        "Standard deviation (ddof 1) of daily returns less the benchmark's, times sqrt(252).",
        _beside(lambda own, other: ratios.volatility_annual(own - other)),
        f"{NO_BENCHMARK}, or {TOO_FEW}",
    ),
    "information_ratio": Metric(
        "Information ratio",
        "-",
        "Sharpe ratio of daily returns less the benchmark's.",
        _beside(lambda own, other: _sharpe(own - other)),
        BENCHMARK_STILL,
    ),
    "up_capture": Metric(
        "Up capture",
        "-",
        "Compound annual return over the sessions in which the benchmark rose / the benchmark's over the same.",
        _beside(benchmark.up_capture),
        f"{NO_BENCHMARK}, or it never rose",
    ),
    "down_capture": Metric(
        "Down capture",
        "-",
        "Compound annual return over the sessions in which the benchmark fell / the benchmark's over the same.",
        _beside(benchmark.down_capture),
        f"{NO_BENCHMARK}, or it never fell",
    ),
    "total_costs": Metric(
        "Total costs",
        "USD",
        "Commission, fees, spread and impact paid after the first session, the entries of open positions included.",
        _total_costs,
    ),
    "costs_of_notional": Metric(
        "Costs of what was traded",
        "fraction",
        "Commission, fees, spread, impact and borrow of closed trades / what they bought and sold.",
        _costs_of_notional,
        NO_TRADE,
    ),
    "cost_drag": Metric(
        "Cost drag",
        "fraction",
        "Total costs / mean equity / calendar years.",
        lambda track: _a_year(track, _total_costs(track)),
        TOO_SHORT,
    ),
}
