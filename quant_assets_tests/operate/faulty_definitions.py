"""The product's definitions with faults that a test switches on by files in the home: an outage of a vendor, a step that takes its time.

`<home>/faults/outage`: the vendor of prices does not answer. `<home>/faults/slow`: seconds that the step of prices waits before it writes.
"""

from __future__ import annotations

import time
from typing import Any

from quant_assets.definitions import build_defs
from quant_assets.defs import step_asset
from quant_assets.errors import SourceUnavailable
from quant_assets.settings import Settings
from quant_assets.sources.bokeh_stocks import BokehStocks
from quant_assets.steps import history

FAULTS = Settings.load().home / "faults"
fetch, store = BokehStocks.fetch, history.store_prices


def fault(name: str) -> str | None:
    """What the test wrote into the file; None without one, which may go at any moment."""
    try:
        return (FAULTS / name).read_text()
    except FileNotFoundError:
        return None


def fetch_or_not(self: BokehStocks, *args: Any, **kwargs: Any) -> Any:
    if fault("outage") is not None:
        raise SourceUnavailable("bokeh answers 503 Service Unavailable", remedy="try again later")
    return fetch(self, *args, **kwargs)


def store_slowly(*args: Any, **kwargs: Any) -> Any:
    if seconds := fault("slow"):
        time.sleep(float(seconds))
    return store(*args, **kwargs)


BokehStocks.fetch = fetch_or_not  # type: ignore[method-assign]
history.store_prices = store_slowly
step_asset.RETRIES = step_asset.RETRIES._replace(delay=0.2, max_retries=1)
defs = build_defs()
