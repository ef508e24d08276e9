"""delta*(eps) in closed form: which window varies most, and the equation that it solves."""

import sympy as sp

from theory.functions import x
from theory.kernel import Bounded, Entails, Identity
from theory.resolution import ROWS, Row, delta, eps
from theory.theorem import theorem

u, v = sp.symbols("u v", real=True)
WORDS = {
    "left": "at the left end of the domain, as the slope decreases",
    "right": "at the right end of the domain, as the slope increases",
    "middle": (
        "in the middle: a window $[p,q]$ with $p<0<q$ varies by $f(q)+f(-p) \\le 2f((q-p)/2)$, "
        "as $f$ is odd, increasing and concave on $[0,b]$; one with $p\\ge0$ by "
        "$f(q)-f(p)\\le f(q-p)$, which is less, as $f(0)=0$"
    ),
}
#: Roots have no second derivative at 0; with x = u^n a window's width is polynomial in its values.
ROOTS = {"cbrt": 3, "sqrt": 2}


def widest(row: Row) -> tuple:
    """Steps which show that no window varies more than the one named."""
    if row.target in ROOTS:
        n = ROOTS[row.target]
        least = 4 if row.place == "middle" else 1  # the width is at least variation^n / least
        base = (u >= v,) if row.place == "middle" else (u >= v, v >= 0)
        rise = (u - v) ** n
        return (
            Entails(base, rise <= least * (u**n - v**n), sharp=rise < least * (u**n - v**n)),
            Identity(u**n, least * delta, at=((u, row.variation),)),
        )
    rises = Bounded(sp.diff(row.expression, x), row.domain, lo=0)
    bend = sp.diff(row.expression, x, 2)
    if bend == 0:
        return (rises,)
    if row.place == "middle":
        odd = Identity(row.expression, -row.expression.subs(x, u), at=((x, -u),))
        return (rises, odd, Bounded(bend, (0, row.domain[1]), hi=0))
    side = {"hi": 0} if row.place == "left" else {"lo": 0}
    return (rises, Bounded(bend, row.domain, **side))


def add(row: Row) -> None:
    """Register the statement of one row."""
    a, b = row.domain

    @theorem(
        f"A3-{row.target}[{a},{b}]",
        f"Resolution of {row.target} on [{a}, {b}]",
        rf"""Let $f$ be {row.target} and $0<2\varepsilon\le f({b})-f({a})$. A window narrower
        than $\delta^*(\varepsilon) = {sp.latex(row.width)}$ has a constant within
        $\varepsilon$ of {row.target} wherever it lies in $[{a},{b}]$; a window of that width
        exists which has none nearer.""",
        proof=rf"""By A2-sup a window has such a constant if and only if the target varies by
        at most $2\varepsilon$ on it. The variation is largest {WORDS[row.place]}: there it is
        ${sp.latex(row.variation)}$, which equals $2\varepsilon$ at $\delta^*$.""",
        uses=("A2-sup",),
    )
    def steps() -> tuple:
        small = ((eps, tuple(sp.Rational(k, 40) for k in range(1, 13, 2))),)
        return (*widest(row), Identity(row.variation, 2 * eps, small, ((delta, row.width),)))


for each in ROWS:
    add(each)

t, p, q = sp.symbols("t p q", real=True)


@theorem(
    "A3-x+cbrt(x)[-1,1]",
    "Resolution of x + cbrt(x) on [-1, 1]",
    r"""For $0<\varepsilon\le2$ a window of $[-1,1]$ no wider than $\delta^*=2(\varepsilon-t)$,
    $t^3+t=\varepsilon$, has a constant within $\varepsilon$; the middle one of that width has
    none nearer.""",
    proof=r"""With $x=u^3$ the target is $u^3+u$. A window from $v^3$ to $u^3$ of the width
    $2t^3$ varies by at most $2(t^3+t)$ (first step), which is what the middle window of that
    width varies by; and that grows with $t$. With $p-q=t$ and $3pq=1$ Cardano solves
    $t^3+t=\varepsilon$ (last step).""",
    uses=("A2-sup",),
)
def x_plus_cbrt():
    width = sp.Symbol("epsilon", real=True)
    return (
        Entails(
            (u >= v, sp.Eq(u**3 - v**3, 2 * t**3)),
            (u**3 + u) - (v**3 + v) <= 2 * (t**3 + t),
            sharp=(u**3 + u) - (v**3 + v) < 2 * (t**3 + t),
        ),
        Entails(
            (sp.Eq(p**3 - q**3, width), sp.Eq(3 * p * q, 1), sp.Eq(t, p - q)),
            sp.Eq(t**3 + t, width),
        ),
    )
