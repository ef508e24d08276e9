"""What encoders whose last operation is LayerNorm cannot do, whatever their size and training."""

import sympy as sp

from theory.floors import ROOTS, VARIANCES, positive
from theory.functions import x
from theory.kernel import Cited, Entails, Identity, Integral
from theory.targets import TARGETS
from theory.theorem import theorem

z1, z2, z3, s, q, d, v, eps, e, r = sp.symbols("z_1 z_2 z_3 s q D v epsilon e r", real=True)


@theorem(
    "C0",
    "LayerNorm lands on a sphere in a hyperplane",
    r"""Let $z=(y-\beta)/\gamma$ be the normalized output of LayerNorm over $D$ features with
    variance $v$ and $\epsilon>0$. Then $\sum z_i=0$ and $\sum z_i^2 = Dv/(v+\epsilon) < D$.
    For $D=1$ the output is constant; for $D=2$ it lies on a segment,
    $z=(t,-t)/\sqrt{t^2+\epsilon}$.""",
    proof=r"""$z_i=(x_i-\mu)/\sqrt{v+\epsilon}$ with $\sum(x_i-\mu)=D\mu-D\mu=0$ and
    $\sum(x_i-\mu)^2=Dv$ by the definitions of $\mu$ and $v$ (the first two steps write this
    out for $D=3$). For $D=2$ with $x_1-x_2=2t$ the variance is $t^2$.""",
)
def c0():
    xs = sp.symbols("x_1 x_2 x_3", real=True)
    mean = sum(xs) / 3
    variance = sum((xi - mean) ** 2 for xi in xs) / 3
    more = sp.Symbol("epsilon", positive=True)
    zs = [(xi - mean) / sp.sqrt(variance + more) for xi in xs]
    t, m = sp.symbols("t m", real=True)
    two = [m + t, m - t]
    middle = sum(two) / 2
    return (
        Entails(tuple(sp.Eq(z, xi - (sum(xs)) / 3) for z, xi in zip((z1, z2, z3), xs, strict=True)),
                sp.Eq(z1 + z2 + z3, 0)),
        Identity(sum(z**2 for z in zs), 3 * variance / (variance + more)),
        Entails((v >= 0, eps > 0, d > 0, sp.Eq(q * (v + eps), d * v)), q < d),
        Identity(sum((y - middle) ** 2 for y in two) / 2, t**2),
    )  # fmt: skip


@theorem(
    "C1",
    "No coordinate is large",
    r"""$|z_i|\le\sqrt{D-1}$, so $|y_i| \le |\beta_i|+|\gamma_i|\sqrt{D-1}$; sharp as
    $v/\epsilon\to\infty$ ($D>1$; for $D=1$ both are 0).""",
    proof=r"""Let $s$ be the sum and $q$ the sum of squares of the other $D-1$ coordinates:
    $s=-z_1$, $s^2\le(D-1)q$ by Cauchy-Schwarz (first step: one more coordinate $z_2$), $q\le
    D-z_1^2$ by C0. Sharp: one coordinate $\sqrt{D-1}$, the others $-1/\sqrt{D-1}$, have sum 0
    and squares that add up to $D$.""",
    uses=("C0",),
)
def c1():
    m = sp.Symbol("m", real=True)
    n = sp.Symbol("n", positive=True)
    large, small = sp.sqrt(n), -1 / sp.sqrt(n)
    return (
        Entails((s**2 <= m * q, m > 0), (s + z2) ** 2 <= (m + 1) * (q + z2**2)),
        Entails((sp.Eq(s, -z1), s**2 <= (d - 1) * q, q <= d - z1**2, d > 1), z1**2 <= d - 1),
        Identity(large + n * small, 0),
        Identity(large**2 + n * small**2, n + 1),
    )  # fmt: skip


h1, h2, y1, y2, g1, g2, w1, w2 = sp.symbols("h_1 h_2 y_1 y_2 a_1 a_2 w_1 w_2", real=True)


