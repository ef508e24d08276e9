"""The scaling study as CSV and Markdown, and what its numbers say in words."""

from __future__ import annotations

import csv
import io
import math

from certify.report.numbers import interval, rounded
from probes.scaling import CELLS, TAU, Grid, Point

HEAD = (
    *("target", "layers", "width", "steps", "seed", "parameters", "sampled_sup", "sup_lo"),
    *("sup_hi", "longest_lo", "longest_hi", "stopped", "delta_star", "predicted_layers"),
)


def as_csv(points: list[Point | None]) -> str:
    """One line per encoder that was certified, numbers in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEAD)
    for p in filter(None, points):
        s = p.setting
        writer.writerow(
            (s.target, s.layers, s.width, s.steps, s.seed, p.parameters, repr(p.sampled),
             *map(repr, (*p.sup, *p.longest)), p.stopped, p.step, p.predicted)
        )  # fmt: skip
    return out.getvalue()


def table(points: list[Point | None]) -> str:
    """Markdown, one line per encoder, brackets rounded outward."""
    head = ("layers", "width", "steps", "seed", "sup error", f"longest {TAU:g}-plateau",
            "delta*", "predicted layers")  # fmt: skip
    lines = [head, ("---",) * len(head)]
    for p in filter(None, points):
        s = p.setting
        lines.append(
            (*map(str, (s.layers, s.width, s.steps, s.seed)), interval(*p.sup, most=4),
             interval(*p.longest, most=4), _short(p.step), predicted(p))
        )  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def predicted(p: Point) -> str:
    """Layers of the construction, rounded down: what it takes at least."""
    return "" if p.predicted is None else f"{math.floor(p.predicted):d}"


def page(grid: Grid, points: list[Point | None], figure: str | None) -> str:
    """The whole study as Markdown."""
    done = [p for p in points if p]
    picture = (
        f"![Accuracy and resolution against size and training]({figure})\n\n" if figure else ""
    )
    return (
        f"# Certified accuracy and resolution of small encoders, {grid.target}\n\n"
        f"{len(done)} of {len(points)} encoders. Sup errors and longest plateaus are proved "
        "brackets, rounded outward. The longest plateau is the widest window of any place on "
        f"which the model varies by at most {TAU:g} times what the target does (D5); [0, 0] means "
        "that there is none of any width. delta* is the width of equal steps that reach the "
        "proved accuracy (A3), and the predicted layers are those of the paper's construction "
        "with such steps, for one number in and one token: side / delta*, its order's constant "
        f"taken as 1 (Yun-2). Certified on {CELLS} cells.\n\n"
        f"{picture}{findings(done)}\n{table(points)}"
    )


def findings(done: list[Point]) -> str:
    """What the numbers say, and no more."""
    lines = [line for line in (_layers(done), _plateaus(done), _steps(done)) if line]
    return "".join(f"- {line}\n" for line in lines)


def _layers(done: list[Point]) -> str:
    """The most accurate encoder beside the construction."""
    with_step = [p for p in done if p.predicted is not None and p.predicted > 0]
    if not with_step:
        return ""
    best = min(with_step, key=lambda p: p.sup[1])
    beaten = sum(p.setting.layers < p.predicted for p in with_step)
    return (
        f"The most accurate, {best.setting.words}, has a sup error of at most "
        f"{rounded(best.sup[1], 3, up=True)} with {best.setting.layers} layers; the construction "
        f"takes {predicted(best)}. {beaten} of {len(with_step)} encoders have fewer layers than "
        "the construction takes for what is proved of them."
    )


def _plateaus(done: list[Point]) -> str:
    if not done:
        return ""
    none = sum(p.longest[1] == 0 for p in done)
    some = [p for p in done if p.longest[0] > 0]
    text = f"{none} of {len(done)} have no plateau at any width, {len(some)} have one"
    if none + len(some) < len(done):
        text += f", and of {len(done) - none - len(some)} it is not decided"
    if some:
        widest = max(some, key=lambda p: p.longest[0])
        least = min(p.sup[0] for p in some)
        text += (
            f". The widest is {interval(*widest.longest, most=4)} ({widest.setting.words}); every "
            f"encoder with a plateau has a sup error of {rounded(least, 3, up=False)} or more"
        )
    return text + "."


def _steps(done: list[Point]) -> str:
    """Plateaus by training."""
    counts = {}
    for p in done:
        have, all_ = counts.get(p.setting.steps, (0, 0))
        counts[p.setting.steps] = have + (p.longest[0] > 0), all_ + 1
    shown = ", ".join(f"{have} of {all_} after {steps}" for steps, (have, all_) in
                      sorted(counts.items()))  # fmt: skip
    return f"With a proved plateau, by AdamW steps: {shown}." if len(counts) > 1 else ""


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
