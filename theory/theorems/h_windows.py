"""What bounds on slopes and on neighboring intervals say of a whole domain."""

import sympy as sp

from theory.kernel import Cited, Entails
from theory.theorem import theorem

x, y, gx, gy, r, lo, hi, bound = sp.symbols("x y g_x g_y r m M L", real=True)


@theorem(
    "D4",
    "Bounds on the derivative bound all difference quotients",
    r"""Let $g$ be continuous on an interval and differentiable except at finitely many points,
    with $m\le g'\le M$ elsewhere. Then $m\,(y-x)\le g(y)-g(x)\le M\,(y-x)$ for all $x<y$. So
    $g$ does not decrease if $m\ge0$, does not increase if $M\le0$, and is $L$-Lipschitz if
    $-L\le m$ and $M\le L$. If $g'$ is above $L$ at one point, $g$ is not $L$-Lipschitz.""",
    proof=r"""Between neighboring exceptional points the mean value theorem (cited) gives
    $g(y)-g(x)=r\,(y-x)$ with $m\le r\le M$; the first step adds two neighboring pieces. The
    other steps read off what a quotient between $m$ and $M$ means. The last claim is the
    definition of the derivative.""",
    source="Rudin, Principles of Mathematical Analysis, 3rd ed., 1976, theorem 5.10",
)
def d4():
    z, gz = sp.symbols("z g_z", real=True)
    quotient = sp.Eq(gy - gx, r * (y - x))
    return (
        Cited("the mean value theorem", "Rudin 1976, theorem 5.10"),
        Entails(
            (lo * (y - x) <= gy - gx, gy - gx <= hi * (y - x), lo * (z - y) <= gz - gy,
             gz - gy <= hi * (z - y)),
            sp.And(lo * (z - x) <= gz - gx, gz - gx <= hi * (z - x)),
        ),
        Entails((quotient, lo <= r, x < y, lo >= 0), gy >= gx),
        Entails((quotient, r <= hi, x < y, hi <= 0), gy <= gx),
        Entails(
            (quotient, lo <= r, r <= hi, x < y, -bound <= lo, hi <= bound),
            sp.Abs(gy - gx) <= bound * (y - x),
        ),
    )  # fmt: skip


v, d, tau, inner, outer, least, spread = sp.symbols("V Delta tau v D_+ d s", real=True)
fa, fb, ha, hb, top, bottom = sp.symbols("f_a f_b h_a h_b h_+ h_-", real=True)


@theorem(
    "D5",
    "Finitely many leaves decide windows of any place and width",
    r"""Let leaves cover the domain and let a window begin in leaf $p$ and end in leaf $q$. Let
    $v$ and $d$ be variations that model and target reach on the leaves strictly between, $D_+$
    the spread of the target's bounds and $s$ that of the bounds on $g-f$ over the leaves
    $p,\dots,q$. For $0\le\tau<1$ the window is no $\tau$-plateau if $v>\tau D_+$, or if
    $(1-\tau)\,d>s$. If no window of the pairs $(p,q)$ whose leaves are wider than $w$ together
    is one, none in the domain wider than $w$ is.""",
    proof=r"""The window contains the leaves between $p$ and $q$, so $V\ge v$ and $\Delta\ge d$,
    and lies in the leaves $p,\dots,q$, so $\Delta\le D_+$ (first step). Take $a$, $b$ where
    $f$ is largest and smallest, or nearly so, and $h=g-f$: $g(a)-g(b)=\Delta+h(a)-h(b)$, so
    $V\ge\Delta-s$ (second step), which sharpens A1-dual; the third step concludes. Every window
    belongs to some pair, whose leaves are at least as wide together as the window.""",
    uses=("D3",),
)
def d5():
    ends = (bottom <= ha, hb <= top, sp.Eq(spread, top - bottom))
    return (
        Entails((v >= inner, d <= outer, tau >= 0, inner > tau * outer), v > tau * d),
        Entails((*ends, sp.Eq(d, fa - fb), v >= (fa + ha) - (fb + hb)), v >= d - spread),
        Entails((v >= d - spread, d >= least, tau < 1, (1 - tau) * least > spread), v > tau * d),
    )
