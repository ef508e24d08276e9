"""Sums, softmax, LayerNorm and GELU: the facts that tight and honest bounds rest on."""

import sympy as sp

from theory.functions import FUNCTIONS, x
from theory.kernel import Entails, Identity, Integral, Limit
from theory.theorem import theorem

a, b, c = sp.symbols("a b c", real=True)
lo, hi, m, s, big = sp.symbols("m M mu s B", real=True)


@theorem(
    "L0",
    "Cauchy and Schwarz",
    r"""$(\sum n_ie_i)^2\le\sum n_i^2\sum e_i^2$; with $n_i=1$, $(\sum e_i)^2\le n\sum e_i^2$ for
    $n$ terms.""",
    proof=r"""With the sums $S$, $A$ and $B$, $S^2\le AB$ holds for no terms, and one more keeps it
    (first step). If every $n_i$ is 1, $A$ is their number.""",
)
def l0():
    both, one, two, n, e = sp.symbols("S A B n e", real=True)
    return (
        Entails(
            (both**2 <= one * two, one >= 0, two >= 0),
            (both + n * e) ** 2 <= (one + n**2) * (two + e**2),
        ),
    )


@theorem(
    "L1",
    "Softmax by differences",
    r"""$e^{s_i}/\sum_j e^{s_j} = 1/(1+\sum_{j\ne i}e^{s_j-s_i})$: no product of two
    enclosures, and a denominator of at least 1.""",
    proof=r"""For three scores the first step. For any number let $A=e^{s_i}$, and let $T$ and $U$
    be partial sums of $e^{s_j}$ and of $e^{s_j-s_i}$ over $j\ne i$: $T=AU$ and $U\ge0$ hold for
    empty sums, and one more term $t=Ar$, $r=e^{s_j-s_i}$, keeps them (second and third step).
    Then $pA(1+U)=A$ for the weight $p=A/(A+T)$, and $A>0$ can be divided out (fourth step); the
    denominator is $1+U$ (last step).""",
)
def l1():
    top, total, ratios, t, r, p = sp.symbols("A T U t r p", real=True)
    return (
        Identity(sp.exp(a) / (sp.exp(a) + sp.exp(b) + sp.exp(c)),
                 1 / (1 + sp.exp(b - a) + sp.exp(c - a))),
        Entails((sp.Eq(total, top * ratios), sp.Eq(t, top * r)),
                sp.Eq(total + t, top * (ratios + r))),
        Entails((ratios >= 0, r > 0), ratios + r >= 0),
        Entails((top > 0, sp.Eq(total, top * ratios), sp.Eq(p * (top + total), top)),
                sp.Eq(p * (1 + ratios), 1)),
        Entails((ratios >= 0,), 1 + ratios >= 1),
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
    proof=r"""In terms of $x_j$, with the sums $R_1$ and $R_2$ of the other features and of their
    squares, $\mu=(R_1+x_j)/D$ and $v=(R_2+x_j^2)/D-\mu^2$ (first step, with the sums $S_1$, $S_2$:
    the sum of the $(x_i-\mu)^2$ is $S_2-2\mu S_1+D\mu^2$ by C0). So the Jacobian is
    $\frac1{\sqrt{v+\epsilon}}(P-\frac{1}{D}zz^T)$ with the centering projection $P$ (next two
    steps: an entry off and one on the diagonal, for any $D$). It is symmetric, so its norm is the
    largest $|u^TJu|$, $\|u\|=1$. With $p=\|Pu\|^2\le\|u\|^2$, $Q=\|z\|^2<D$ by C0, and
    $s=(z\cdot u)^2=(z\cdot Pu)^2\le Qp$ by L0, as $Pz=z$, $0\le p-s/D\le p$ (last two
    steps).""",
    uses=("L0", "C0"),
)
def l7():
    xi, xj, r1, r2, s1, s2 = sp.symbols("x_i x_j R_1 R_2 S_1 S_2", real=True)
    eps, width = sp.symbols("epsilon D", positive=True)
    mean = (r1 + xj) / width
    deviation = sp.sqrt((r2 + xj**2) / width - mean**2 + eps)
    zi, zj = (xi - mean) / deviation, (xj - mean) / deviation
    square, total, p, d = sp.symbols("s Q p D", real=True)
    return (
        Identity((s2 - 2 * (s1 / width) * s1 + width * (s1 / width) ** 2) / width,
                 s2 / width - (s1 / width) ** 2),
        Identity(sp.diff(zi, xj) * deviation, -1 / width - zi * zj / width),
        Identity(sp.diff(zj, xj) * deviation, 1 - 1 / width - zj**2 / width),
        Entails((square <= total * p, total < d, p >= 0), d * p - square >= 0),
        Entails((square >= 0,), p - square <= p),
    )  # fmt: skip
