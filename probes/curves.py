"""Curves through the paper's data: every coordinate of the tokens as an exact text in t."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from probes.schemes import find_scheme, stream

#: Every coordinate moves by at least this, in hundredths, as t runs over an interval of length 1.
SLOWEST = 25


@dataclass(frozen=True)
class DataCurve:
    """Tokens whose coordinate i follows s_i = (offsets[i] + slopes[i] t) / 100, t in [-1, 1].

    The first token is s^3 and the second s, so no cube root is left in any formula.

    Attributes:
        scheme: a name from `probes.schemes.SCHEMES`.
        offsets, slopes: whole numbers of hundredths, |offset| + |slope| <= 100, one of each for
            every one of the d coordinates.
    """

    scheme: str
    offsets: tuple[int, ...]
    slopes: tuple[int, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """One expression in t for each of the m * d inputs, token after token."""
        second = tuple(
            f"({_decimal(a)}{'+' if b >= 0 else '-'}{_decimal(abs(b))}*t)"
            for a, b in zip(self.offsets, self.slopes, strict=True)
        )
        first = tuple(f"{s}^3" for s in second)
        if self.scheme == "scheme-one":
            return first + second
        third = tuple(f"(2*ln(2+{f})+{s}/10)" for f, s in zip(first, second, strict=True))
        fourth = tuple(f"(exp({s})+{x})" for s, x in zip(second, third, strict=True))
        return first + second + third + fourth

    def points(self, t: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The scheme's own tokens at points of the curve, with ordinary rounding.

        Nothing here reads `texts`: it is the second way that those are tested against.

        Args:
            t: float64, shape (points,), in [-1, 1].

        Returns:
            Inputs (points, m, d) and outputs (points, n, d), float64.
        """
        s = (np.array(self.offsets) + np.multiply.outer(t, np.array(self.slopes))) / 100
        inputs, outputs = find_scheme(self.scheme).tokens(s**3)
        return torch.from_numpy(inputs), torch.from_numpy(outputs)


def _decimal(hundredths: int) -> str:
    """The number as a decimal with two digits."""
    sign = "-" if hundredths < 0 else ""
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}"


def data_curve(scheme: str, d: int, number: int) -> DataCurve:
    """Curve `number` for tokens of d coordinates: the same for every model, recipe and scheme.

    Args:
        scheme: "scheme-one" or "mixed".
        d: coordinates of a token.
        number: 0, 1, ...

    Raises:
        BadRequest: the scheme is unknown.
    """
    find_scheme(scheme)
    generator = torch.Generator().manual_seed(stream(number, "curve", d))

    def draw(least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=generator))

    slopes = [draw(SLOWEST, 100 - SLOWEST) * (1 - 2 * draw(0, 1)) for _ in range(d)]
    offsets = [draw(abs(slope) - 100, 100 - abs(slope)) for slope in slopes]
    return DataCurve(scheme, tuple(offsets), tuple(slopes))
