"""The standard error of a mean whose observations depend on their neighbours. Resampling in blocks is `bootstrap.py`'s business."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def lags(n: int, *, horizon: int = 1) -> int:
    """How many lags to weigh for n observations of which those less than `horizon` apart overlap.

    max(horizon - 1, floor(4 (n / 100)^(2/9))): all lags at which overlap alone correlates them, and not fewer than the usual rule for the
    Bartlett kernel (Newey and West 1994, Automatic lag selection in covariance matrix estimation; Bali, Engle and Murray 2016, ch. 1).
    """
    return max(horizon - 1, math.floor(4 * math.pow(n / 100, 2 / 9)))


def standard_error(series: npt.NDArray[np.float64], lag: int) -> float | None:
    """Of the mean of a series in the order of time, (n,); None unless there are more than `lag` + 1 observations.

    Newey and West (1987), A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent covariance matrix, eq. 5:
    autocovariances up to `lag` with the Bartlett weights 1 - l / (lag + 1). Times n / (n - 1), so that at lag 0 it is the standard
    deviation (ddof 1) / sqrt(n); statsmodels' OLS on a constant with `cov_type="HAC"` and `use_correction=True`.
    """
    n = series.size
    if n <= lag + 1:
        return None
    deviation = series - series.mean()
    covariances = [float(deviation[step:] @ deviation[: n - step]) / n for step in range(lag + 1)]
    weights = [1.0, *(2 * (1 - step / (lag + 1)) for step in range(1, lag + 1))]
    variance = sum(weight * covariance for weight, covariance in zip(weights, covariances, strict=True))
    return math.sqrt(max(variance, 0.0) / (n - 1))
