"""What encoders whose last operation is LayerNorm cannot do, whatever their size and training."""

import sympy as sp

from theory.floors import ROOTS, VARIANCES, positive
from theory.functions import x
from theory.kernel import Cited, Entails, Identity, Integral
from theory.targets import TARGETS
from theory.theorem import theorem

z1, s, q, d, v, eps, r = sp.symbols("z_1 s q D v epsilon r", real=True)


@theorem(
    "C0",
    "LayerNorm lands on a sphere in a hyperplane",
    r"""Let $z=(y-\beta)/\gamma$ be the normalized output of LayerNorm over $D$ features with
    variance $v$ and $\epsilon>0$. Then $\sum z_i=0$ and $\sum z_i^2 = Dv/(v+\epsilon) < D$.
    For $D=1$ the output is constant; for $D=2$ it lies on a segment,
    $z=(t,-t)/\sqrt{t^2+\epsilon}$.""",
    proof=r"""Let $\sigma=\sqrt{v+\epsilon}$, so $\sigma z_i=x_i-\mu$. Over the first $n$ features
    let $X$, $Y$, $Z$ and $Q$ be the sums of $x_i$, $(x_i-\mu)^2$, $z_i$ and $z_i^2$. Then $\sigma
    Z=X-n\mu$ and $\sigma^2Q=Y$, for $n=0$ and with one more feature (first two steps). For $n=D$
    the mean and the variance are $X=D\mu$ and $Y=Dv$ by definition, so $Z=0$ (third step) and
    $Q(v+\epsilon)=Dv$, less than $D(v+\epsilon)$ (fourth step). $Y$ is $S-2\mu X+n\mu^2$ with the
    sum $S$ of $x_i^2$ (fifth step). $D=1$: $z_1=Z=0$. For $D=2$ with $x_1-x_2=2t$ the variance is
    $t^2$ (last step).""",
)
def c0():
    entry, mu, sigma, z, n = sp.symbols("x mu sigma z n", real=True)
    xs, squares, plain, zs, qs = sp.symbols("X Y S Z Q", real=True)
    t, m, x1, x2 = sp.symbols("t m x_1 x_2", real=True)
    two = ((x1 - (x1 + x2) / 2) ** 2 + (x2 - (x1 + x2) / 2) ** 2) / 2
    feature = sp.Eq(sigma * z, entry - mu)
    return (
        Entails((sp.Eq(sigma * zs, xs - n * mu), feature),
                sp.Eq(sigma * (zs + z), xs + entry - (n + 1) * mu)),
        Entails((sp.Eq(sigma**2 * qs, squares), feature),
                sp.Eq(sigma**2 * (qs + z**2), squares + (entry - mu) ** 2)),
        Entails((sp.Eq(sigma * zs, xs - d * mu), sp.Eq(xs, d * mu), sigma > 0), sp.Eq(zs, 0)),
        Entails((v >= 0, eps > 0, d > 0, sp.Eq(q * (v + eps), d * v)), q < d),
        Entails((sp.Eq(squares, plain - 2 * mu * xs + n * mu**2),),
                sp.Eq(squares + (entry - mu) ** 2,
                      plain + entry**2 - 2 * mu * (xs + entry) + (n + 1) * mu**2)),
        Identity(two, t**2, at=((x1, m + t), (x2, m - t))),
    )  # fmt: skip