@theorem(
    "C2",
    "No better than the best constant",
    r"""Let the outputs be all $D=d$ features of a LayerNorm (no head, no selection) and let
    the target take the values of the box $\prod[c_i-h_i,c_i+h_i]$, $h_i>0$. Then for every
    $\gamma$, $\beta$ and every map before the LayerNorm $\sup_x\max_i|\hat y_i-y_i|/h_i \ge
    1$.""",
    proof=r"""If some $\gamma_i=0$, $\hat y_i$ is constant, and A2-sup says $\ge h_i$.
    Otherwise, with $w_i=1/\gamma_i$, C0 says $\sum w_i(\hat y_i-\beta_i)=0$. At the corners
    $c\pm h\,\mathrm{sgn}(w)$ the numbers $\sum w_iy_i$ differ by $2\sum|w_i|h_i$, so at one of
    them $\sum|w_i||y_i-\hat y_i| \ge \sum|w_i|h_i$ (first step, with $S=\sum|w_i|h_i$ and $p$,
    $n$ the values of $\sum w_i(y_i-\hat y_i)$ at the two). If each error were below $r h_i$
    with $r<1$, the sum would be below (second step, for two coordinates; one more adds its
    share).""",
    uses=("A2-sup", "C0"),
)
def c2():
    p, n, total, worst = sp.symbols("p n S E", real=True)
    return (
        Entails(
            (sp.Eq(p - n, 2 * total), sp.Abs(p) <= worst, sp.Abs(n) <= worst), worst >= total
        ),
        Entails(
            (y1 <= r * h1, y2 <= r * h2, w1 >= 0, w2 >= 0, w1 * h1 + w2 * h2 > 0, r < 1),
            w1 * y1 + w2 * y2 < w1 * h1 + w2 * h2,
        ),
    )  # fmt: skip


@theorem(
    "C3",
    "The root mean square floor",
    r"""For a LayerNorm readout without head and with $D=d$, $E\|\hat y-y\|^2 \ge
    \lambda_{\min}(\mathrm{Cov}\,y)$ if $E\|y\|^2<\infty$; for $d$ uncorrelated coordinates of
    equal variance $\sigma^2$ the root mean square error over the coordinates is at least
    $\sigma/\sqrt d$, relative floor $1/\sqrt d$. The variances of
    uniform inputs on $[-1,1]$: """
    + "; ".join(f"{TARGETS[n].text}: ${sp.latex(v)}$" for n, v in VARIANCES.items())
    + ".",
    proof=r"""With $w$ as in C2 and $n=w/\|w\|$, or $n=e_i$ if some $\gamma_i=0$, $n\cdot\hat
    y$ is constant, so $E\|\hat y-y\|^2 \ge E(n\cdot(\hat y-y))^2 \ge \mathrm{Var}(n\cdot y)
    \ge \lambda_{\min}$: the first step is the first inequality in two dimensions with
    $n=(a_1,a_2)$, the second is $E(c-Y)^2=\mathrm{Var}\,Y+(c-EY)^2$ with the moments $\mu$,
    $m_2$. The variances are integrals; the odd targets have mean 0, and the squares of those
    with a root are integrated over $[0,1]$.""",
    uses=("C2",),
)
def c3():
    c, mu, m2 = sp.symbols("c mu m_2", real=True)
    steps = [
        Entails((sp.Eq(g1**2 + g2**2, 1),), (g1 * y1 + g2 * y2) ** 2 <= y1**2 + y2**2),
        Identity(c**2 - 2 * c * mu + m2, (m2 - mu**2) + (c - mu) ** 2),
    ]
    for name, expected in VARIANCES.items():
        expression = TARGETS[name].expression
        if name in ROOTS:  # odd: twice the integral over [0, 1], where |x| is x
            steps.append(Integral(positive(name) ** 2, x, (0, 1), expected))
        else:
            mean = sp.integrate(expression, (x, -1, 1)) / 2
            steps.append(Integral((expression - mean) ** 2 / 2, x, (-1, 1), expected))
    return tuple(steps)


@theorem(
    "C5",
    "A linear head helps only from a wider model",
    r"""With a linear head behind the LayerNorm the obstruction stays while $D\le d$: the
    readout's image lies in an affine subspace of dimension at most $D-1 < d$. With $D \ge d+1$
    it vanishes: some $d$ coordinates of $z$ take every value in a ball, and a head may use
    them.""",
    proof=r"""A linear image of a subspace has at most its dimension (cited), so some $n \ne 0$
    has $n\cdot\hat y$ constant, and the arguments of C2 and C3 apply. For $D\ge d+1$ choose
    $d$ coordinates with sum $s$ and sum of squares $q$, one more equal to $-s$, others 0: the
    sum is 0, and $q+s^2<D$ if $(d+1)q<D$, as $s^2\le dq$ (first two steps). Such a $z$ is the
    LayerNorm of $x=rz$ for one $r$: $v=r^2Q/D$ with $Q=\|z\|^2$, and $\sqrt{v+\epsilon}=r$
    (last step).""",
    uses=("C2", "C3"),
)
def c5():
    n, big = sp.symbols("n Q", real=True)
    return (
        Entails((s**2 <= n * q, n > 0), (s + z2) ** 2 <= (n + 1) * (q + z2**2)),
        Entails((s**2 <= n * q, (n + 1) * q < d), q + s**2 < d),
        Entails(
            (sp.Eq(r**2 * (d - big), d * eps), sp.Eq(v * d, r**2 * big), d > 0),
            sp.Eq(v + eps, r**2),
        ),
        Cited("a linear image has at most the dimension of its source", "linear algebra"),
    )
