"""Smoothness: what encoders are made of, and what "piecewise constant" can mean."""

import sympy as sp

from theory.functions import FUNCTIONS
from theory.kernel import Cited, Entails, Identity
from theory.resolution import yun_layers
from theory.theorem import theorem

#: Functions that are real-analytic wherever they are defined on the open domain they have.
ANALYTIC = tuple(name for name, function in FUNCTIONS.items() if not function.kinks)


def smoothness(functions: set[str]) -> str:
    """What D1 says of a graph that applies these functions."""
    return "analytic" if functions <= set(ANALYTIC) else "piecewise analytic"


@theorem(
    "D1",
    "Encoders of analytic parts are analytic",
    r"""A graph of affine maps, products and functions that are real-analytic where they are
    applied, such as exp, GELU, tanh, $1/x$ on $x\ge1$ and $1/\sqrt{x}$ on $x\ge\epsilon>0$, is
    real-analytic in its inputs. If it is constant on one
    segment, it is constant on the whole line; so it is piecewise constant only if it is
    constant. With ReLU it is continuous and piecewise analytic.""",
    proof=r"""Sums, products and compositions of analytic functions are analytic, and an
    analytic function of one variable that is constant on an interval is constant (cited).
    Softmax's denominator is at least 1, LayerNorm's at least $\epsilon$ (steps).""",
    source="Krantz and Parks, A Primer of Real Analytic Functions, 2nd ed., 2002",
)
def d1():
    t, v, e = sp.symbols("t v epsilon", real=True)
    return (
        Entails((t > 0,), 1 + t >= 1),
        Entails((v >= 0,), v + e >= e),
        Cited("compositions of analytic functions are analytic; the identity theorem",
              "Krantz and Parks 2002, chapter 1"),
    )  # fmt: skip


d, m, w, n = sp.symbols("d m W n", positive=True)


@theorem(
    "Yun-1",
    "Continuous functions are nearly constant on small cubes",
    r"""A continuous function on a compact cube is approximated to any accuracy, in $L^p$ with
    $p<\infty$, by a function that is constant on the cubes of a grid of small enough width
    $\delta$.""",
    proof="Cited.",
    source="Yun et al. 2020, arXiv 1912.10077",
)
def yun_1():
    return (Cited("step (i) of the construction", "Yun et al. 2020, arXiv 1912.10077"),)


@theorem(
    "Yun-2",
    "A modified transformer for a piecewise constant function",
    r"""Transformers with hardmax and piecewise linear activations compute it: about
    $dm/\delta$ layers of feed-forward quantization, $m\delta^{-d}+1$ attention layers for the
    contextual mapping, and $O(m(1/\delta)^{dm})$ feed-forward layers for the values.""",
    proof="Cited; the constants of the orders are not known here and are taken as 1.",
    uses=("Yun-1",),
    source="Yun et al. 2020, arXiv 1912.10077",
)
def yun_2():
    return (Cited("step (ii) of the construction", "Yun et al. 2020, arXiv 1912.10077"),)


@theorem(
    "Yun-3",
    "From hardmax to softmax",
    r"""Softmax and ReLU replace hardmax and the piecewise linear activations, to any accuracy
    in $L^p$, without more layers.""",
    proof="Cited.",
    uses=("Yun-2",),
    source="Yun et al. 2020, arXiv 1912.10077",
)
def yun_3():
    return (Cited("step (iii) of the construction", "Yun et al. 2020, arXiv 1912.10077"),)


@theorem(
    "Size",
    "The layers that the construction takes for an accuracy",
    r"""For a target that applies one function of one variable, with resolution
    $\delta^*(\varepsilon)$, to each of the $dm$ coordinates, and the constants of the orders
    taken as 1: with $\delta=\delta^*(\varepsilon)$ the construction has about
    $m(W/\delta^*)^{dm}$ layers: $\log_{10}$ of them is $\log_{10}m+dm\log_{10}(W/\delta^*)$.""",
    proof=r"""A grid of any offset has a sup error of at most $\varepsilon$ in each coordinate
    if and only if its width is at most $\delta^*(\varepsilon)$ (the rows of A3). Sup accuracy
    concerns step (i) only: the construction's guarantee is in $L^p$. The rest is arithmetic.
    It is an upper bound on one construction.""",
    uses=("Yun-3", "A3", "A4"),
    source="reconstruction of arXiv 2402.15478 from its abstract and public summaries",
)
def size():
    delta = sp.Symbol("delta", positive=True)
    return (
        Identity(
            sp.log(yun_layers(d, m, delta, w)), sp.log(m) + d * m * (sp.log(w) - sp.log(delta))
        ),
    )


@theorem(
    "Size-is-no-lower-bound",
    "The same arithmetic for the identity",
    r"""For the identity on $[-1,1]^8$, $d=4$ and $m=2$, the construction has
    $m\,(W/(2\varepsilon))^8$ layers with $W=2$, $2\cdot10^8$ at $\varepsilon=0.1$; a residual
    encoder without LayerNorm and with zero weights computes the identity without error. So a
    count of that construction is not a count that every encoder needs.""",
    proof=r"""$\delta^*=2\varepsilon$ for the identity. A residual block with zero weights adds
    0 to its input: that is the definition, and needs no step. The step is the count.""",
    uses=("Size", "A3-identity[-1,1]"),
)
def no_lower_bound():
    eps = sp.Symbol("epsilon", positive=True)
    return (
        Identity(yun_layers(d, m, w, 2), 2 * 10**8, at=((d, 4), (m, 2), (w, sp.Rational(1, 5)))),
        Identity(sp.log(yun_layers(d, m, 2 * eps, 2)), sp.log(m) - d * m * sp.log(eps)),
    )
