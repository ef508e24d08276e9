"""Attention to one token, how far softmax moves, what a margin does, how many pieces ReLU makes."""

import sympy as sp

from theory.kernel import Cited, Entails, Identity
from theory.theorem import theorem

a, b, r, q, p, n, s, w = sp.symbols("a b r q p n s w", real=True)
e1, e2, p1, p2, p3 = sp.symbols("e_1 e_2 p_1 p_2 p_3", real=True)


def alone(weight: sp.Expr, exponential: sp.Expr) -> tuple:
    """The weight of a single key: its exponential over the sum of all, which is that one."""
    return sp.Eq(weight * exponential, exponential), exponential > 0


@theorem(
    "L5",
    "Attention over one token is affine",
    r"""Attention with a single key is an affine map of its token: the weight is 1 and the output
    $W_O(W_Vx+b_V)+b_O$, whatever queries, keys, scores and number of heads are. That holds for
    the self-attention of a sequence of one token ($m=1$), for cross-attention to an encoder's
    output of one token, and for the first position under a causal mask.""",
    proof=r"""The weight times the sum of the exponentials is its own term, the only one (first
    step). So each head returns its values. Values are affine: with partial sums $S_1$, $S_2$, $S$
    of $\sum_jw_jx_j$ at two tokens and at $rx_1+(1-r)x_2$, $S=rS_1+(1-r)S_2$ holds for no terms
    and is kept by one more (second step), and so is the output $y=p(S+b)$ of a head with the
    weight 1 (third step). $W_O$ and $b_O$ are such sums of the outputs.""",
)
def l5():
    s1, s2, s3, x1, x2, w, r, b = sp.symbols("S_1 S_2 S x_1 x_2 w r b", real=True)
    mixed = r * s1 + (1 - r) * s2
    return (
        Entails(alone(p1, e1), sp.Eq(p1, 1)),
        Entails(
            (sp.Eq(s3, mixed),),
            sp.Eq(s3 + w * (r * x1 + (1 - r) * x2), r * (s1 + w * x1) + (1 - r) * (s2 + w * x2)),
        ),
        Entails(
            (sp.Eq(p1, 1), sp.Eq(p2, 1), sp.Eq(p3, 1), sp.Eq(s3, mixed)),
            sp.Eq(p3 * (s3 + b), r * p1 * (s1 + b) + (1 - r) * p2 * (s2 + b)),
        ),
    )


@theorem(
    "L5-decoder",
    "Self-attention of a constant start token is constant",
    r"""If the decoder's input is one start token that does not depend on the model's input, then
    neither does the output of the first decoder layer's self-attention, nor what the residual and
    LayerNorm make of it. So that layer's cross-attention has the same query for every input; with
    one memory token it does not use even that. The self-attention of later layers is affine in
    its token.""",
    proof=r"""By L5 the weight is 1 for any two inputs of the model, whatever the scores, and the
    output is $S+b$ with the same sum $S$ of the same start token (the first step); the residual
    adds the same token again (second step), and a function of what is the same is the same. Later
    layers and cross-attention with one memory token are L5.""",
    uses=("L5",),
)
def l5_decoder():
    s1, s2, b, t1, t2 = sp.symbols("S_1 S_2 b t_1 t_2", real=True)
    same = sp.Eq(p1 * (s1 + b), p2 * (s2 + b))
    return (
        Entails((*alone(p1, e1), *alone(p2, e2), sp.Eq(s1, s2)), same),
        Entails((same, sp.Eq(t1, t2)), sp.Eq(t1 + p1 * (s1 + b), t2 + p2 * (s2 + b))),
    )


