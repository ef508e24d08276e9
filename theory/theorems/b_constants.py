"""Piecewise constant approximation: best constants, fewest pieces, grids, Lipschitz limits."""

import sympy as sp

from theory.floors import LIPSCHITZ, POWER, exponent, lipschitz
from theory.functions import x
from theory.kernel import Entails, Identity, Integral
from theory.theorem import theorem

a, c, e, m, big_m, value = sp.symbols("a c e m M y", real=True)
w = sp.Symbol("w", positive=True)
s0, s1, s2 = sp.symbols("S_0 S_1 S_2", positive=True)
#: Errors of the best constants for e^x on [a, a + w]: the square of that for p = 2, and p = 1.
EXP_TWO = sp.exp(2 * a) * ((sp.exp(2 * w) - 1) / 2 - (sp.exp(w) - 1) ** 2 / w)
EXP_ONE = sp.exp(a) * (sp.exp(w / 2) - 1) ** 2


def limit(target: str, domain: tuple[int, int]) -> str:
    """A Lipschitz limit and where it holds; the formula ends in a dollar sign."""
    closed, least = LIPSCHITZ[target, domain]
    return rf"{sp.latex(closed)}$ for $L \ge {least}$"


@theorem(
    "A2-sup",
    "Best constant in the maximum norm",
    r"""If the values of $f$ on an interval reach from $m$ to $M$, no constant is nearer to $f$
    everywhere than $(M-m)/2$, and the middle $(m+M)/2$ is that near.""",
    proof="A constant $c$ has to be near both extremes; the middle is near everything between.",
)
def a2_sup():
    near = (sp.Abs(big_m - c) <= e, sp.Abs(m - c) <= e)
    return (
        Entails(near, 2 * e >= big_m - m),
        Entails(
            (m <= value, value <= big_m), sp.Abs(2 * value - (m + big_m)) <= big_m - m
        ),
    )  # fmt: skip


@theorem(
    "A2-two",
    "Best constant in mean square",
    r"""$\int(f-c)^2 = \int(f-\bar f)^2 + w\,(\bar f-c)^2$ on an interval of width $w$ with the
    mean $\bar f$: the mean is the best constant. For $f=e^x$ on $[a,a+w]$ the square of the
    error is """
    + f"${sp.latex(EXP_TWO)}$.",
    proof=r"""Expand with the moments $S_k=\int f^k$, so that $\bar f = S_1/S_0$. For the
    exponential the mean is an integral, and so is the error.""",
)
def a2_two():
    mean = sp.integrate(sp.exp(x), (x, a, a + w)) / w
    split = s2 - s1**2 / s0 + s0 * (s1 / s0 - c) ** 2
    return (
        Identity(s2 - 2 * c * s1 + c**2 * s0, split),
        Integral((sp.exp(x) - mean) ** 2, x, (a, a + w), EXP_TWO),
    )


@theorem(
    "A2-one",
    "Best constant in the mean",
    r"""For increasing $f$ the value at the middle of an interval minimizes $\int|f-c|$. For
    $f=e^x$ on $[a,a+w]$ the error is """
    + f"${sp.latex(EXP_ONE)}$.",
    proof=r"""Pair the places at equal distances from the middle: one has a value of $f$ below the
    value $y$ in the middle, one above, and for such a pair no $c$ is better than $y$ (first step).
    For the exponential the two integrals are over the halves.""",
)
def a2_one():
    below, above = sp.symbols("f_1 f_2", real=True)
    middle = sp.exp(a + w / 2)
    right = sp.integrate(sp.exp(x) - middle, (x, a + w / 2, a + w))
    left = sp.integrate(middle - sp.exp(x), (x, a, a + w / 2))
    return (
        Entails(
            (below <= value, value <= above),
            sp.Abs(below - c) + sp.Abs(above - c)
            >= sp.Abs(below - value) + sp.Abs(above - value),
        ),
        Identity(left + right, EXP_ONE),
    )  # fmt: skip


u, v, k, lip, dist, delta, eps = sp.symbols("u v k L r Delta epsilon", real=True)
fa, fb, ga, gb = sp.symbols("f_a f_b g_a g_b", real=True)


