"""Interval bounds, valid for every model: what its variation on an interval says of its error."""

import sympy as sp

from theory.kernel import Entails, Identity
from theory.theorem import theorem

e, v, d, eps, tau, r = sp.symbols("e V Delta epsilon tau r", real=True)
fa, fb, ga, gb = sp.symbols("f_a f_b g_a g_b", real=True)
top, bottom, lo, hi, gt, gm = sp.symbols("S I lo hi g_S g_I", real=True)


@theorem(
    "A1",
    "Error from variation",
    r"""On an interval let $\Delta$ be the variation of the target $f$ and $V$ that of the
    model $g$. Then $\sup|f-g| \ge (\Delta-V)/2$; for $0\le V\le\Delta$, $\Delta>0$, no larger
    bound in terms of $\Delta$ and $V$ holds.""",
    proof=r"""Take $a$, $b$ where $f$ is largest and smallest (or nearly so). With $e =
    \sup|f-g|$ the first step gives the bound. For $V\le\Delta$ it is attained: $g = c +
    (V/\Delta)(f-c)$, with $c$ midway between the extremes of $f$, has variation $V$, and $f-g$
    is largest where $f-c = \Delta/2$.""",
)
def a1():
    return (
        Entails(
            (sp.Eq(d, fa - fb), sp.Abs(fa - ga) <= e, sp.Abs(fb - gb) <= e, sp.Abs(ga - gb) <= v),
            2 * e >= d - v,
        ),
        Identity((1 - v / d) * d / 2, (d - v) / 2),
    )


@theorem(
    "A1'",
    "Error from range",
    r"""If $g(I) \subseteq [lo, hi]$, then $\sup|f-g| \ge \max(\sup f-hi,\, lo-\inf f,\, 0)$,
    which is at least $(\Delta-(hi-lo))/2$.""",
    proof=r"""At a place where $f$ is (nearly) $S=\sup f$ the model is at most $hi$; at one
    where it is $I=\inf f$ the model is at least $lo$. The last step compares with A1.""",
    uses=("A1",),
)
def a1_range():
    return (
        Entails((sp.Abs(top - gt) <= e, gt <= hi), e >= top - hi),
        Entails((sp.Abs(bottom - gm) <= e, gm >= lo), e >= lo - bottom),
        Entails((), 2 * sp.Max(top - hi, lo - bottom, 0) >= (top - bottom) - (hi - lo)),
    )


@theorem(
    "A1-dual",
    "Variation from error",
    r"""If $\sup_I|f-g| \le \varepsilon$, then $V \ge \Delta-2\varepsilon$; so, for
    $0\le\tau<1$, one certificate of the error excludes every $\tau$-plateau on windows with
    $\Delta > 2\varepsilon/(1-\tau)$.""",
    proof="A1 read backwards, and the definition of a plateau.",
    uses=("A1",),
)
def a1_dual():
    return (
        Entails((2 * e >= d - v, e <= eps), v >= d - 2 * eps),
        Entails(
            (2 * e >= d - v, e <= eps, tau < 1, sp.Eq(r * (1 - tau), 2 * eps), d > r),
            v > tau * d,
        ),
    )


vl, vh, dl, dh = sp.symbols("V_- V_+ D_- D_+", real=True)


@theorem(
    "D3",
    "Plateaus are decided by bounds",
    r"""Let $V_-\le V\le V_+$ and $D_-\le\Delta\le D_+$ on a window, and $\tau \ge 0$. If
    $V_+\le\tau D_-$ the window is a $\tau$-plateau, $V\le\tau\Delta$, and $\sup|f-g| \ge
    (1-\tau)D_-/2$. If $V_->\tau D_+$ it is none. Both cannot hold.""",
    proof="Each claim is one entailment; the error comes from A1.",
    uses=("A1",),
)
def d3():
    ordered = (vl <= vh, dl <= dh)
    return (
        Entails((v <= vh, dl <= d, tau >= 0, vh <= tau * dl), v <= tau * d),
        Entails((vl <= v, d <= dh, tau >= 0, vl > tau * dh), v > tau * d),
        Entails((*ordered, tau >= 0, vh <= tau * dl), vl <= tau * dh),
        Entails((2 * e >= d - v, v <= vh, dl <= d, vh <= tau * dl), 2 * e >= (1 - tau) * dl),
    )


u, w, left, right, total, one, two = sp.symbols("u w a b S A B", real=True)
ra, rb, rc, part, whole = sp.symbols("p q c T U", real=True)


@theorem(
    "A1-norm",
    "Several outputs together",
    r"""Let $f$ and $g$ have $k$ outputs, measure vectors in the max norm or the 2-norm, and call
    $\sup\|h(x)-h(y)\|$ over a set the variation of $h$ there, its diameter. A1, A1-dual and D3 hold
    as they stand. The variation is the largest of the outputs' variations $v_j$ in the max norm;
    in the 2-norm it is at least that, and at most $\sqrt{\sum v_j^2}$. So is $\sup\|h\|$, of
    the outputs' $\sup|h_j|$.""",
    proof=r"""Both norms obey the triangle inequality: entry by entry (first step); for the 2-norm
    let $A$, $B$ and $S$ be the sums of $a_i^2$, $b_i^2$ and $a_ib_i$, $S^2\le AB$ by L0, and the
    lengths $p$, $q$ of the two vectors and $c$ of their sum are the roots of $A$, $B$ and $A+2S+B$
    (second step). So $\|f(a)-f(b)\| \le \|f(a)-g(a)\|+\|g(a)-g(b)\|+\|g(b)-f(b)\|$, which
    is A1 (third step, for $a$, $b$ with $\|f(a)-f(b)\|$ nearly $\Delta$); the others only use
    A1. No entry exceeds the norm: $u^2\le T+u^2$ with the sum $T$ of the other squares (fourth
    step). If $|u|\le v$ in one more entry, sums of squares stay ordered (fifth step); the maxima
    of numbers are ordered if these are.""",
    uses=("L0", "A1", "A1-dual", "D3"),
)
def a1_norm():
    return (
        Entails((sp.Abs(left) <= ra, sp.Abs(right) <= rb), sp.Abs(left + right) <= ra + rb),
        Entails(
            (total**2 <= one * two, sp.Eq(ra**2, one), sp.Eq(rb**2, two), ra >= 0, rb >= 0,
             sp.Eq(rc**2, one + 2 * total + two)),
            rc <= ra + rb,
        ),
        Entails((d <= u + w + r, u <= e, r <= e, w <= v), 2 * e >= d - v),
        Entails((part >= 0,), u**2 <= part + u**2),
        Entails((part <= whole, sp.Abs(u) <= w), part + u**2 <= whole + w**2),
    )  # fmt: skip
