"""The rules by which enclosures move through the primitives, as inequalities."""

import sympy as sp

from theory.functions import x
from theory.kernel import Cited, Entails, Identity, Integral
from theory.theorem import theorem

p, q, r, s, d, e, t, k = sp.symbols("p q r s d e t k", real=True)
lo, hi, v, slope = sp.symbols("lo hi v s", real=True)


@theorem(
    "E1",
    "Products of Taylor models",
    r"""$|(p+d)(q+e)-pq| \le |p|s+r|q|+rs$ for $|d|\le r$, $|e|\le s$.""",
    proof="Expand; each term is bounded by its factors' bounds.",
)
def e1():
    big_p, big_q = sp.symbols("P Q", real=True)
    return (
        Identity((p + d) * (q + e) - p * q, p * e + d * q + d * e),
        Entails(
            (sp.Abs(d) <= r, sp.Abs(e) <= s, sp.Abs(p) <= big_p, sp.Abs(q) <= big_q),
            sp.Abs((p + d) * (q + e) - p * q) <= big_p * s + r * big_q + r * s,
        ),
    )


@theorem(
    "E2",
    "Errors of an affine map",
    r"""If $|d_j|\le r_j$, then $|\sum w_jd_j| \le \sum|w_j|r_j$.""",
    proof="One more term adds at most $|w|r$ to both sides.",
)
def e2():
    w, sum_d, sum_r = sp.symbols("w D R", real=True)
    return (
        Entails(
            (sp.Abs(sum_d) <= sum_r, sp.Abs(d) <= r),
            sp.Abs(sum_d + w * d) <= sum_r + sp.Abs(w) * r,
        ),
    )  # fmt: skip


@theorem(
    "E3",
    "A chord over a kink",
    r"""For $lo<0<hi$, $s=hi/(hi-lo)$: $0\le s(v-lo)-\max(v,0)\le -s\,lo$ on $[lo,hi]$.""",
    proof=r"""$\max(v,0)$ is convex, so it lies below its chord; the distance is largest at the
    kink.""",
)
def e3():
    inside = (lo < 0, hi > 0, sp.Eq(slope * (hi - lo), hi))
    gap = slope * (v - lo) - sp.Max(v, 0)
    return (
        Entails((*inside, lo <= v, v <= hi), gap >= 0),
        Entails(inside, gap <= -slope * lo),
    )


@theorem(
    "E4",
    "Taylor's theorem",
    r"""$f(t)=\sum_{k\le K}f^{(k)}(0)t^k/k!+f^{(K+1)}(\xi)t^{K+1}/(K+1)!$ with $\xi$ between 0
    and $t$, for $f$ with $K+1$ continuous derivatives.""",
    proof=r"""Cited. The step checks the integral form of the remainder for $f=e^{ct}$, $K=2$.""",
    source="any textbook of analysis, such as Apostol, Mathematical Analysis, 2nd ed., 1974",
)
def e4():
    c, u = sp.symbols("c u", positive=True)
    kernel = c**3 * sp.exp(c * x) * (u - x) ** 2 / 2
    remainder = sp.exp(c * u) - 1 - c * u - c**2 * u**2 / 2
    return (
        Integral(kernel, x, (0, u), remainder),
        Cited("Taylor's theorem with Lagrange's remainder", "Apostol 1974"),
    )


@theorem(
    "E5",
    "Rounding of a sum of products",
    r"""In floating point with unit roundoff $u$, $|fl(x\cdot y)-x\cdot y| \le
    \gamma_n|x|\cdot|y|$ with $\gamma_n=nu/(1-nu)$, in any order of summation, for $nu<1$ and
    without underflow or overflow.""",
    proof=r"""Each term carries at most $n$ factors $1+\delta$, $|\delta|\le u$. By induction a
    product of $n$ of them is within $\gamma_n$ of 1: if $g$ bounds $n$ factors, $g+u+gu$
    bounds one more (first step), and that is at most $\gamma_{n+1}$ (second step).""",
    source="Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002, section 3.1",
)
def e5():
    u, g, n, theta, delta, g2 = sp.symbols("u g n theta delta G", real=True)
    return (
        Entails(
            (sp.Abs(theta) <= g, sp.Abs(delta) <= u),
            sp.Abs((1 + theta) * (1 + delta) - 1) <= g + u + g * u,
        ),
        Entails(
            (n > 0, (n + 1) * u < 1, sp.Eq(g * (1 - n * u), n * u),
             sp.Eq(g2 * (1 - (n + 1) * u), (n + 1) * u)),
            g + u + g * u <= g2,
        ),
    )  # fmt: skip


@theorem(
    "E6",
    "Bernstein form bounds a polynomial",
    r"""On $[0,1]$ a polynomial lies between its least and its greatest Bernstein coefficient.""",
    proof=r"""The Bernstein polynomials are $b_{n,i}=\binom nit^i(1-t)^{n-i}$, and
    $b_{n+1,i}=(1-t)b_{n,i}+tb_{n,i-1}$ (first step, for any degree). So from $b_{0,0}=1$ on they
    are not negative (second step), and their sum $S$ over $i$ stays 1 (third step): a
    polynomial's value is a mean of its coefficients, which lies between them as in L4.""",
    uses=("L4",),
)
def e6():
    n, i = sp.symbols("n i", integer=True, positive=True)
    left, right, total, more = sp.symbols("b_i b_j S S_1", real=True)

    def basis(n: sp.Expr, i: sp.Expr) -> sp.Expr:
        return sp.binomial(n, i) * k**i * (1 - k) ** (n - i)

    k = sp.Symbol("t", positive=True)
    return (
        Identity(basis(n + 1, i), (1 - k) * basis(n, i) + k * basis(n, i - 1)),
        Entails((t >= 0, t <= 1, left >= 0, right >= 0), (1 - t) * left + t * right >= 0),
        Entails((sp.Eq(total, 1), sp.Eq(more, (1 - t) * total + t * total)), sp.Eq(more, 1)),
    )


@theorem(
    "E7",
    "The values of a monotone polynomial",
    r"""If $|c_1| > \sum_{k\ge2}k|c_k|$ then $\sum c_kt^k$ is monotone on $[-1,1]$.""",
    proof=r"""The derivative is $c_1+T$, $T=\sum_{k\ge2}kc_kt^{k-1}$, and $|T|\le
    S=\sum_{k\ge2}k|c_k|$: one more term with $p=t^{k-1}$ keeps that (first step). So it has
    the sign of $c_1$.""",
)
def e7():
    c, c1, total, bound, power = sp.symbols("c c_1 T S p", real=True)
    more = total + k * power * c
    return (
        Entails(
            (sp.Abs(total) <= bound, sp.Abs(power) <= 1, k >= 0),
            sp.Abs(more) <= bound + k * sp.Abs(c),
        ),
        Entails(
            (sp.Abs(total) <= bound, sp.Abs(c1) > bound),
            sp.Or(sp.And(c1 > 0, c1 + total > 0), sp.And(c1 < 0, c1 + total < 0)),
        ),
    )
