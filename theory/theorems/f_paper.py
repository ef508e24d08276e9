"""The paper's three claims: what is proved, conditional, refuted, or left to a model's verdict."""

import sympy as sp

from theory.kernel import Entails, Witness
from theory.theorem import theorem

#: Digest of the witness's graph; tests/probes/test_witnesses.py builds the model again.
GRAPH = "d54454b090f4f424efbbc4c698a34e3786826c1ee1c696b861cab7befc1485aa"
SOURCE = "Nath, Khadilkar, Bhattacharyya, arXiv 2402.15478"


@theorem(
    "P1",
    "Encoders cannot approximate smooth functions (theory)",
    r"""The claim: Transformer encoders cannot approximate smooth functions. Read as "no encoder, of
    whatever size, is within 0.002 of any smooth function that is not trivial", it is false: one
    is, for $e^x$ on $[-1,1]$. Read as "some smooth function is out of reach of all of them", it is
    true of encoders that end in LayerNorm without a head and have $D=d$ (C2, C3); for encoders
    without LayerNorm and errors in $L^p$ it contradicts the theorem of Yun et al., cited here and
    not proved; in the maximum norm nothing is claimed. Read as "some smooth functions of many
    variables take very large encoders", it is neither proved nor refuted here.""",
    proof=r"""The paper's argument bounds the size of one construction from above (Size): a
    statement about that construction, conditional on it, and no lower bound for encoders
    (Size-is-no-lower-bound). What would be needed is a lower bound for all encoders; the
    argument gives none, and for $e^x$ at accuracy 0.002 none exists: the step below is a
    certificate, accepted by the independent checker when this page is proved, of ONE post-norm
    encoder layer with linear maps in front and behind that is within 0.002 of $e^x$ on all of
    $[-1,1]$, in real arithmetic. That the certificate's graph is what torch's layer computes
    is tested, not proved; the step binds the graph by its digest. That refutes the first reading,
    and is what the status says. The obstruction of the second comes from geometry, not from
    piecewise constancy. Of the third: for generic Lipschitz functions exponential size is the
    classical curse of dimensionality (known; not proved here), which encoders share with other
    methods.""",
    source=SOURCE,
    refutes=True,
)
def p1():
    return (Witness("exp.cert.json.gz", "exp(x)", sp.Rational(2, 1000), GRAPH),)


@theorem(
    "P2",
    "The full Transformer cannot approximate smooth functions (experiment)",
    r"""The claim: experiments show that the full Transformer fails on smooth functions. An
    experiment shows what was trained; what is provable of the models in question is a floor.""",
    proof=r"""torch's nn.Transformer ends in LayerNorm. Without a linear head and with model
    width $D=d$, as in the released code's regression, the relative root mean square error of
    uncorrelated coordinates of equal variance is at least $1/\sqrt d$ (C3; the step), 50 % for
    $d=4$, whatever the training. With a head and $D\ge d+1$ that obstruction is gone (C5).
    Whether a given model approximates a given function is left to its certificate.""",
    uses=("C3", "C5"),
    source=SOURCE,
    decided=False,
)
def p2():
    r, d = sp.symbols("r d", real=True)
    return (Entails((r >= 0, sp.Eq(d, 4), d * r**2 >= 1), r >= sp.Rational(1, 2)),)


@theorem(
    "P3",
    "They rely on piecewise constant approximations with sizable intervals",
    r"""The claim: Transformers rely on "piecewise constant approximations with sizable
    intervals". Literally, in exact arithmetic, false for every encoder of analytic parts along
    every line on which it is not constant (D1). Quantitatively: "on some window of width
    $\delta$ the model varies by at most $\tau$ times what the target does", which is decided
    for a given model (D3).""",
    proof=r"""By D1 a plateau in the exact sense is impossible on a line along which the model
    is not constant. D3 makes the quantitative claim decidable from certified bounds, in both
    directions, and `certify check` reports the verdict for every model; a certified error of
    $\varepsilon$ excludes all $\tau$-plateaus, $0\le\tau<1$, on windows where the target
    varies by more than $2\varepsilon/(1-\tau)$ (A1-dual, again as a step).""",
    uses=("D1", "D3", "A1-dual"),
    source=SOURCE,
    decided=False,
)
def p3():
    v, d, eps, tau = sp.symbols("V Delta epsilon tau", real=True)
    return (Entails((v >= d - 2 * eps, d * (1 - tau) > 2 * eps), v > tau * d),)
