"""Fewest constant pieces in L^p, p = 1 and 2: what every partition needs, and what is enough."""

import sympy as sp

from theory.functions import x
from theory.kernel import Entails, Identity, Integral, Limit
from theory.theorem import theorem

a, k, n, m, t, eps = sp.symbols("a k n m t epsilon", real=True)
w, c, rate = sp.symbols("w c lambda", positive=True)
order = sp.Symbol("k", integer=True, nonnegative=True)
#: What is left of the error in mean square over the bound, for e^x on an interval of width u
#: around 0, and its Taylor coefficient at u^(2k+1), times (2k+1)!.
u = sp.Symbol("u", positive=True)
REST = (
    sp.Rational(7, 16) * sp.sinh(u)
    - 2 * (sp.cosh(u) - 1) / u
    + sp.Rational(27, 16) * sp.sinh(u / 3)
)
COEFFICIENT = sp.Rational(7, 16) - 1 / (order + 1) + sp.Rational(9, 16) / 9**order


@theorem(
    "A2-exponential",
    "Best constants for an exponential slope",
    r"""If $h'=ce^{\lambda x}$, $c>0$, on an interval of width $w$, every constant $k$ has
    $\int|h-k|\ge\frac14\left(\int\sqrt{h'}\right)^2$ and $\int(h-k)^2\ge\frac1{12}
    \left(\int h'^{2/3}\right)^3$. Both are attained for $\lambda=0$, the first always.""",
    proof=r"""By reflection let $\lambda\ge0$. The best constants are those of A2-one and A2-two.
    For $\lambda=0$ the errors are $cw^2/4$ and $c^2w^3/12$ (first two steps). For $\lambda>0$
    the first error is the bound (third step), and the second minus the bound is
    $\frac{c^2}{\lambda^3}e^{\lambda(2a+w)}R(\lambda w)$ (fourth step) with
    $R(u)=\frac7{16}\sinh u-\frac2u(\cosh u-1)+\frac{27}{16}\sinh\frac u3$. The Taylor
    coefficient of $R$ at $u^{2k+1}$ is $1/(2k+1)!$ times
    $\frac7{16}-\frac1{k+1}+\frac9{16}9^{-k}$ (fifth step, from the coefficients
    $1/(2k+1)!$ of $\sinh$ and $1/(2k+2)!$ of $\cosh$; the sixth has SymPy confirm that $R$
    begins with $u^5$): 0 for $k=0$ and $1$, $1/9$ for $k=2$ and
    positive for $k\ge3$ (the other steps, with $y=1/(k+1)$ and $z=9^{-k}$). There are no even
    powers, so $R\ge0$.""",
    uses=("A2-one", "A2-two"),
)
def a2_exponential():
    h = c * sp.exp(rate * x) / rate
    slope, end, middle = sp.diff(h, x), a + w, a + w / 2
    one = sp.integrate(h, (x, middle, end)) - sp.integrate(h, (x, a, middle))
    two = sp.integrate(h**2, (x, a, end)) - sp.integrate(h, (x, a, end)) ** 2 / w
    root = sp.integrate(sp.sqrt(slope), (x, a, end))
    cubic = sp.integrate(slope ** sp.Rational(2, 3), (x, a, end)) ** 3
    scale = c**2 / rate**3 * sp.exp(rate * (2 * a + w))
    places = ((order, tuple(range(6))),)
    y, z = sp.symbols("y z", real=True)
    sinh, cosh = 1 / sp.factorial(2 * order + 1), 1 / sp.factorial(2 * order + 2)
    return (
        Integral(2 * c * x, x, (0, w / 2), c * w**2 / 4),
        Integral(2 * (c * x) ** 2, x, (0, w / 2), c**2 * w**3 / 12),
        Identity(one, root**2 / 4),
        Identity(two - cubic / 12, scale * REST.subs(u, rate * w).rewrite(sp.exp)),
        Identity(
            (sp.Rational(7, 16) + sp.Rational(27, 16) / 3 ** (2 * order + 1)) * sinh - 2 * cosh,
            COEFFICIENT * sinh,
            places,
        ),
        Limit(REST / u**5, u, 0, COEFFICIENT.subs(order, 2) / sp.factorial(5)),
        Identity(COEFFICIENT, 0, at=((order, 0),)),
        Identity(COEFFICIENT, 0, at=((order, 1),)),
        Identity(COEFFICIENT, sp.Rational(1, 9), at=((order, 2),)),
        Entails((k >= 3, sp.Eq(y * (k + 1), 1), z > 0), 7 - 16 * y + 9 * z > 0),
    )


