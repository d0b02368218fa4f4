"""Every table of the lake, declared once: columns, dtypes, units, keys, and which column is event time and which knowledge time.

I/O, checks and docs read this registry. Feature columns come from `features/catalog.py`; how tables are stored is
`lake/store.py`'s business.
"""

from quant_assets.schemas.derived import DERIVED
from quant_assets.schemas.facts import FACTS
from quant_assets.schemas.logs import LOGS
from quant_assets.schemas.market import MARKET
from quant_assets.schemas.table import PROVENANCE, SESSION, TICKER, UTC, Column, Dtype, Table

__all__ = ["PROVENANCE", "SESSION", "TABLES", "TICKER", "UTC", "Column", "Dtype", "Table"]

TABLES: dict[str, Table] = {table.name: table for table in (*MARKET, *FACTS, *DERIVED, *LOGS)}
