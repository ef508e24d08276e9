"""Fewest constant pieces in L^p, p = 1 and 2: what every partition needs, and what is enough."""

import sympy as sp

from theory.functions import x
from theory.kernel import Entails, Identity, Integral
from theory.theorem import theorem

n, m, t, eps = sp.symbols("n m t epsilon", real=True)
w, c = sp.symbols("w c", positive=True)


@theorem(
    "A2-log-concave",
    "Best constants for a log-concave slope",
    r"""Let $f'\ge0$ be continuous and log-concave on an interval. Every constant $k$ has
    $\int|f-k|\ge\frac14\left(\int\sqrt{f'}\right)^2$ and
    $\int(f-k)^2\ge\frac1{12}\left(\int f'^{2/3}\right)^3$; a line has equality in both. $f'$ is
    log-concave if $f'>0$ and $f'f^{(3)}\le(f'')^2$ inside, or $f'\ge0$ and $f'f^{(3)}<(f'')^2$; so
    is $ce^{\lambda x}$.""",
    proof=r"""On $[u,v]$ of width $w$ let $E(u,v)$ be the least error, $F(u,v)$ the bound, $\phi=f'$
    and $\mu=\frac1w\int f$. $E$, $F$ and their derivatives in $v$ vanish for $v=u$, so on $[a,b]$
    each is the integral of $-\partial_u\partial_vE$, or $F$, over $a\le u\le v\le b$: it is enough
    to compare these. With $r=\phi^{1/2}$ or $\phi^{2/3}$ and $A=\int_u^vr$ they are
    $\frac12r(u)r(v)$ and $\frac12Ar(u)r(v)$ for $F$ (first two steps: $A$ grows by $r(v)$ at $v$
    and by $-r(u)$ at $u$).

    $p=1$: by A2-one $\partial_vE=f(v)-f(\frac{u+v}2)$, so it is $\frac12\phi(\frac{u+v}2)$ for $E$,
    at least $\frac12\sqrt{\phi(u)\phi(v)}$ (third step).

    $p=2$: by A2-two $E=S_2-S_1^2/w$ with the integrals of $f^2$ and $f$; $\partial_vE=(f(v)-\mu)^2$
    (fourth step), and $\mu$ changes by $(\mu-f(u))/w$ at $u$ (fifth step). So it is
    $\frac2w(f(v)-\mu)(\mu-f(u))$ for $E$, or $\frac2{w^3}PQ$ with $P=\int(x-u)\phi$ and
    $Q=\int(v-x)\phi$, by parts. Scale $[u,v]$ to $[-1,1]$ and $\phi$ so that
    $\phi(\pm1)=e^{\pm\lambda}$ (if one is 0, nothing is left to prove): to show is $PQ\ge2A$. Now
    $PQ=\iint(1-xy)\phi(x)\phi(y)\,dx\,dy$ (sixth step: the mean with $x$ and $y$ exchanged) and
    $\phi(x)\ge e^{\lambda x}$, a chord of the logarithm. Over $x$ the weight $(1-xy)/2$ has the sum
    1 and the mean $-y/3$ (next two steps), and $e^{\lambda x}$ lies above its tangent there, so
    $\int(1-xy)e^{\lambda x}dx\ge2e^{-\lambda y/3}\ge2\phi(y)^{-1/3}$, and $PQ\ge2\int\phi^{2/3}$.

    A line has the errors $cw^2/4$ and $c^2w^3/12$ (next two). The last step is the second
    derivative of $\log f'$ in terms of $g_0=f'$, $g_1=f''$, $g_2=f^{(3)}$. Where $f'\ge0$ vanishes
    inside, it is least and $f''=0$, which the strict inequality excludes.""",
    uses=("A2-one", "A2-two"),
)
def a2_log_concave():
    left, right, middle, mass, y = sp.symbols("r_u r_v phi_m A y", real=True)
    one, two, fu, fv = sp.symbols("S_1 S_2 f_u f_v", real=True)
    g0 = sp.Symbol("g_0", positive=True)
    g1, g2, s = sp.symbols("g_1 g_2 s", real=True)
    jet = g0 + g1 * s + g2 * s**2 / 2
    error, mean = two - one**2 / w, one / w
    return (
        Identity(sp.Derivative(mass**2 / 4, mass, mass) * left * right, left * right / 2),
        Identity(sp.Derivative(mass**3 / 12, mass, mass) * left * right, mass * left * right / 2),
        Entails((middle >= 0, left**2 * right**2 <= middle**2), left * right <= middle),
        Identity(
            sp.diff(error, two) * fv**2 + sp.diff(error, one) * fv + sp.diff(error, w),
            (fv - mean) ** 2,
        ),
        Identity(-sp.diff(mean, one) * fu - sp.diff(mean, w), (mean - fu) / w),
        Identity(((1 + x) * (1 - y) + (1 + y) * (1 - x)) / 2, 1 - x * y),
        Integral((1 - x * y) / 2, x, (-1, 1), sp.Integer(1)),
        Integral(x * (1 - x * y) / 2, x, (-1, 1), -y / 3),
        Integral(2 * c * x, x, (0, w / 2), c * w**2 / 4),
        Integral(2 * (c * x) ** 2, x, (0, w / 2), c**2 * w**3 / 12),
        Identity(sp.Derivative(sp.log(jet), s, s), (g0 * g2 - g1**2) / g0**2, at=((s, 0),)),
    )


