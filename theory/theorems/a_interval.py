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
