"""How far softmax can move, what a margin does, and how many pieces ReLU makes."""

import sympy as sp

from theory.kernel import Cited, Entails, Identity
from theory.theorem import theorem

a, b, r, q, p, n, s, w = sp.symbols("a b r q p n s w", real=True)


@theorem(
    "L8",
    "Softmax moves by at most tanh of a quarter",
    r"""The total variation between the softmax of $s$ and of $s'$ is at most
    $\tanh(\mathrm{osc}(s-s')/4)$, $\mathrm{osc} = \max-\min$; attained for two keys.""",
    proof=r"""Total variation is the largest $|p(A)-p'(A)|$ over sets $A$ of keys, and
    $p(A)=1/(1+e^{-l})$ with the logarithm $l$ of the ratio of the sums over $A$ and over the
    rest. Changes of the scores in $[m,M]$ change the two sums by factors in $[e^m,e^M]$, and
    the ratio by at most $e^{M-m}$ (first step). With $l=u\pm h$, $\alpha=e^u$ and $\beta=e^h$
    the difference is $(\beta-1/\beta)/(\alpha+1/\alpha+\beta+1/\beta)$ (second step), which is
    largest at $\alpha+1/\alpha=2$ (third step), where it is $\tanh(h/2)$ (last step), with
    $2h=\mathrm{osc}$.""",
)
def l8():
    u, h = sp.symbols("u h", real=True)
    low, high, top, rest, new_top, new_rest = sp.symbols("e_m e_M A B A_1 B_1", real=True)

    def sigmoid(t: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-t))

    alpha, beta = sp.exp(u), sp.exp(h)
    spread = (beta - 1 / beta) / (alpha + 1 / alpha + beta + 1 / beta)
    return (
        Entails(
            (low > 0, high > 0, top > 0, rest > 0, new_top <= high * top, new_rest >= low * rest,
             sp.Eq(r * low, high)),
            new_top * rest <= r * top * new_rest,
        ),
        Identity(sigmoid(u + h) - sigmoid(u - h), spread),
        Entails((a > 0, sp.Eq(a * b, 1)), a + b >= 2),
        Identity(spread.subs(u, 0), sp.tanh(h / 2)),
    )  # fmt: skip


@theorem(
    "L9",
    "A margin concentrates attention",
    r"""If one of $n$ keys has a score larger by $\mu$ than every other, the weight off it is
    at most $(n-1)e^{-\mu}$.""",
    proof=r"""Each other weight is at most $q=e^{-\mu}$ times the top one $p\le1$; with one
    more of them the sum $s$ keeps its bound (first step), and $nqp\le nq$ (second step).""",
)
def l9():
    return (
        Entails((s <= n * q * p, w <= q * p), s + w <= (n + 1) * q * p),
        Entails((s <= n * q * p, p <= 1, n >= 0, q >= 0), s <= n * q),
    )


@theorem(
    "L10",
    "Pieces of a ReLU path",
    r"""Along a line, $L$ layers of $w$ ReLUs each, without attention, make at most $(w+1)^L$
    linear pieces.""",
    proof=r"""On a linear piece each of the $w$ units of the next layer changes its sign at
    most once, which cuts it into at most $w+1$; so the number of pieces grows by that factor
    (the step, with $P=(w+1)^k$).""",
)
def l10():
    pieces, more, bound = sp.symbols("N N_1 P", real=True)
    return (Entails((pieces <= bound, more <= pieces * (w + 1), w >= 0), more <= bound * (w + 1)),)


@theorem(
    "L11",
    "Analytic functions are close to polynomials",
    r"""If $f$ is analytic and $|f|\le M$ inside the Bernstein ellipse of parameter $\rho>1$,
    the polynomial of degree $n$ that interpolates it at Chebyshev points is within
    $4M\rho^{-n}/(\rho-1)$ of it on $[-1,1]$.""",
    proof=r"""Cited: coefficients of at most $2M\rho^{-k}$, and interpolation at most doubles
    the sum of those left out; the sum is geometric (step).""",
    source="Trefethen, Approximation Theory and Approximation Practice, 2013, chapter 8",
)
def l11():
    rho, k = sp.symbols("rho k", positive=True)
    big = sp.Symbol("M", positive=True)
    tail = 4 * big * rho**-k / (rho - 1)
    return (
        Identity(tail - tail.subs(k, k + 1), 4 * big * rho ** (-k - 1)),
        Cited("bounds of Chebyshev coefficients and of aliasing", "Trefethen 2013, chapter 8"),
    )
