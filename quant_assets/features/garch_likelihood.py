"""Maximum likelihood of GARCH(1,1), compiled. What is fitted when, and what a fit means, is said in `garch.py`, which alone imports this.

    v_1 = omega + (alpha + beta) v_0,    v_t = omega + alpha e_{t-1}^2 + beta v_{t-1},    e_t ~ N(0, v_t)

Squares come divided by their mean, so omega is a fraction of the mean square. What is minimised is the mean of ln v_t + e_t^2 / v_t.
One file holds it all, as the cache of compiled functions does not notice that a function of another file was changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])
Floats = NDArray[np.float64]
# No fastmath: the same bits for the same returns. A division by 0 gives infinity, which no step is taken to, and not an exception.
compiled: Callable[[F], F] = numba.njit(cache=True, nogil=True, error_model="numpy")

LEAST_OMEGA = 1e-8
"""Below it a variance could reach 0 and the likelihood infinity; the bound of the package arch too."""
STEPS = 100
CLOSE_BY = 1e-7
"""Half the squared Newton step, in units of the objective, at which a start has shown what it leads to."""
THERE = 1e-12
NO_ROOM = 1e-15
NEVER_MOVED = 1e-6
"""Fitted variance over the mean square below which a window stood still so long that its likelihood grows without end."""
SAME = 1e-12
"""Log returns nearer to each other than this are the same return, rounded."""
DECAY, BACKCAST = 0.94, 75
ALPHAS = np.array([0.01, 0.05, 0.1, 0.2])
PERSISTENCES = np.array([0.5, 0.7, 0.9, 0.98])


@compiled
def derivatives(squares: Floats, before: float, x: Floats, gradient: Floats, hessian: Floats, fisher: Floats) -> float:
    """Objective at x = (omega, alpha, beta); writes its (3,) gradient, (3, 3) Hessian and (3, 3) Fisher information."""
    omega, alpha, beta = x[0], x[1], x[2]
    square = variance = before
    d0 = d1 = d2 = 0.0  # of the variance, by omega, alpha, beta
    h02 = h12 = h22 = 0.0
    total = 0.0
    product = 1.0
    g0 = g1 = g2 = 0.0
    f00 = f01 = f02 = f11 = f12 = f22 = 0.0
    s00 = s01 = s02 = s11 = s12 = s22 = 0.0
    n = squares.shape[0]
    for t in range(n):
        h22 = 2 * d2 + beta * h22
        h02 = d0 + beta * h02
        h12 = d1 + beta * h12
        d0 = 1.0 + beta * d0
        d1 = square + beta * d1
        d2 = variance + beta * d2
        variance = omega + alpha * square + beta * variance
        square = squares[t]
        inverse = 1.0 / variance
        ratio = square * inverse
        total += ratio
        product *= variance
        if t % 16 == 15:  # one logarithm for sixteen variances between 1e-8 and 1e8 or so
            total += math.log(product)
            product = 1.0
        first = inverse * (1.0 - ratio)
        weight = inverse * inverse
        second = weight * (2.0 * ratio - 1.0)
        g0 += first * d0
        g1 += first * d1
        g2 += first * d2
        p00, p01, p02, p11, p12, p22 = d0 * d0, d0 * d1, d0 * d2, d1 * d1, d1 * d2, d2 * d2
        f00 += weight * p00
        f01 += weight * p01
        f02 += weight * p02
        f11 += weight * p11
        f12 += weight * p12
        f22 += weight * p22
        s00 += second * p00
        s01 += second * p01
        s02 += second * p02 + first * h02
        s11 += second * p11
        s12 += second * p12 + first * h12
        s22 += second * p22 + first * h22
    total += math.log(product)
    gradient[0], gradient[1], gradient[2] = g0 / n, g1 / n, g2 / n
    hessian[0, 0], hessian[0, 1], hessian[0, 2], hessian[1, 1], hessian[1, 2], hessian[2, 2] = (
        s00 / n,
        s01 / n,
        s02 / n,
        s11 / n,
        s12 / n,
        s22 / n,
    )
    fisher[0, 0], fisher[0, 1], fisher[0, 2], fisher[1, 1], fisher[1, 2], fisher[2, 2] = (
        f00 / n,
        f01 / n,
        f02 / n,
        f11 / n,
        f12 / n,
        f22 / n,
    )
    for i in range(3):
        for j in range(i):
            hessian[i, j], fisher[i, j] = hessian[j, i], fisher[j, i]
    return float(total / n)


@compiled
def grid_start(squares: Floats, before: float) -> tuple[float, float]:
    """(alpha, alpha + beta) of the sixteen grid points with the greatest likelihood, where omega = 1 - alpha - beta."""
    variance, total, product = np.empty(16), np.zeros(16), np.ones(16)
    omega, alpha, beta = np.empty(16), np.empty(16), np.empty(16)
    for k in range(16):
        alpha[k], omega[k] = ALPHAS[k % 4], 1.0 - PERSISTENCES[k // 4]
        beta[k] = PERSISTENCES[k // 4] - alpha[k]
        variance[k] = before
    square = before
    for t in range(squares.shape[0]):
        now = squares[t]
        for k in range(16):
            value = omega[k] + alpha[k] * square + beta[k] * variance[k]
            variance[k] = value
            product[k] *= value
            total[k] += now / value
        square = now
        if t % 16 == 15:
            for k in range(16):
                total[k] += math.log(product[k])
                product[k] = 1.0
    best = 0
    for k in range(16):
        total[k] += math.log(product[k])
        if total[k] < total[best]:
            best = k
    return alpha[best], alpha[best] + beta[best]


@compiled
def solved(matrix: Floats, right: Floats, size: int, out: Floats) -> bool:
    """Solve matrix @ out = right of the leading `size` by Cholesky; False where the matrix is not positive definite."""
    lower = np.zeros((3, 3))
    for j in range(size):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= lower[j, k] * lower[j, k]
        if not pivot > 1e-13 * abs(matrix[j, j]):
            return False
        lower[j, j] = math.sqrt(pivot)
        for i in range(j + 1, size):
            value = matrix[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = value / lower[j, j]
    for i in range(size):
        value = right[i]
        for k in range(i):
            value -= lower[i, k] * out[k]
        out[i] = value / lower[i, i]
    for i in range(size - 1, -1, -1):
        value = out[i]
        for k in range(i + 1, size):
            value -= lower[k, i] * out[k]
        out[i] = value / lower[i, i]
    return True


@compiled
def face(bound: NDArray[np.bool_], basis: Floats) -> int:
    """Directions along which no active bound changes, as columns of `basis`; how many there are."""
    basis[:] = 0.0
    size = 0
    if not bound[0]:
        basis[0, size] = 1.0
        size += 1
    if bound[3]:
        if not bound[1] and not bound[2]:
            basis[1, size], basis[2, size] = 1.0, -1.0
            size += 1
    else:
        for i in (1, 2):
            if not bound[i]:
                basis[i, size] = 1.0
                size += 1
    return size


@compiled
def leaving(gradient: Floats, bound: NDArray[np.bool_]) -> int:
    """The active bound that the objective falls fastest away from; -1 where it falls from none."""
    push = np.zeros(4)  # Lagrange multipliers of omega, alpha, beta >= least and alpha + beta <= 1
    push[0] = gradient[0]
    if bound[3]:
        if bound[1]:
            push[3], push[1] = -gradient[2], gradient[1] - gradient[2]
        elif bound[2]:
            push[3], push[2] = -gradient[1], gradient[2] - gradient[1]
        else:
            push[3] = -0.5 * (gradient[1] + gradient[2])
    else:
        push[1], push[2] = gradient[1], gradient[2]
    worst, found = -1e-10, -1
    for i in range(4):
        if bound[i] and push[i] < worst:
            worst, found = push[i], i
    return found


@compiled
def project(matrix: Floats, basis: Floats, size: int, out: Floats) -> None:
    """Write basis' @ matrix @ basis of the first `size` directions to out."""
    for i in range(size):
        for j in range(size):
            total = 0.0
            for k in range(3):
                for m in range(3):
                    total += basis[k, i] * matrix[k, m] * basis[m, j]
            out[i, j] = total


