"""Why the encoders of probes/witnesses/ do what they do."""

import sympy as sp

from theory.kernel import Entails, Identity
from theory.theorem import theorem

r, y, t, h, f0, f1, bend, c = sp.symbols("r y t h f_0 f_1 B c", real=True)


@theorem(
    "W1",
    "LayerNorm beside a large constant is nearly linear",
    r"""On features $(x,-x,p,-p,M,-M)$, scaled by $M/\sqrt3$, LayerNorm with $\epsilon=0$ is
    the identity up to a factor in $[1-\frac{x^2+p^2}{2M^2},\,1]$.""",
    proof=r"""The mean is 0 and the variance is $\frac{M^2}{3}(1+r)$ with $r=(x^2+p^2)/M^2$
    (first step). The factor is $y=1/\sqrt{1+r}$, and $1-r/2\le y\le1$ (the other steps).""",
)
def w1():
    x, p, m = sp.symbols("x p M", positive=True)
    features = (x, -x, p, -p, m, -m)
    factor = sp.Eq(y**2 * (1 + r), 1)
    return (
        Identity(sum(v**2 for v in features) / 6, m**2 / 3 * (1 + (x**2 + p**2) / m**2)),
        Entails((y > 0, factor), 1 - y <= r / 2),
        Entails((r >= 0, factor), y <= 1),
    )


@theorem(
    "W2",
    "Piecewise linear interpolation",
    r"""If $|f''|\le B$ between two knots at distance $h$, the chord is within $Bh^2/8$ of $f$;
    for convex $f$ a chord lowered by half of its largest distance is within half of that.""",
    proof=r"""$f$ minus the chord, minus $\frac{B}{2}t(h-t)$, is convex and 0 at both knots, so
    it is at most 0 between them; likewise from below. And $t(h-t)\le h^2/4$ (first step). A
    distance in $[0,d]$, shifted by $d/2$, lies in $[-d/2,d/2]$ (second step).""",
)
def w2():
    d, gap = sp.symbols("d g", real=True)
    return (
        Entails((), 4 * t * (h - t) <= h**2, sharp=4 * t * (h - t) < h**2),
        Entails((gap >= 0, gap <= d), 2 * sp.Abs(gap - d / 2) <= d),
    )


@theorem(
    "W3",
    "ReLU sums interpolate",
    r"""$p(x)=\sum_k c_k\max(x-t_k,0)$ with $c_k$ the change of slope at $t_k$ is linear
    between knots with the slopes asked for: with a bias, one feed-forward layer computes any
    continuous piecewise linear function on a bounded interval whose left end is a knot.""",
    proof=r"""Beyond a knot its term is $c_k(x-t_k)$, before it 0: passing it adds $c_k$ to the
    slope (for two places beyond the knot, and two before).""",
)
def w3():
    a, b, knot = sp.symbols("a b t_k", real=True)

    def term(at: sp.Expr) -> sp.Expr:
        return c * sp.Max(at - knot, 0)

    return (
        Entails((a >= knot, b >= knot), sp.Eq(term(a) - term(b), c * (a - b))),
        Entails((a <= knot, b <= knot), sp.Eq(term(a), term(b))),
    )


@theorem(
    "W4",
    "A sum of tokens by uniform attention",
    r"""With zero queries the attention weights of two tokens are $1/2$ each; values doubled,
    every token receives $x_1+x_2$: the paper's first target in its own tokens, without error,
    by one layer without LayerNorm on features $(x_i, 0)$, which become $(0, x_1+x_2)$.""",
    proof=r"""Equal scores have equal exponentials, so equal weights that add up to 1 (first
    step); the values go to the second half of the features. The feed-forward part takes the first
    half away: ReLU gives the negative of a residual exactly: $-x=\max(-x,0)-\max(x,0)$ (second
    step).""",
)
def w4():
    p, q, x1, x2 = sp.symbols("p q x_1 x_2", real=True)
    return (
        Entails((sp.Eq(p, q), sp.Eq(p + q, 1)), sp.Eq(2 * (p * x1 + q * x2), x1 + x2)),
        Entails((), sp.Eq(sp.Max(-x1, 0) - sp.Max(x1, 0), -x1)),
    )
