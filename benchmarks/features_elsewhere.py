"""The features of `features.py` as users of other packages compute them, in an environment that has those packages. Started by it.

Run by hand as `python benchmarks/features_elsewhere.py ta BARS.parquet` in an environment with pandas and ta (or pyqlib, or TA-Lib); prints
one JSON document: seconds and columns.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def with_ta(bars: pd.DataFrame) -> tuple[float, int]:
    """Every indicator of package ta, name by name."""
    import ta

    begun = time.perf_counter()
    parts = [
        ta.add_all_ta_features(one.copy(), open="open", high="high", low="low", close="close", volume="volume", fillna=False)
        for _, one in bars.groupby("ticker", sort=False)
    ]
    whole = pd.concat(parts)
    return time.perf_counter() - begun, whole.shape[1] - bars.shape[1]


def with_talib(bars: pd.DataFrame) -> tuple[float, int]:
    """Sixty columns of TA-Lib and pandas, name by name."""
    import talib

    begun = time.perf_counter()
    parts = []
    for _, one in bars.groupby("ticker", sort=False):
        high, low, close, volume = (one[name].to_numpy() for name in ("high", "low", "close", "volume"))
        found: dict[str, Any] = {f"ema_{n}": close / talib.EMA(close, n) - 1 for n in (9, 21, 50, 200)}
        found |= {f"sma_{n}": close / talib.SMA(close, n) - 1 for n in (20, 50)}
        found |= {f"roc_{n}": talib.ROC(close, n) for n in (1, 5, 10, 20, 60)}
        returns = one["close"].pct_change()
        for n in (5, 10, 20, 60):
            found |= {f"vol_{n}": returns.rolling(n).std(), f"max_{n}": talib.MAX(high, n), f"min_{n}": talib.MIN(low, n)}
            found |= {f"volume_{n}": one["volume"] / one["volume"].rolling(n).mean(), f"skew_{n}": returns.rolling(n).skew()}
        for n in (10, 20, 60):
            found |= {f"slope_{n}": talib.LINEARREG_SLOPE(close, n), f"correl_{n}": talib.CORREL(close, volume, n)}
        for n in (10, 14):
            found |= {
                f"rsi_{n}": talib.RSI(close, n),
                f"atr_{n}": talib.ATR(high, low, close, n),
                f"adx_{n}": talib.ADX(high, low, close, n),
            }
            found |= {f"cci_{n}": talib.CCI(high, low, close, n), f"mfi_{n}": talib.MFI(high, low, close, volume, n)}
            found |= {f"willr_{n}": talib.WILLR(high, low, close, n)}
        macd, signal, histogram = talib.MACD(close)
        upper, middle, lower = talib.BBANDS(close, 20)
        found |= {"macd": macd, "signal": signal, "histogram": histogram, "position": (close - lower) / (upper - lower)}
        found |= {"width": (upper - lower) / middle, "obv": talib.OBV(close, volume), "ad": talib.AD(high, low, close, volume)}
        found |= {"sar": talib.SAR(high, low), "ultosc": talib.ULTOSC(high, low, close)}
        k, d = talib.STOCH(high, low, close)
        up, down = talib.AROON(high, low, 25)
        found |= {"k": k, "d": d, "aroon_up": up, "aroon_down": down}
        parts.append(pd.DataFrame(found, index=one.index))
    whole = pd.concat(parts)
    return time.perf_counter() - begun, whole.shape[1]


def with_qlib(bars: pd.DataFrame) -> tuple[float, int]:
    """qlib's Alpha158 out of its own files, which are written first and not timed."""
    import qlib
    from qlib.contrib.data.loader import Alpha158DL
    from qlib.data import D

    with tempfile.TemporaryDirectory() as folder:
        days = pd.DatetimeIndex(sorted(bars["session"].unique()))
        _write_qlib(bars, days, Path(folder))
        qlib.init(provider_uri=folder, region="us", expression_cache=None, dataset_cache=None)
        expressions, _ = Alpha158DL.get_feature_config()
        kept = [one for one in expressions if "$vwap" not in one]  # the bars have none
        begun = time.perf_counter()
        whole = D.features(D.instruments("all"), kept, str(days[0].date()), str(days[-1].date()))
        return time.perf_counter() - begun, whole.shape[1]


def _write_qlib(bars: pd.DataFrame, days: pd.DatetimeIndex, folder: Path) -> None:
    (folder / "calendars").mkdir()
    (folder / "instruments").mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(str(day.date()) for day in days) + "\n")
    place, lines = pd.Series(np.arange(len(days)), index=days), []
    for ticker, one in bars.groupby("ticker"):
        dated = one.set_index(pd.DatetimeIndex(one["session"]))
        mine = dated.reindex(days[place[dated.index[0]] : place[dated.index[-1]] + 1])
        lines.append(f"{ticker}\t{mine.index[0].date()}\t{mine.index[-1].date()}")
        target = folder / "features" / str(ticker).lower()
        target.mkdir(parents=True)
        for field in ("open", "high", "low", "close", "volume"):
            values = np.concatenate([[place[mine.index[0]]], mine[field].to_numpy()]).astype("<f4")
            values.tofile(target / f"{field}.day.bin")
    (folder / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")


WAYS = {"ta": with_ta, "talib": with_talib, "qlib": with_qlib}

if __name__ == "__main__":
    way, file = sys.argv[1:]
    seconds, columns = WAYS[way](pd.read_parquet(file))
    print(json.dumps({"seconds": seconds, "columns": columns}))
