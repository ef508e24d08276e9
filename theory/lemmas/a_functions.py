"""Softmax, LayerNorm and GELU: the facts that tight and honest bounds rest on."""

import sympy as sp

from theory.functions import FUNCTIONS, x
from theory.kernel import Entails, Identity, Integral, Limit
from theory.theorem import theorem

a, b, c = sp.symbols("a b c", real=True)
lo, hi, m, s, big = sp.symbols("m M mu s B", real=True)


@theorem(
    "L1",
    "Softmax by differences",
    r"""$e^{s_i}/\sum_j e^{s_j} = 1/(1+\sum_{j\ne i}e^{s_j-s_i})$: no product of two
    enclosures, and a denominator of at least 1.""",
    proof="Divide by $e^{s_i}$; every term left is positive.",
)
def l1():
    t = sp.Symbol("t", real=True)
    return (
        Identity(sp.exp(a) / (sp.exp(a) + sp.exp(b) + sp.exp(c)),
                 1 / (1 + sp.exp(b - a) + sp.exp(c - a))),
        Entails((t > 0,), 1 + t > 1),
    )  # fmt: skip


@theorem(
    "L2",
    "Variance of bounded values",
    r"""Numbers in $[m,M]$ with nonnegative weights of sum 1 have variance at most $(M-m)^2/4$.""",
    proof=r"""$E(v-m)(M-v)\ge0$ says $s\le(M+m)\mu-Mm$ for the mean $\mu$ and second moment
    $s$: it holds for one number (first step), and one more of weight $p$ keeps it (second
    step, for partial sums).""",
    source="Popoviciu 1935",
)
def l2():
    v, p, w, moment, square = sp.symbols("v p W Mu S", real=True)
    return (
        Entails((lo <= v, v <= hi), v**2 <= (hi + lo) * v - hi * lo),
        Entails(
            (square <= (hi + lo) * moment - hi * lo * w, p >= 0, lo <= v, v <= hi),
            square + p * v**2 <= (hi + lo) * (moment + p * v) - hi * lo * (w + p),
        ),
        Entails((s <= (hi + lo) * m - hi * lo,), 4 * (s - m**2) <= (hi - lo) ** 2),
    )


@theorem(
    "L3",
    "Softmax's Jacobian",
    r"""$\mathrm{diag}(p)-pp^T$ has spectral norm at most $1/2$, attained at $p=(1/2,1/2)$.""",
    proof=r"""$u^T(\mathrm{diag}(p)-pp^T)u$ is the variance of the entries of $u$ with weights
    $p$, by L2 at most $(M-m)^2/4 \le (M^2+m^2)/2 \le \|u\|^2/2$. At $p=(1/2,1/2)$ and
    $u=(1,-1)$ it is 1, half of $\|u\|^2$.""",
    uses=("L2",),
)
def l3():
    p, q, u, v = sp.symbols("p q u v", real=True)
    return (
        Identity((p * u**2 + q * v**2 - (p * u + q * v) ** 2).subs(q, 1 - p),
                 p * (1 - p) * (u - v) ** 2),
        Entails((), (hi - lo) ** 2 <= 2 * (hi**2 + lo**2)),
        Identity(sp.Rational(1, 4) * (u - v) ** 2, (u**2 + v**2) / 2 - (u + v) ** 2 / 4),
    )  # fmt: skip


@theorem(
    "L4",
    "Attention stays in the hull of the values",
    r"""Every output of an attention head lies between the least and the greatest value,
    coordinate by coordinate.""",
    proof=r"""Weights are positive and add up to 1; one more value keeps a weighted sum of
    partial weight $w$ between $wm$ and $wM$.""",
)
def l4():
    w, p, v, total = sp.symbols("w p v t", real=True)
    return (
        Entails((total <= w * hi, p >= 0, v <= hi), total + p * v <= (w + p) * hi),
        Entails((total >= w * lo, p >= 0, v >= lo), total + p * v >= (w + p) * lo),
    )