@theorem(
    "A3",
    "Fewest pieces",
    r"""A piece on which $f$ varies by more than $2\varepsilon$ has no constant within
    $\varepsilon$; for continuous monotone $f$ on $[a,b]$, $N$ pieces (intervals) with error
    $\varepsilon>0$ need $N \ge |f(b)-f(a)|/(2\varepsilon)$, and $\max(1,\lceil\cdot\rceil)$ of
    that many are enough.""",
    proof=r"""The first step is A2-sup. The variations of a continuous monotone function on the
    pieces add up to $|f(b)-f(a)|$ (second step, for one more piece). Enough: cut where $f$ has
    passed each of $n$ equal parts of its way; a part is at most $2\varepsilon$ (last step), and
    A2-sup gives the constants.""",
    uses=("A2-sup",),
)
def a3():
    total, one, n = sp.symbols("T y n", real=True)
    return (
        Entails((2 * e >= big_m - m, e <= eps), big_m - m <= 2 * eps),
        Entails(
            (total <= 2 * eps * n, one <= 2 * eps), total + one <= 2 * eps * (n + 1)
        ),
        Entails((n > 0, total <= 2 * eps * n, sp.Eq(one * n, total)), one <= 2 * eps),
    )  # fmt: skip


@theorem(
    "A4",
    "Cells and their diameter",
    r"""A grid of width $\delta$ on a cube of side $W$ in $dm$ dimensions has $(W/\delta)^{dm}$
    cells if $W/\delta$ is an integer, else $\lceil W/\delta\rceil^{dm}$, and two points of one
    cell are at most $\delta\sqrt{dm}$ apart.""",
    proof=r"""Coordinates differ by at most $\delta$ each; one more coordinate adds at most
    $\delta^2$ to the square of the distance. The count multiplies by $\lceil W/\delta\rceil$
    with each.""",
)
def a4():
    n, square, step, width = sp.symbols("n q r delta", real=True)
    return (
        Entails(
            (square <= n * width**2, sp.Abs(step) <= width),
            square + step**2 <= (n + 1) * width**2,
        ),
    )  # fmt: skip


@theorem(
    "B1",
    "What a Lipschitz bound costs",
    r"""If $g$ is $L$-Lipschitz, $\sup|f-g| \ge E=\frac12\sup_{x,y}(|f(x)-f(y)|-L|x-y|)$, and if
    $E$ is finite some $L$-Lipschitz $g$ has $|f-g|\le E$ everywhere.""",
    proof=r"""As A1, with $V = L|x-y|$ between the two places (first step). Attained: $g(x) =
    \inf_y(f(y)+L|x-y|)+E$. With $y=x$ it is at most $f(x)+E$, and each $f(y)+L|x-y|+E$ is at least
    $f(x)-E$ (second step). At two places $x$ and $z$ the numbers differ by at most $L|x-z|$ for
    each $y$ (third step, with the distances $r_x$, $r_z$ to $y$), so their infima do.""",
    uses=("A1",),
    source="the function that attains it: McShane 1934",
)
def b1():
    near, far = sp.symbols("r_x r_z", real=True)
    return (
        Entails(
            (
                sp.Eq(delta, fa - fb),
                sp.Abs(fa - ga) <= e,
                sp.Abs(fb - gb) <= e,
                sp.Abs(ga - gb) <= lip * dist,
            ),
            2 * e >= delta - lip * dist,
        ),
        Entails((sp.Abs(fa - fb) - lip * dist <= 2 * e,), fb + lip * dist + e >= fa - e),
        Entails(
            (sp.Abs(near - far) <= dist, lip >= 0),
            sp.Abs((fb + lip * near + e) - (fb + lip * far + e)) <= lip * dist,
        ),
    )


@theorem(
    "B1-cbrt",
    "Lipschitz limit for the cube root",
    r"""The largest $\frac12(|\sqrt[3]{x}-\sqrt[3]{y}|-L|x-y|)$ on $[-1,1]$ is
    """
    + f"${limit('cbrt', (-1, 1))}, on $[0,1]$ ${limit('cbrt', (0, 1))}.",
    proof=r"""With $x=u^3$, $y=v^3$ and $L = 1/(3k^2)$ it is $\frac12(u-v)(1-\frac{u^2+uv+v^2}
    {3k^2})$, polynomial. The bound $2k/3$ holds for all $u\ge v$, and for $v \ge 0$ the bound
    $k/3$; they are attained at $u=k=-v$, and at $u=k$, $v=0$, which lie in the domain for
    $k\le1$.""",
    uses=("B1",),
)
def b1_cbrt():
    gain = (u - v) * (3 * k**2 - (u**2 + u * v + v**2))
    positive = sp.Symbol("L", positive=True)
    root = 1 / sp.sqrt(3 * positive)
    known = LIPSCHITZ["cbrt", (-1, 1)][0].subs(lipschitz, positive)
    half = LIPSCHITZ["cbrt", (0, 1)][0].subs(lipschitz, positive)
    return (
        Identity(1 / (3 * k**2), positive, at=((k, root),)),
        Identity(2 * k / 3, known, at=((k, root),)),
        Identity(k / 3, half, at=((k, root),)),
        Entails((u >= v, k > 0), gain <= 4 * k**3, sharp=gain < 4 * k**3),
        Identity(gain, 4 * k**3, at=((u, k), (v, -k))),
        Entails((u >= v, v >= 0, k > 0), gain <= 2 * k**3, sharp=gain < 2 * k**3),
        Identity(gain, 2 * k**3, at=((u, k), (v, 0))),
    )


