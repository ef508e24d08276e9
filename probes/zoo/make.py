"""Remake the models of the zoo: `python -m probes.zoo.make [NAMES]`, all of them by default.

Training is deterministic for one machine and one version of torch; elsewhere the weights
differ and the sup errors are alike.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from probes.cli import save
from probes.encoder import EncoderConfig
from probes.training import Options, Report, train
from theory.errors import BadRequest, PlateauError
from theory.targets import find_target

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        target: a name or expression, as for `certify check --target`.
        within: the stored model's sampled sup error is below this.
        config: the encoder's shape.
        options: how it was trained.
    """

    target: str
    within: float
    config: EncoderConfig = field(default_factory=EncoderConfig)
    options: Options = field(default_factory=Options)


_BRIEF = Options(steps=1500, polish=0)
_WIDE = {"width": 32, "heads": 4}

#: One thread each; seconds on one core of a 2-core machine: 10 to 40.
ZOO: dict[str, Entry] = {
    "exp": Entry("exp", 2e-3, options=_BRIEF),
    "exp_relu": Entry("exp", 2e-3, EncoderConfig(activation="relu"), _BRIEF),
    "exp4": Entry(
        "exp",
        5e-3,
        EncoderConfig(layers=4, width=64, heads=4, ffn=128, norm="pre"),
        Options(steps=1500, polish=0, rate=1e-3, decay=0.5),
    ),
    "sin3": Entry("sin3", 1e-3, EncoderConfig(activation="relu", **_WIDE)),
    "sin3_gelu": Entry("sin3", 1e-3, EncoderConfig(**_WIDE), Options(polish=60)),
    "cbrt": Entry("cbrt", 2e-2),
    "cbrt_relu": Entry("cbrt", 3e-2, EncoderConfig(activation="relu")),
}


def path(name: str) -> Path:
    """Where the model `name` lies.

    Raises:
        BadRequest: there is no such model.
    """
    if name not in ZOO:
        raise BadRequest(f"no model {name!r} in the zoo; choose from {', '.join(ZOO)}")
    return FOLDER / f"{name}.pt"


def make(name: str) -> Report:
    """Train the model `name` and write it over the stored one.

    Raises:
        BadRequest: there is no such model, or it came out worse than its entry promises; the
            stored one then stays.
    """
    file, entry = path(name), ZOO[name]
    model, report = train(entry.config, find_target(entry.target), options=entry.options)
    if not report.sup_error < entry.within:
        raise BadRequest(f"{name}: sup error {report.sup_error:.3g} is not below {entry.within:g}")
    save(model, file)
    return report


def main(names: list[str]) -> int:
    """Remake `names`, all if empty; returns the exit code."""
    torch.set_num_threads(1)
    try:
        for name in names:
            path(name)
        for name in names or ZOO:
            report = make(name)
            size = path(name).stat().st_size
            print(
                f"{name:<10} sup error {report.sup_error:.3e} at {report.witness:+.6f}  "
                f"{report.parameters} parameters  {report.seconds:.1f} s  {size} bytes",
                flush=True,
            )
    except PlateauError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