@theorem(
    "C1",
    "No coordinate is large",
    r"""$|z_i|\le\sqrt{D-1}$, so $|y_i| \le |\beta_i|+|\gamma_i|\sqrt{D-1}$; sharp as
    $v/\epsilon\to\infty$ ($D>1$; for $D=1$ both are 0).""",
    proof=r"""Let $s$ be the sum and $q$ the sum of squares of the other $D-1$ coordinates:
    $s=-z_1$ and $q\le D-z_1^2$ by C0, $s^2\le(D-1)q$ by L0 (first step). Sharp: one coordinate
    $\sqrt{D-1}$, the others $-1/\sqrt{D-1}$, have sum 0 and squares that add up to $D$ (the
    other steps, with $n=D-1$).""",
    uses=("L0", "C0"),
)
def c1():
    n = sp.Symbol("n", positive=True)
    large, small = sp.symbols("z_1 z_2", real=True)
    extreme = ((large, sp.sqrt(n)), (small, -1 / sp.sqrt(n)))
    return (
        Entails((sp.Eq(s, -z1), s**2 <= (d - 1) * q, q <= d - z1**2, d > 1), z1**2 <= d - 1),
        Identity(large + n * small, 0, at=extreme),
        Identity(large**2 + n * small**2, n + 1, at=extreme),
    )  # fmt: skip


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
    $n$ the values of $\sum w_i(y_i-\hat y_i)$ at the two). If each error were at most $rh_i$
    with $r<1$, partial sums $T$ of $|w_i||y_i-\hat y_i|$ and $H$ of $|w_i|h_i$ would have $T\le rH$
    (second step: one more coordinate), and $T<H$ in the end (third step).""",
    uses=("A2-sup", "C0"),
)
def c2():
    p, n, total, worst = sp.symbols("p n S E", real=True)
    error, bound, far, half, weight = sp.symbols("T H e h w", real=True)
    return (
        Entails(
            (sp.Eq(p - n, 2 * total), sp.Abs(p) <= worst, sp.Abs(n) <= worst), worst >= total
        ),
        Entails(
            (error <= r * bound, far <= r * half, weight >= 0),
            error + weight * far <= r * (bound + weight * half),
        ),
        Entails((error <= r * bound, bound > 0, r < 1), error < bound),
    )  # fmt: skip


@theorem(
    "C2-own",
    "What one readout costs",
    r"""Let the outputs be all features of a LayerNorm with the gains $\gamma_i\ne0$ and offsets
    $\beta_i$, and $w_i=1/\gamma_i$. For every map before the LayerNorm and every $x$,
    $|\sum w_i(y_i-\beta_i)|$ is at most $\sum|w_i|$ times the error's max norm there, and at most
    $\sqrt{\sum w_i^2}$ times its 2-norm. An output of gain 0 is $\beta_i$, off by
    $|y_i-\beta_i|$.""",
    proof=r"""By C0 $\sum w_i\hat y_i=\sum w_i\beta_i$; with the sums $P$ of $w_iy_i$, $Q$
    of $w_i\hat y_i$, $B$ of $w_i\beta_i$ and $T$ of $w_i(y_i-\hat y_i)$, $T=P-B$ (first step).
    If no error exceeds $r$, partial sums $T$, and $H$ of $|w_i|$, keep $|T|\le rH$ (second step).
    In the 2-norm this is L0.""",
    uses=("L0", "C0"),
)
def c2_own():
    wanted, got, shift, total, far = sp.symbols("P Q B T H", real=True)
    error, weight, size = sp.symbols("e w m", real=True)
    return (
        Entails((sp.Eq(got, shift), sp.Eq(total, wanted - got)), sp.Eq(total, wanted - shift)),
        Entails(
            (sp.Abs(total) <= r * far, sp.Abs(error) <= r, size >= weight, size >= -weight),
            sp.Abs(total + weight * error) <= r * (far + size),
        ),
    )


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
    \ge \lambda_{\min}$: the first is L0 (first step: with the sum $A$ of the $n_i^2$ equal to 1),
    the second is $E(c-Y)^2=\mathrm{Var}\,Y+(c-EY)^2$ with the moments $\mu$,
    $m_2$ (second step), and the last says what the least eigenvalue is. The variances are
    integrals; the odd targets have mean 0, and the squares of those with a root are integrated
    over $[0,1]$.""",
    uses=("L0", "C2"),
)
def c3():
    c, mu, m2 = sp.symbols("c mu m_2", real=True)
    total, one, two = sp.symbols("S A B", real=True)
    steps = [
        Entails((total**2 <= one * two, sp.Eq(one, 1)), total**2 <= two),
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
    sum is 0, and $q+s^2<D$ if $(d+1)q<D$, as $s^2\le dq$ by L0 (first step). Such a $z$ is the
    LayerNorm of $x=rz$ for one $r$: $v=r^2Q/D$ with $Q=\|z\|^2$, and $\sqrt{v+\epsilon}=r$
    (last step).""",
    uses=("L0", "C2", "C3"),
)
def c5():
    n, big = sp.symbols("n Q", real=True)
    return (
        Entails((s**2 <= n * q, (n + 1) * q < d), q + s**2 < d),
        Entails(
            (sp.Eq(r**2 * (d - big), d * eps), sp.Eq(v * d, r**2 * big), d > 0),
            sp.Eq(v + eps, r**2),
        ),
        Cited("a linear image has at most the dimension of its source", "linear algebra"),
    )