@theorem(
    "L5",
    "Attention over one token is affine",
    r"""With a single key the weight is 1 whatever the scores are.""",
    proof="The weight times the sum of the exponentials is its own term: the only one.",
    uses=("L1",),
)
def l5():
    p, w = sp.symbols("p w", real=True)
    return (Entails((sp.Eq(p * w, w), w > 0), sp.Eq(p, 1)),)


bell = sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
gelu = FUNCTIONS["gelu"].expression


@theorem(
    "L6",
    "GELU's derivatives",
    r"""$\mathrm{GELU}''(x) = (2-x^2)\varphi(x)$ with the normal density $\varphi$. So
    $\mathrm{GELU}'$ rises exactly on $[-\sqrt2,\sqrt2]$, tends to 0 and 1, and its extreme
    values are those at $\mp\sqrt2$. $|\mathrm{GELU}''| \le 2/\sqrt{2\pi}$.""",
    proof=r"""Differentiate. The sign is that of $2-x^2$; the limits are two steps. With
    $u=x^2/2$ the last bound says $|1-u|e^{-u}\le1$, which follows from $e^{-u} \le 1/(1+u)$
    for $u\ge0$: $e^u-1$ and $e^u-1-u$ are integrals of what is not negative (two steps); the
    rest is the last step.""",
)
def l6():
    u, w, y = sp.symbols("u w y", real=True)
    k = sp.Symbol("k", positive=True)
    return (
        Identity(sp.diff(gelu, x, 2), (2 - x**2) * bell),
        Entails((y**2 < 2,), 2 - y**2 > 0),
        Entails((y**2 > 2,), 2 - y**2 < 0),
        Limit(sp.diff(gelu, x), x, sp.oo, sp.Integer(1)),
        Limit(sp.diff(gelu, x).subs(x, -x), x, sp.oo, sp.Integer(0)),
        Integral(sp.exp(x), x, (0, k), sp.exp(k) - 1),
        Integral(sp.exp(x) - 1, x, (0, k), sp.exp(k) - 1 - k),
        Entails((u >= 0, w * (1 + u) <= 1), sp.Abs(1 - u) * w <= 1),
    )


@theorem(
    "L7",
    "LayerNorm's Lipschitz constant",
    r"""Where the variance of the input is $v \ge v_0$, the Jacobian of
    $z=(x-\mu)/\sqrt{v+\epsilon}$ has spectral norm at most $1/\sqrt{v+\epsilon} \le
    1/\sqrt{v_0+\epsilon}$.""",
    proof=r"""The Jacobian is $\frac1{\sqrt{v+\epsilon}}(P-\frac{1}{D}zz^T)$ with the centering
    projection $P$, (first two steps: an entry off and one on the diagonal, for $D=3$), and
    $0\preceq \frac1Dzz^T\preceq P$ since $\|z\|^2<D$ and $Pz=z$ by C0. In the direction of $z$
    the factor is $1-\|z\|^2/D$ (last step), elsewhere at most 1.""",
    uses=("C0",),
)
def l7():
    xs = sp.symbols("x_1 x_2 x_3", real=True)
    eps = sp.Symbol("epsilon", positive=True)
    q = sp.Symbol("q", real=True)
    mean = sum(xs) / 3
    deviation = sp.sqrt(sum((xi - mean) ** 2 for xi in xs) / 3 + eps)
    zs = [(xi - mean) / deviation for xi in xs]
    third = sp.Rational(1, 3)
    return (
        Identity(sp.diff(zs[0], xs[1]) * deviation, -third - zs[0] * zs[1] / 3),
        Identity(sp.diff(zs[0], xs[0]) * deviation, 1 - third - zs[0] ** 2 / 3),
        Entails((q >= 0, q <= 1), sp.Abs(1 - q) <= 1),
    )
