"""Tables of prices and quotes, as vendors deliver them."""

from __future__ import annotations

import polars as pl

from quant_assets.schemas.table import PROVENANCE, SESSION, TICKER, UTC, Column, Table, usd

MARKET = (
    Table(
        "prices",
        "history",
        "Daily bars as traded: raw prices and the corporate actions that adjust them.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            usd("open", "raw opening price; null where the source has none"),
            usd("high", "raw high; null where the source has none"),
            usd("low", "raw low; null where the source has none"),
            usd("close", "raw close, or the vendor's adjusted close where price_basis says so", nullable=False),
            Column("volume", pl.Float64, "shares", "raw shares traded; null where the source has none"),
            Column(
                "price_basis", pl.String, "-", "raw: as traded; adjusted: level shifted by later actions, only returns mean anything", False
            ),
            Column("split_factor", pl.Float64, "shares per old share", "takes effect at this session's open; 1 without a split", False),
            Column("dividend", pl.Float64, "USD per share", "ex-dividend at this session's open; 0 without one", False),
            Column("inferred", pl.Boolean, "-", "the corporate action was inferred from changes of adjusted/raw close", False),
            *PROVENANCE,
        ),
        known_time="known_at",
    ),
    Table(
        "index_prices",
        "year",
        "Daily bars of market indices.",
        ("series", "session"),
        (
            Column("series", pl.String, "-", "index name: sp500, nasdaq", nullable=False),
            SESSION,
            usd("open", "index points at the open"),
            usd("high", "index points"),
            usd("low", "index points"),
            usd("close", "index points at the close", nullable=False),
            Column("volume", pl.Float64, "shares", "shares traded in the index's members"),
            *PROVENANCE,
        ),
        known_time="known_at",
    ),
    Table(
        "option_chain",
        "decision",
        "Option contracts as they were quoted, one snapshot a session.",
        ("ticker", "session", "expiry", "strike", "right"),
        (
            TICKER,
            SESSION,
            Column("expiry", pl.Date, "date", "last day the contract can be exercised", nullable=False),
            usd("strike", "as printed on the contract of that session", nullable=False),
            Column("right", pl.String, "-", "call or put", nullable=False),
            Column("contract", pl.String, "-", "OCC symbol: root, expiry, right and strike; null where the source has none"),
            Column(
                "multiplier", pl.Float64, "shares per contract", "100 unless the contract was adjusted; null where the source is silent"
            ),
            usd("bid", "per share; null without a bid"),
            usd("ask", "per share; null without an offer"),
            Column("bid_size", pl.Float64, "contracts", "size of the bid"),
            Column("ask_size", pl.Float64, "contracts", "size of the offer"),
            usd("last", "price of the last trade, whenever that was"),
            Column("last_at", UTC, "UTC", "when that was"),
            Column("volume", pl.Float64, "contracts", "traded in the session so far"),
            Column("open_interest", pl.Float64, "contracts", "open at the end of the session before"),
            usd("underlying", "raw price of the share when the chain was quoted"),
            Column("vendor_implied_volatility", pl.Float64, "fraction a year", "as the vendor computes it, by rules of its own"),
            Column("vendor_delta", pl.Float64, "USD per USD", "as the vendor computes it"),
            Column("vendor_gamma", pl.Float64, "1 / USD", "as the vendor computes it"),
            Column("vendor_theta", pl.Float64, "as the vendor", "as the vendor computes it"),
            Column("vendor_vega", pl.Float64, "as the vendor", "as the vendor computes it"),
            *PROVENANCE,
        ),
        known_time="known_at",
    ),
    Table(
        "quotes",
        "decision",
        "The newest trade and quote of a share, with its session so far.",
        ("ticker", "session"),
        (
            TICKER,
            SESSION,
            usd("last", "price of the last trade"),
            Column("last_size", pl.Float64, "shares", "its size"),
            Column("last_at", UTC, "UTC", "when it was"),
            usd("bid", "best bid"),
            usd("ask", "best offer"),
            Column("bid_size", pl.Float64, "shares", "size of the bid"),
            Column("ask_size", pl.Float64, "shares", "size of the offer"),
            Column("quoted_at", UTC, "UTC", "when both stood"),
            usd("open", "of the session"),
            usd("high", "of the session so far"),
            usd("low", "of the session so far"),
            Column("volume", pl.Float64, "shares", "of the session so far"),
            usd("vwap", "volume-weighted average price of the session so far"),
            usd("previous_close", "of the session before, as the vendor adjusts it"),
            *PROVENANCE,
        ),
        known_time="known_at",
    ),
)
