"""Steps of two tables run side by side: no pool keeps them apart, the wire holds the vendor's rate for both.

Each has a wire of its own here, as each step's process has; that processes share a folder's rate is tested in `wire/test_limits.py`.
"""

from __future__ import annotations

from pathlib import Path

from quant_assets.calendars import year_window
from quant_assets.sources.wire.wire import Wire
from quant_assets.sources.yahoo import YahooIndices, YahooPrices
from quant_assets_tests.replay import Asked, Reply, replaying
from quant_assets_tests.replay_yahoo import INDICES, Yahoo, index_history
from quant_assets_tests.sources.wire.test_limits import worst_second
from quant_assets_tests.sources.wire.ways import At


class Standing(At):
    """Only waiting takes time."""

    def monotonic(self) -> float:
        return self.ahead


def test_prices_and_indices_share_what_yahoo_stands(tmp_path: Path):
    indices = {symbol: index_history(symbol) for symbol in INDICES}
    names, clock, year, arrivals = ["AAPL", "IBM", "KO"], Standing("2015-03-02T18:00"), year_window(2012), []
    yahoo = Yahoo(indices | dict.fromkeys(names, indices["^GSPC"]), as_at=clock.now().date())

    def answer(asked: Asked) -> Reply:
        arrivals.append(clock.monotonic())
        return yahoo(asked)

    with replaying(answer) as server:
        wires = [Wire(tmp_path, base_urls={"yahoo": server.url}, clock=clock) for _ in range(2)]
        prices, index_prices = YahooPrices(wires[0]), YahooIndices(wires[1])
        assert len(prices.fetch(names, year)) > 750
        assert len(index_prices.fetch(list(index_prices.offers()), year)) >= 500
        for wire in wires:
            wire.store.close()
    assert [(rate.limit, rate.seconds) for rate in prices.policy.rates] == [(2, 1.0), (60, 60.0)]
    assert len(arrivals) == 5
    assert worst_second(arrivals) == 2
