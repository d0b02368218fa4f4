"""What following decisions would have earned: orders and what they cost, strategies, the default trade, accounts and their figures.

Scores come from `models/`, how good they are as forecasts is `validation/`'s business, drawing is `reporting/`'s.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quant_assets.backtest.blind import prove_blind
    from quant_assets.backtest.costs import US_STOCKS, Costs
    from quant_assets.backtest.engine import Limits, Result
    from quant_assets.backtest.metrics import measure
    from quant_assets.backtest.orders import Order
    from quant_assets.backtest.run import backtest
    from quant_assets.backtest.strategy import Past, trade
    from quant_assets.backtest.tape import Tape
    from quant_assets.backtest.track import Track

_PLACES = {
    "prove_blind": "blind",
    "US_STOCKS": "costs",
    "Costs": "costs",
    "Limits": "engine",
    "Result": "engine",
    "measure": "metrics",
    "Order": "orders",
    "backtest": "run",
    "Past": "strategy",
    "trade": "strategy",
    "Tape": "tape",
    "Track": "track",
}
__all__ = [
    "US_STOCKS", "Costs", "Limits", "Order", "Past", "Result", "Tape", "Track", "backtest", "measure", "prove_blind", "trade",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # The compiler takes a second to import, and whoever reads figures needs none.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
