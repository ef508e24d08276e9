"""`certify selftest`: does this installation keep the promises that the engine's bounds rest on?

The engine believes IEEE 754 arithmetic of torch and its BLAS, torch's sqrt within one unit in the
last place, and exp and log within two (`certify/rounding.py`). Here each is held against exact
integers, exact fractions, or Arb, on this machine. The independent checker believes none of it.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import torch
from flint import arb
from torch import Tensor

from certify.domains import tables
from certify.rounding import LIBM, U, accurate_product, gamma
from theory import arb as ball
from theory.functions import FUNCTIONS

ADVICE = {
    "rounding": "some library has changed the processor's rounding mode or flushes small numbers "
    "to zero (code built with -ffast-math does when it is loaded): run without it, and leave "
    "torch.set_flush_denormal off",
    "libm": "torch's sqrt, exp or log is less accurate here than is believed: install the version "
    "of torch in constraints.txt",
    "BLAS": "the matrix library is wrong here: try OMP_NUM_THREADS=1, then "
    "OPENBLAS_CORETYPE=Haswell or MKL_CBWR=COMPATIBLE, then the version of torch in "
    "constraints.txt",
    "proofs": "the engine and the checker disagree, or one of them does not run: install the "
    "versions in constraints.txt",
}
UNTIL_THEN = (
    "Until this passes, believe only what the checker accepted (certify check --verify, certify "
    "verify): it uses neither torch nor BLAS."
)


@dataclass(frozen=True)
class Result:
    """One promise: which, whether it held, and the numbers."""

    name: str
    advice: str
    passed: bool
    says: str
    seconds: float


def selftest(seed: int = 0) -> Iterator[Result]:
    """Every test, one after the other."""
    for name, (advice, test) in TESTS.items():
        began = time.perf_counter()
        try:
            passed, says = test(random.Random(f"{seed} {name}"))
        except Exception as problem:  # a test that breaks off has not passed
            passed, says = False, f"broke off: {type(problem).__name__}: {str(problem)[:200]}"
        yield Result(name, advice, passed, says, time.perf_counter() - began)


def line(result: Result) -> str:
    """As printed."""
    verdict = "PASSED" if result.passed else "FAILED"
    return f"{verdict}      {result.name}: {result.says} ({result.seconds:.1f} s)"


def advice(failed: list[Result]) -> str:
    """What to do about the tests that failed."""
    return "\n".join([*(ADVICE[a] for a in dict.fromkeys(r.advice for r in failed)), UNTIL_THEN])


def _numbers(rng: random.Random, count: int, bits: int = 40) -> list[float]:
    """Random signs, 53-bit fractions and exponents within +-bits."""
    return [
        math.ldexp(rng.choice((-1, 1)) * rng.randrange(2**52, 2**53), rng.randint(-bits, bits) - 52)
        for _ in range(count)
    ]


def nearest(exact: Fraction) -> float:
    """The float64 nearest to a fraction, ties to even (Python rounds integer quotients so)."""
    return exact.numerator / exact.denominator


def rounding(rng: random.Random) -> tuple[bool, str]:
    """+ - * / round to nearest, in vectors of torch and of numpy."""
    count, wrong = 1501, []  # odd: vector instructions and what is left over
    a, b = _numbers(rng, count), _numbers(rng, count)
    exact = {
        "+": [nearest(Fraction(p) + Fraction(q)) for p, q in zip(a, b, strict=True)],
        "-": [nearest(Fraction(p) - Fraction(q)) for p, q in zip(a, b, strict=True)],
        "*": [nearest(Fraction(p) * Fraction(q)) for p, q in zip(a, b, strict=True)],
        "/": [nearest(Fraction(p) / Fraction(q)) for p, q in zip(a, b, strict=True)],
    }
    x, y = (torch.tensor(v, dtype=torch.float64) for v in (a, b))
    for kind, (p, q) in {"torch": (x, y), "numpy": (x.numpy(), y.numpy())}.items():
        found = {"+": p + q, "-": p - q, "*": p * q, "/": p / q}
        wrong += [f"{kind} {n}" for n, v in found.items() if list(map(float, v)) != exact[n]]
    up = torch.nextafter(x, torch.tensor(math.inf)).tolist()
    if up != [math.nextafter(v, math.inf) for v in a]:
        wrong.append("torch nextafter")
    return not wrong, f"{4 * count} results of + - * /; wrong: {', '.join(wrong) or 'none'}"


def roots(rng: random.Random) -> tuple[bool, str]:
    """torch.sqrt within 1 ulp, along a vector and with a stride, by exact squares."""
    x = torch.tensor([abs(v) for v in _numbers(rng, 15_001, 400)], dtype=torch.float64)
    ways = (torch.sqrt(x), torch.sqrt(torch.stack([x, x], 1)[:, 0]))
    worst = Fraction(0)
    for found in ways:
        for value, root in zip(x.tolist(), found.tolist(), strict=True):
            if root != math.sqrt(value):  # which rounds to nearest: half a unit at most
                if not math.isfinite(root) or root <= 0:
                    return False, f"sqrt({value!r}) is {root!r}"
                off = abs(Fraction(root) ** 2 - Fraction(value)) / (2 * Fraction(root))
                worst = max(worst, off / Fraction(math.ulp(root)))
    # sqrt(v) - r = (v - r**2) / (sqrt(v) + r), and 2 r differs from that sum by a rounding.
    shown = max(0.5, float(worst))
    return worst < Fraction(
        99, 100
    ), f"{len(x)} values, off by at most {shown:.3g} ulp; believed: 1"


def small(rng: random.Random) -> tuple[bool, str]:
    """Numbers below 2**-1022 are kept: by operations, by products, in every thread."""
    least = 2.0**-1074
    x = torch.full((100_001,), 2.0**-1000, dtype=torch.float64)
    places = {
        "product": x * 2.0**-74,
        "difference": (x * 1.5 - x) * 2.0**-73,
        "sum": torch.full((7,), least, dtype=torch.float64) + 0.0,
        "matrix product": x[:81].reshape(9, 9) @ (torch.eye(9).double() * 2.0**-74),
    }
    # By their bits: where small numbers are taken for 0, 2**-1074 == 0.
    lost = [n for n, v in places.items() if bool((v.contiguous().view(torch.int64) != 1).any())]
    return not lost, f"2**-1074 comes out of {len(places)} operations; lost in: {lost or 'none'}"


def exponential(rng: random.Random) -> tuple[bool, str]:
    """torch.exp within 2 ulp of Arb wherever its result is a normal number."""
    x = [rng.uniform(-708, 709) for _ in range(6000)] + [rng.uniform(-1, 1) for _ in range(6000)]
    x += [rng.choice((-1, 1)) * 2.0 ** rng.uniform(-60, 0) for _ in range(3000)]
    return _against(torch.exp, lambda v: arb(v).exp(), x)


def logarithm(rng: random.Random) -> tuple[bool, str]:
    """torch.log within 2 ulp of Arb, near 1 too, where it is near 0."""
    x = [2.0 ** rng.uniform(-1022, 1023) for _ in range(6000)]
    x += [rng.uniform(0.5, 2) for _ in range(6000)]
    x += [1 + rng.choice((-1, 1)) * 2.0 ** rng.uniform(-52, -1) for _ in range(3000)]
    return _against(torch.log, lambda v: arb(v).log(), x)


def _against(function: Callable, true: Callable, x: list[float]) -> tuple[bool, str]:
    """Along a vector, with a stride, and one by one: these are different code."""
    values = torch.tensor(x[: len(x) - 1 + len(x) % 2], dtype=torch.float64)
    strided = torch.stack([values, values], 1)[:, 0]
    single = [float(function(v)) for v in values[::7]]
    ways = (function(values).tolist(), function(strided).tolist())
    worst, at = 0.0, math.nan
    with flint.ctx.workprec(128):
        for i, (v, *results) in enumerate(zip(values.tolist(), *ways, strict=True)):
            exact = true(v)
            if i % 7 == 0:
                results.append(single[i // 7])
            for result in results:
                if exact.is_zero() and result == 0:
                    continue
                off = abs(arb(result) - exact) / abs(exact)
                size = float(off.upper()) if off.is_finite() else math.inf
                if not size <= worst:
                    worst, at = size, v
    says = (
        f"{len(values)} values, off by at most {worst / (2 * U):.3g} ulp (at {at!r}); believed: 2"
    )
    return worst <= LIBM, says


def table(rng: random.Random) -> tuple[bool, str]:
    """The tables of the other functions, as the engine reads them, against Arb."""
    names, count, wrong = ("tanh", "erf", "gelu", "sigmoid", "sin"), 200, []
    for name in names:
        function = FUNCTIONS[name]
        x = torch.tensor([rng.uniform(-6, 6) for _ in range(count)], dtype=torch.float64)
        found = tables.covering(function, 4, x, x)
        a, first, _ = tables.expand(found, 4, x)
        with flint.ctx.workprec(128):
            for v, value, error in zip(x.tolist(), a[0].tolist(), first.tolist(), strict=True):
                exact = ball.series(function.expression, arb(v), 0)[0]
                if not abs(arb(value) - exact) <= arb(error):
                    wrong.append(f"{name}({v!r})")
    levels = torch.arange(4096, dtype=torch.float64) + 1.25
    if torch.log2(levels).long().tolist() != [(n + 1).bit_length() - 1 for n in range(4096)]:
        wrong.append("log2")
    return (
        not wrong,
        f"{count} values of {', '.join(names)}; wrong: {', '.join(wrong[:3]) or 'none'}",
    )


def products(rng: random.Random) -> tuple[bool, str]:
    """Matrix products of every shape class against exact integers, with one thread and with all."""
    shapes = [(1, 1, 1), (1, 300, 1), (7, 5, 3), (64, 64, 64), (33, 130, 17), (5, 700, 2)]
    before, wrong, worst = torch.get_num_threads(), [], 0.0
    try:
        for threads in sorted({1, os.cpu_count() or 1}):
            torch.set_num_threads(threads)
            for m, k, n in shapes:
                a, b = (torch.tensor(_numbers(rng, r * c, 8), dtype=torch.float64).reshape(r, c)
                        for r, c in ((m, k), (k, n)))  # fmt: skip
                exact, size = _exactly(a, b), _exactly(a.abs(), b.abs())
                ways = {
                    "mm": a @ b, "transposed": (b.T.contiguous() @ a.T.contiguous()).T,
                    "einsum": torch.einsum("ik,kj->ij", a, b), "bmm": (a[None] @ b[None])[0],
                    "numpy": torch.from_numpy(a.numpy() @ b.numpy()),
                }  # fmt: skip
                for way, found in ways.items():
                    share = _share(found, exact, size, Fraction(gamma(k)))
                    worst = max(worst, share)
                    if not share <= 1:
                        wrong.append(f"{way} {m}x{k}x{n} with {threads} threads")
                y, error = accurate_product(a, b.T.contiguous())
                rows = zip(y.reshape(-1).tolist(), error.reshape(-1).tolist(), exact, strict=True)
                if any(abs(Fraction(v) - e) > Fraction(r) for v, r, e in rows):
                    wrong.append(f"accurate product {m}x{k}x{n} with {threads} threads")
    finally:
        torch.set_num_threads(before)
    says = f"{len(shapes)} shapes, at most {100 * worst:.2g} % of the error believed"
    return not wrong, f"{says}; wrong: {', '.join(wrong[:3]) or 'none'}"


def _exactly(a: Tensor, b: Tensor) -> list[Fraction]:
    """a @ b, row by row, exactly: all entries are integers times 2**-60."""
    wide = [np.array([int(math.ldexp(v, 60)) for v in x.reshape(-1).tolist()], dtype=object)
            for x in (a, b)]  # fmt: skip
    left, right = wide[0].reshape(a.shape), wide[1].reshape(b.shape)
    return [Fraction(v, 2**120) for v in (left @ right).reshape(-1).tolist()]


def _share(found: Tensor, exact: list[Fraction], size: list[Fraction], unit: Fraction) -> float:
    """The largest error as a share of what is believed; nan and inf count as inf."""
    if not bool(torch.isfinite(found).all()):
        return math.inf
    rows = zip(found.reshape(-1).tolist(), exact, size, strict=True)
    return max(float(abs(Fraction(v) - e) / (unit * s)) for v, e, s in rows)


def proofs(rng: random.Random) -> tuple[bool, str]:
    """A small model from export to an accepted certificate; and one wrong number is rejected."""
    from certify.certificate.reading import read
    from certify.certificate.writing import as_bytes, as_data, digest
    from certify.checker.check import verify
    from certify.checking import check
    from certify.frontend.export import export
    from certify.options import Options
    from certify.report.certificate import as_certificate
    from certify.run import Limits

    module = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    with torch.no_grad():
        for parameter in module.parameters():
            flat = torch.tensor([rng.uniform(-1, 1) for _ in range(parameter.numel())])
            parameter.copy_(flat.reshape(parameter.shape))
    with tempfile.TemporaryDirectory(prefix="plateau-") as folder:
        model, place = Path(folder) / "model.pt", Path(folder) / "model.cert.json"
        export(module, torch.zeros(1, 1), model)
        options = Options(cells=2, gap=0.2, limits=Limits(10))
        data = as_data(as_certificate(check(model, "exp", options)))
        verdicts = []
        for change in (False, True):
            if change:
                _spoil(data["trees"][0])
                data["digest"] = digest(data)
            place.write_bytes(as_bytes(data))
            try:
                verdicts.append(verify(read(place), jobs=1).accepted)
            except Exception as problem:
                verdicts.append(f"{type(problem).__name__}: {str(problem)[:100]}")
    good = verdicts[0] is True and verdicts[1] is not True
    return good, "a certificate is accepted, and rejected with one number changed" if good else str(
        verdicts
    )


def _spoil(tree: list) -> None:
    """Cut what the first leaf says of the model to a quarter: well-formed, and false."""
    place = next(i for i, entry in enumerate(tree) if isinstance(entry, str))
    ends = tree[place].split(" ")
    lo, hi = float.fromhex(ends[2]), float.fromhex(ends[3])
    ends[3] = (lo + (hi - lo) / 4).hex()
    tree[place] = " ".join(ends)


TESTS: dict[str, tuple[str, Callable[[random.Random], tuple[bool, str]]]] = {
    "rounding": ("rounding", rounding),
    "roots": ("libm", roots),
    "small numbers": ("rounding", small),
    "exp": ("libm", exponential),
    "log": ("libm", logarithm),
    "tables": ("libm", table),
    "matrix products": ("BLAS", products),
    "proofs": ("proofs", proofs),
}