@theorem(
    "B1-sqrt",
    "Lipschitz limit for the square root",
    r"""The largest $\frac12(|\sqrt x-\sqrt y|-L|x-y|)$ on $[0,1]$ is """
    + f"${limit('sqrt', (0, 1))}.",
    proof=r"""With $x=u^2$, $y=v^2$ it is $\frac12((u-v)-L(u^2-v^2))$, at most $1/(8L)$ for
    $u\ge v\ge 0$, and equal at $u = 1/(2L)$, $v=0$.""",
    uses=("B1",),
)
def b1_sqrt():
    gain = (u - v) - lip * (u**2 - v**2)
    best = ((u, 1 / (2 * lipschitz)), (v, 0))
    return (
        Entails((u >= v, v >= 0), 4 * lip * gain <= 1, sharp=4 * lip * gain < 1),
        Identity(gain.subs(lip, lipschitz) / 2, LIPSCHITZ["sqrt", (0, 1)][0], at=best),
    )


@theorem(
    "B1-x+cbrt",
    "Lipschitz limit for x + cbrt(x)",
    r"""The largest $\frac12(|f(x)-f(y)|-L|x-y|)$ for $f=x+\sqrt[3]x$ on $[-1,1]$ is """
    + f"${limit('x+cbrt(x)', (-1, 1))}.",
    proof=r"""It is that of the cube root with $L-1$ in the place of $L$ (first step).""",
    uses=("B1-cbrt",),
)
def b1_x_cbrt():
    both = LIPSCHITZ["x+cbrt(x)", (-1, 1)][0]
    root = LIPSCHITZ["cbrt", (-1, 1)][0]
    return (
        Identity(
            (u**3 + u) - (v**3 + v) - lip * (u**3 - v**3), (u - v) - (lip - 1) * (u**3 - v**3)
        ),
        Identity(both, root, at=((lipschitz, lipschitz + 1),)),
    )


@theorem(
    "B1-power",
    "Lipschitz limit for powers",
    r"""The largest $\frac12(|x^a-y^a|-L|x-y|)$ on $[0,1]$, $0<a<1$, is """
    + rf"${sp.latex(POWER)}$ for $L \ge a$.",
    proof=r"""$x^a$ is concave and 0 at 0, so $|x^a-y^a|\le|x-y|^a$ (first step: with
    $x^a\ge tz^a$ and $y^a\ge(1-t)z^a$ for $z=x+y$, $x=tz$), and the largest value is that of
    $\frac12(z^a-Lz)$, also concave (second step: the sign of $a(a-1)$). Its derivative vanishes
    where $L=az^{a-1}$, which is at $z=(a/L)^{1/(1-a)} \le 1$ (third step); the last step is the
    value there.""",
    uses=("B1",),
)
def b1_power():
    first, second, whole, part = sp.symbols("f_x f_y f_z t", real=True)
    power = sp.Symbol("alpha", real=True)
    z = sp.Symbol("z", positive=True)
    gain = (z**exponent - lipschitz * z) / 2
    there = {lipschitz: exponent * z ** (exponent - 1)}  # the L whose best place is z
    small = ((exponent, tuple(sp.Rational(k, 7) for k in range(1, 7))),)
    return (
        Entails((first >= part * whole, second >= (1 - part) * whole), first + second >= whole),
        Entails((power > 0, power < 1), power * (power - 1) < 0),
        Identity(sp.diff(gain, z).subs(there), 0, small),
        Identity(POWER.subs(there), gain.subs(there), small),
    )
