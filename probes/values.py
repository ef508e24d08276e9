"""Values of a target in float64, for training and plots. Nothing here is rigorous."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import sympy as sp

from theory.errors import BadRequest
from theory.functions import x

_MODULES = [{"erf": np.vectorize(math.erf, otypes=[float])}, "numpy"]


class Target(Protocol):
    """What training needs of a target; those of `theory.targets` have it.

    Attributes:
        name: what the user calls it.
        expression: SymPy, in `theory.functions.x`.
        domain: (lo, hi), lo < hi.
    """

    name: str
    expression: sp.Expr
    domain: tuple[float, float]


def values(target: Target, points: np.ndarray) -> np.ndarray:
    """The target's values.

    Args:
        target: one variable.
        points: float64, shape (n,).

    Returns:
        float64, shape (n,).

    Raises:
        BadRequest: the target is undefined, infinite or not real at a point.
    """
    with np.errstate(all="ignore"):
        found = sp.lambdify(x, target.expression, modules=_MODULES)(points)
    # A constant expression comes back as one number.
    found = np.broadcast_to(found, points.shape)
    bad = ~np.isfinite(found) | (np.imag(found) != 0)
    if bad.any():
        raise BadRequest(
            f"target {target.name} has no finite real value at x = {points[bad.argmax()]}; "
            "choose another domain with --domain LO HI"
        )
    return np.array(np.real(found), dtype=np.float64)


def refined(target: Target, points: np.ndarray, parts: int) -> np.ndarray:
    """Add midpoints where the target moves by more than its range / `parts` in one step.

    A uniform grid steps over what a root does near its branch point: cbrt moves by 0.08 on
    [0, 0.0005], and a smooth model cannot follow.

    Args:
        target: one variable.
        points: float64, shape (n,), ascending, n >= 2.
        parts: steps that would cover the target's range, at least 1.

    Returns:
        float64, shape (m,), n <= m <= 2 n, ascending, with all of `points`. Where that is too
        few, as for sin(10^6 x), the steps stay larger.
    """
    heights = values(target, points)
    most = 2 * len(points)
    # Thirty halvings take one step of the grid to 1e-9 of itself, enough for a jump too.
    for _ in range(30):
        steep = np.abs(np.diff(heights)) > np.ptp(heights) / parts
        if not steep.any() or len(points) + steep.sum() > most:
            break
        middle = (points[:-1][steep] + points[1:][steep]) / 2
        merged = np.concatenate([points, middle])
        order = np.argsort(merged, kind="stable")
        points = merged[order]
        heights = np.concatenate([heights, values(target, middle)])[order]
    return points