@theorem(
    "L8",
    "Softmax moves by at most tanh of a quarter",
    r"""The total variation between the softmax of $s$ and of $s'$ is at most
    $\tanh(\mathrm{osc}(s-s')/4)$, $\mathrm{osc} = \max-\min$; attained for two keys.""",
    proof=r"""Total variation is the largest $|p(A)-p'(A)|$ over sets $A$ of keys, and
    $p(A)=1/(1+e^{-l})$ with the logarithm $l$ of the ratio of the sums over $A$ and over the
    rest. Changes of the scores in $[m,M]$ change the two sums by factors in $[e^m,e^M]$, and
    the ratio by at most $e^{M-m}$ (first step). With $l=u\pm h$, $\alpha=e^u$ and $\beta=e^h$
    the difference is $(\beta-1/\beta)/(\alpha+1/\alpha+\beta+1/\beta)$ (second step), which is
    largest at $\alpha+1/\alpha=2$ (third step), where it is $\tanh(h/2)$ (last step), with
    $2h=\mathrm{osc}$.""",
)
def l8():
    u, h = sp.symbols("u h", real=True)
    low, high, top, rest, new_top, new_rest = sp.symbols("e_m e_M A B A_1 B_1", real=True)

    def sigmoid(t: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-t))

    alpha, beta = sp.exp(u), sp.exp(h)
    spread = (beta - 1 / beta) / (alpha + 1 / alpha + beta + 1 / beta)
    return (
        Entails(
            (low > 0, high > 0, top > 0, rest > 0, new_top <= high * top, new_rest >= low * rest,
             sp.Eq(r * low, high)),
            new_top * rest <= r * top * new_rest,
        ),
        Identity(sigmoid(u + h) - sigmoid(u - h), spread),
        Entails((a > 0, sp.Eq(a * b, 1)), a + b >= 2),
        Identity(spread.subs(u, 0), sp.tanh(h / 2)),
    )  # fmt: skip


@theorem(
    "L9",
    "A margin concentrates attention",
    r"""If one of $n$ keys has a score larger by $\mu$ than every other, the weight off it is
    at most $(n-1)e^{-\mu}$.""",
    proof=r"""Each other weight is at most $q=e^{-\mu}$ times the top one $p\le1$; with one
    more of them the sum $s$ keeps its bound (first step), and $nqp\le nq$ (second step).""",
)
def l9():
    return (
        Entails((s <= n * q * p, w <= q * p), s + w <= (n + 1) * q * p),
        Entails((s <= n * q * p, p <= 1, n >= 0, q >= 0), s <= n * q),
    )


@theorem(
    "L10",
    "Pieces of a ReLU path",
    r"""Along a line, affine maps and $L$ layers of $w$ ReLUs each, without attention and
    LayerNorm, make at most $(w+1)^L$ linear pieces.""",
    proof=r"""Without a layer there is one piece. On a linear piece each of the $w$ units of the
    next layer changes its sign at most once, which cuts it into at most $w+1$; so the number of
    pieces grows by that factor (the step, with $P=(w+1)^k$).""",
)
def l10():
    pieces, more, bound = sp.symbols("N N_1 P", real=True)
    return (Entails((pieces <= bound, more <= pieces * (w + 1), w >= 0), more <= bound * (w + 1)),)


@theorem(
    "L11",
    "Analytic functions are close to polynomials",
    r"""If $f$ is analytic and $|f|\le M$ inside the Bernstein ellipse of parameter $\rho>1$,
    the polynomial of degree $n$ that interpolates it at Chebyshev points is within
    $4M\rho^{-n}/(\rho-1)$ of it on $[-1,1]$.""",
    proof=r"""Cited: coefficients of at most $2M\rho^{-k}$, and interpolation at most doubles
    the sum of those left out; the sum is geometric (step).""",
    source="Trefethen, Approximation Theory and Approximation Practice, 2013, chapter 8",
)
def l11():
    rho, k = sp.symbols("rho k", positive=True)
    big = sp.Symbol("M", positive=True)
    tail = 4 * big * rho**-k / (rho - 1)
    return (
        Identity(tail - tail.subs(k, k + 1), 4 * big * rho ** (-k - 1)),
        Cited("bounds of Chebyshev coefficients and of aliasing", "Trefethen 2013, chapter 8"),
    )
