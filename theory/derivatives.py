"""Derivatives of expressions in `x`, for derivatives of whole networks.

Where an expression is not differentiable but continuous, as max is where its sides meet, the
result is a number between the slopes of both sides. That suffices: a continuous function that is
smooth except at finitely many points has all its difference quotients between the least and the
greatest of its derivatives elsewhere.
"""

from __future__ import annotations

from functools import cache

import sympy as sp

from theory.functions import FUNCTIONS, Function, x


class _SignedPower(sp.Function):
    """sign(u) |u|^q with q > 0: continuous, which SymPy does not see of its factors."""

    nargs = 2

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        u, q = self.args
        return q * sp.Abs(u) ** (q - 1)


@cache
def derivative(expression: sp.Expr) -> sp.Expr:
    """The derivative of an expression in `x`.

    Raises:
        TypeError: the expression jumps somewhere, as sign(x) does.
    """
    slope = expression.replace(lambda e: e.is_Mul, _packed).diff(x)
    slope = slope.replace(sp.Heaviside, lambda u, *_: (1 + sp.sign(u)) / 2)
    slope = slope.replace(_SignedPower, lambda u, q: sp.sign(u) * sp.Abs(u) ** q)
    if slope.has(sp.DiracDelta, sp.Derivative, sp.Subs):
        raise TypeError(f"{expression} has no derivative everywhere, nor slopes on both sides")
    return slope


def _packed(product: sp.Expr) -> sp.Expr:
    for sign in product.args:
        for power in product.args:
            base, exponent = power.as_base_exp()
            if (
                isinstance(sign, sp.sign)
                and base == sp.Abs(sign.args[0])
                and exponent.is_Rational
                and exponent > 0
            ):
                rest = product.func(*(p for p in product.args if p not in (sign, power)))
                return rest * _SignedPower(sign.args[0], exponent)
    return product


@cache
def derived(function: Function) -> tuple[sp.Rational, Function]:
    """(c, g) with f' = c g: g is a registered function where there is one.

    Raises:
        TypeError: the function jumps somewhere.
    """
    factor, rest = derivative(function.expression).as_coeff_Mul(rational=True)
    for known in FUNCTIONS.values():
        if known.expression == rest:
            return factor, known
    return factor, Function(function.name + "'", rest)
