"""For fredapi, which asks with a module-wide `urlopen`: its one method that does so is replaced, in this class only."""

from __future__ import annotations

from xml.etree import ElementTree

import fredapi

from quant_assets.sources.wire.over_httpx import Client
from quant_assets.sources.wire.policy import Policy
from quant_assets.sources.wire.wire import Wire


class Fred(fredapi.Fred):  # type: ignore[misc]  # fredapi has no types
    """fredapi's client; whatever it asks goes through the wire."""

    def __init__(self, wire: Wire, policy: Policy, api_key: str) -> None:
        self.api_key = api_key  # fredapi's own constructor would set a proxy for the whole process
        self._client = Client(wire, policy)

    def close(self) -> None:
        self._client.close()

    def _Fred__fetch_data(self, url: str) -> ElementTree.Element:  # noqa: N802
        return ElementTree.fromstring(self._client.get(f"{url}&api_key={self.api_key}").body)