@compiled
def minimised(squares: Floats, before: float, x: Floats, exactly: bool) -> tuple[float, bool]:
    """Objective at the constrained minimum reached from x, which it overwrites, and whether it is one: near it, or to rounding `exactly`.

    Newton on the face of the active bounds, Fisher scoring where the curvature is not that of a minimum, steps halved until the
    objective falls.
    """
    gradient, hessian, fisher = np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3))
    basis, reduced, slope, along, step, trial = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    bound = np.zeros(4, dtype=np.bool_)  # omega, alpha, beta at their least, alpha + beta at 1
    if exactly:
        bound[0], bound[1], bound[2], bound[3] = x[0] <= LEAST_OMEGA, x[1] <= 0.0, x[2] <= 0.0, x[1] + x[2] >= 1.0 - NO_ROOM
    value = derivatives(squares, before, x, gradient, hessian, fisher)
    polished, stretch = False, 1.0
    for _ in range(STEPS):
        size = face(bound, basis)
        for i in range(size):
            slope[i] = 0.0
            for k in range(3):
                slope[i] -= basis[k, i] * gradient[k]
        convex = True
        project(hessian, basis, size, reduced)
        if not solved(reduced, slope, size, along):
            convex = False
            project(fisher, basis, size, reduced)
            for i in range(size):
                reduced[i, i] *= 1.0 + 1e-9
            if not solved(reduced, slope, size, along):
                return value, False
        decrement = 0.0
        for i in range(size):
            decrement += along[i] * slope[i]
        if convex and not exactly and decrement < CLOSE_BY and leaving(gradient, bound) < 0:
            return value, True
        if convex and decrement < THERE and (polished or size == 0):
            release = leaving(gradient, bound)
            if release < 0:
                return value, True
            bound[release] = False
            polished = False
            continue
        polished = convex and decrement < THERE  # one more full step: where convergence is quadratic it leaves rounding only
        for k in range(3):
            step[k] = 0.0
            for i in range(size):
                step[k] += basis[k, i] * along[i]
        length, hit, blocked = 1.0 if convex else stretch, -1, False
        for i in range(4):
            if bound[i]:
                continue
            room = (x[i] - (LEAST_OMEGA if i == 0 else 0.0)) if i < 3 else 1.0 - x[1] - x[2]
            speed = -step[i] if i < 3 else step[1] + step[2]
            if speed > 0.0 and room < length * speed:
                length, hit = max(room, 0.0) / speed, i
                blocked = room <= NO_ROOM
        if hit >= 0 and blocked:
            bound[hit] = True
            polished = False
            continue
        for _ in range(40):
            for k in range(3):
                trial[k] = x[k] + length * step[k]
            if hit == 0:
                trial[0] = LEAST_OMEGA
            elif hit == 3:
                trial[2] = 1.0 - trial[1]
            elif hit > 0:
                trial[hit] = 0.0
            after = derivatives(squares, before, trial, gradient, hessian, fisher)
            if after <= value - 1e-4 * length * decrement or (polished and after <= value + 1e-12):
                break
            length *= 0.5
            hit = -1
            stretch = 1.0
        else:
            return value, False
        if not convex:  # along a ridge the information says little of how far to go: twice as far each time until that is too far
            stretch *= 2.0
        x[:] = trial
        value = after
        if hit >= 0:
            bound[hit] = True
            polished = False
    return value, False


