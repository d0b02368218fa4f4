"""What following the scores would have earned: costs, the default trade, the rules that start it, accounts and their figures.

Scores come from `models/`, how good they are as forecasts is `validation/`'s business, drawing is `reporting/`'s.
"""

from quant_assets.backtest.costs import Costs
from quant_assets.backtest.metrics import Performance, performance
from quant_assets.backtest.run import BacktestTables, backtest, backtest_portfolio, backtest_tickers

__all__ = ["BacktestTables", "Costs", "Performance", "backtest", "backtest_portfolio", "backtest_tickers", "performance"]