@theorem(
    "A3-Lp-lower",
    "Pieces that every approximation in the mean needs",
    r"""Let $f$ be continuous on $[a,b]$ and cut $[a,b]$ into $K$ strips; on strip $k$ let $f$ or
    $-f$ be differentiable with slope at least $\ell_k\ge0$, where $\ell_k$ is 0 or log-concave and
    continuous. If $g$ is constant on each of $N$ intervals that make up $[a,b]$ and
    $\int|f-g|^p\le\varepsilon^p$, $p=1$ or 2, then with $q=\frac p{p+1}$
    $N\ge\frac{\left(\sum_k\int\ell_k^q\right)^{1/q}}{2(p+1)^{1/p}\,\varepsilon}-(K-1)$.""",
    proof=r"""Cutting the intervals of $g$ also where the strips meet keeps $g$, and makes at most
    $n=N+K-1$ cells. On a cell of strip $k$ let $h'=\ell_k$, so that $f-h$ increases (else look at
    $-f$). A constant $y$ above all values of $f$ is no nearer to any than the largest value (first
    step; below: the second), so let $y=f(\xi)$; then $|f(x)-f(\xi)|\ge|h(x)-h(\xi)|$ on both sides
    of $\xi$ (third and fourth step), and by A2-log-concave the error on the cell is at least
    $r^{p+1}/(2^p(p+1))$ with $r=\int\ell_k^q$ over the cell. The sum of $r^{p+1}$ over $n$ cells
    with $\sum r=A$ is at least $A^{p+1}/n^p$: it is at least $(p+1)t^pA-pnt^{p+1}$ for every
    $t\ge0$, as one more cell keeps that (fifth step for $p=1$, sixth for $p=2$; no cells:
    $0\ge0$), and $t=A/n$ (next two). The last two steps compare with $\varepsilon$.""",
    uses=("A2-log-concave",),
)
def a3_lower():
    y, value, top, fx, fy, hx, hy = sp.symbols("y v M f_x f_xi h_x h_xi", real=True)
    total, mass, r, cells, strips = sp.symbols("S A r N K", real=True)
    up, mean = fx - fy, sp.Eq(t * n, mass)
    return (
        Entails((value <= top, y >= top), sp.Abs(value - top) <= sp.Abs(value - y)),
        Entails((value >= m, y <= m), sp.Abs(value - m) <= sp.Abs(value - y)),
        Entails((hx >= hy, up >= hx - hy), sp.Abs(up) >= sp.Abs(hx - hy)),
        Entails((hx <= hy, up <= hx - hy), sp.Abs(up) >= sp.Abs(hx - hy)),
        Entails(
            (total >= 2 * t * mass - n * t**2,),
            total + r**2 >= 2 * t * (mass + r) - (n + 1) * t**2,
        ),
        Entails(
            (total >= 3 * t**2 * mass - 2 * n * t**3, r >= 0, t >= 0),
            total + r**3 >= 3 * t**2 * (mass + r) - 2 * (n + 1) * t**3,
        ),
        Entails((mean, n > 0, total >= 2 * t * mass - n * t**2), n * total >= mass**2),
        Entails((mean, total >= 3 * t**2 * mass - 2 * n * t**3), n**2 * total >= mass**3),
        Entails(
            (n * total >= mass**2, total <= 4 * eps, n > 0, n <= cells + strips - 1),
            4 * eps * (cells + strips - 1) >= mass**2,
        ),
        Entails(
            (n**2 * total >= mass**3, total <= 12 * eps**2, n > 0, n <= cells + strips - 1),
            12 * eps**2 * (cells + strips - 1) ** 2 >= mass**3,
        ),
    )  # fmt: skip


@theorem(
    "A3-Lp-upper",
    "Pieces that are enough in the mean",
    r"""Let $f$ be continuous on an interval of width $w$, differentiable with $|f'|\le c$ inside.
    One constant on each of its $j$ equal parts has $\int|f-g|^p\le\frac{c^pw^{p+1}}{2^p(p+1)j^p}$,
    $p=1$ or 2. Without any slope, a constant $k$ has $\int|f-k|^p\le\sum_iw_iD_i^p$ if parts of
    width $w_i$ make up the interval and $|f-k|\le D_i$ on each.""",
    proof=r"""With the value in the middle of a part, $|f(x)-f(m)|\le c|x-m|$ by the mean value
    theorem: the integral over one part of width $w/j$ is at most $2\int_0^{w/2j}(cs)^p\,ds$
    (first two steps), and $j$ of them are the bound (the other two). The last claim bounds an
    integral by its largest integrand.""",
)
def a3_upper():
    j, v = sp.symbols("j v", positive=True)
    one, two = c * v**2 / 4, c**2 * v**3 / 12
    return (
        Integral(2 * c * x, x, (0, v / 2), one),
        Integral(2 * (c * x) ** 2, x, (0, v / 2), two),
        Identity(j * one, c * w**2 / (4 * j), at=((v, w / j),)),
        Identity(j * two, c**2 * w**3 / (12 * j**2), at=((v, w / j),)),
    )