@compiled
def fitted(squares: Floats, before: float, x: Floats) -> bool:
    """Write the most likely (omega, alpha, beta) of scaled squares to x; False where no maximum was reached.

    The likelihood has more than one maximum in a third of real windows, so that four starts race: the best point of a grid, a variance
    that hardly reacts, one without memory, and one below its mean. On 2,152 windows they found the best of 55 others in all but 2.
    """
    alpha, persistence = grid_start(squares, before)
    starts = np.array([[1.0 - persistence, alpha, persistence - alpha], [0.01, 0.0, 0.99], [0.8, 0.2, 0.0], [0.005, 0.02, 0.97]])
    best = math.inf
    for k in range(starts.shape[0]):
        value, _ = minimised(squares, before, starts[k], False)
        if value < best:
            best = value
            x[:] = starts[k]
    return minimised(squares, before, x, True)[1]


@compiled
def fit(past: Floats, x: Floats) -> tuple[float, float, bool]:
    """Mean square of the log returns, variance over it of the session after them, and whether there is a fit, which is written to x.

    The variance before the first is the mean of the first 75 squares weighted 0.94^i, the backcast of the package arch.
    """
    scale = float(np.mean(past * past))
    if not math.isfinite(scale) or float(np.max(past) - np.min(past)) <= SAME:
        return scale, math.nan, False
    squares = past * past / scale
    weighted = weights = 0.0
    weight = 1.0
    for i in range(min(BACKCAST, squares.shape[0])):
        weighted += weight * squares[i]
        weights += weight
        weight *= DECAY
    square = variance = weighted / weights
    if not fitted(squares, variance, x):
        return scale, math.nan, False
    lowest = math.inf
    for i in range(squares.shape[0]):
        variance = x[0] + x[1] * square + x[2] * variance
        square = squares[i]
        lowest = min(lowest, variance)
    return scale, x[0] + x[1] * square + x[2] * variance, lowest > NEVER_MOVED


@compiled
def forecasts(returns: Floats, months: NDArray[np.int32], window: int, first: int, out: Floats) -> None:
    """Write the variance of the session after each bar from bar `first` on; bars without a fit are left as they are.

    returns : (n_bars,) log returns. months : (n_bars,) a number that changes with the month. The fit of a month reads the `window` returns
    before the month's first bar.
    """
    x = np.zeros(3)
    start, fits, scale, variance = 0, False, 0.0, 0.0
    for t in range(1, returns.shape[0]):
        if months[t] != months[t - 1]:
            start = t
        if t < first or start <= window:
            continue
        if t in (first, start):
            scale, variance, fits = fit(returns[start - window : start], x)
            for i in range(start, t if fits else start):
                variance = x[0] + x[1] * returns[i] * returns[i] / scale + x[2] * variance
        if fits:
            variance = x[0] + x[1] * returns[t] * returns[t] / scale + x[2] * variance
            out[t] = variance * scale