@theorem(
    "A2-log-concave",
    "Best constants in the mean for a log-concave slope",
    r"""If $f'\ge0$ is continuous and log-concave on an interval, $f'(u)f'(v)\le f'(\frac{u+v}2)^2$,
    every constant $k$ has $\int|f-k|\ge\frac14\left(\int\sqrt{f'}\right)^2$. It is log-concave if
    $f'>0$ and $f'f^{(3)}\le(f'')^2$ inside, or $f'\ge0$ and $f'f^{(3)}<(f'')^2$.""",
    proof=r"""Let the interval be $[m-h,m+h]$. By A2-one the least error is
    $\int_0^h(f(m+s)-f(m-s))\,ds=\int f'(x)(h-|x-m|)\,dx$, as $x$ lies between $m-s$ and $m+s$ for
    $s\ge|x-m|$. And $\frac14\iint\sqrt{f'(u)}\sqrt{f'(v)}\,du\,dv\le
    \frac14\iint f'(\frac{u+v}2)\,du\,dv$ (first step), where $u=x-y$, $v=x+y$ has the
    determinant 2 (second step) and $|y|\le h-|x-m|$, an interval of length $2(h-|x-m|)$: the same
    integral, as $\frac14\cdot2\cdot2=1$. The last step is the second derivative of $\log f'$ in
    terms of $g_0=f'$, $g_1=f''$, $g_2=f^{(3)}$. Where $f'\ge0$ vanishes inside, it is least and
    $f''=0$, which the strict inequality excludes.""",
    uses=("A2-one",),
)
def a2_log_concave():
    left, right, middle, at, far = sp.symbols("p q r x y", real=True)
    xu, yu, xv, yv = sp.symbols("u_x u_y v_x v_y", real=True)
    u, v = at - far, at + far
    g0 = sp.Symbol("g_0", positive=True)
    g1, g2, s = sp.symbols("g_1 g_2 s", real=True)
    jet = g0 + g1 * s + g2 * s**2 / 2
    return (
        Entails((middle >= 0, left**2 * right**2 <= middle**2), left * right <= middle),
        Identity(
            xu * yv - yu * xv,
            2,
            at=tuple(
                (s, sp.diff(of, by))
                for s, of, by in ((xu, u, at), (yu, u, far), (xv, v, at), (yv, v, far))
            ),
        ),
        Identity(sp.diff(sp.log(jet), s, 2).subs(s, 0), (g0 * g2 - g1**2) / g0**2),
    )


@theorem(
    "A3-Lp-lower",
    "Pieces that every approximation in the mean needs",
    r"""Let $f$ be continuous on $[a,b]$ and cut $[a,b]$ into $K$ strips; on strip $k$ let $f$ or
    $-f$ be differentiable with slope at least $\ell_k=c_ke^{\lambda_kx}$, $c_k>0$, or for $p=1$
    any $\ell_k$ as in A2-log-concave, or let $\ell_k=0$. If $g$ is constant on each of $N$
    intervals that make up $[a,b]$ and $\int|f-g|^p\le\varepsilon^p$, $p=1$ or 2, then with
    $q=\frac p{p+1}$
    $N\ge\frac{\left(\sum_k\int\ell_k^q\right)^{1/q}}{2(p+1)^{1/p}\,\varepsilon}-(K-1)$.""",
    proof=r"""Cutting the intervals of $g$ also where the strips meet keeps $g$, and makes at most
    $n=N+K-1$ cells. On a cell of strip $k$ let $h'=\ell_k$, so that $f-h$ increases (else look at
    $-f$). A constant $y$ above all values of $f$ is no nearer to any than the largest value (first
    step; below: the second), so let $y=f(\xi)$; then $|f(x)-f(\xi)|\ge|h(x)-h(\xi)|$ on both sides
    of $\xi$ (third and fourth step), and by A2-exponential or A2-log-concave the error on the cell
    is at least $r^{p+1}/(2^p(p+1))$ with $r=\int\ell_k^q$ over the cell. The sum of $r^{p+1}$ over
    $n$ cells with $\sum r=A$ is at least $A^{p+1}/n^p$: it is at least $(p+1)t^pA-pnt^{p+1}$ for
    every $t\ge0$, as one more cell keeps that (fifth step for $p=1$, sixth for $p=2$; no cells:
    $0\ge0$), and $t=A/n$ (next two). The last two steps compare with $\varepsilon$.""",
    uses=("A2-exponential", "A2-log-concave"),
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
