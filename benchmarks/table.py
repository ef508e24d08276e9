"""Tables in Markdown from stored results, between marks of a page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.instances import INSTANCES

README = Path(__file__).with_name("README.md")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table, and an empty one."""
    return [_row(head), _row(["---"] * len(head)), *(_row(r) for r in rows), ""]


def _seconds(values: list[float | None]) -> str:
    """Median, with least and most; runs that never closed are counted."""
    good = [v for v in values if v is not None]
    if not good:
        return "not closed"
    text = f"{median(good):.2f} ({min(good):.2f} to {max(good):.2f})"
    return text if len(good) == len(values) else f"{text}, {len(values) - len(good)} not closed"


def _ours(found: dict) -> list[str]:
    rows = []
    for i in INSTANCES:
        runs = found["ours"][i.name]
        last = runs[-1]["warm"]
        rows.append(
            [
                f"{i.model}.pt, {i.target}, {i.gap:.0e}",
                *(_seconds([r[k]["closed_after"] for r in runs]) for k in ("cold", "warm")),
                _seconds([r["cold"]["search_seconds"] for r in runs]),
                _seconds([r["cold"]["check_cpu"] for r in runs]),
                f"{last['boxes']} / {last['leaves']}",
                f"{last['gap']:.1e}",
            ]
        )
    head = [
        "model, target, gap",
        "sup closed, cold",
        "sup closed, warm",
        "whole search, cold",
        "CPU of `check`, cold",
        "boxes / leaves",
        "final gap",
    ]
    return table(head, rows)


def _peer(found: dict) -> list[str]:
    rows = []
    for i in INSTANCES:
        runs = found["peer"][i.name]
        if not runs:
            continue
        ours = median([r["cold"]["check_cpu"] for r in found["ours"][i.name]])
        cpu = median([r["cpu"] for r in runs])
        closed = all(r["closed"] for r in runs)
        proved = all(r["cold"]["closed_after"] for r in found["ours"][i.name])
        least = "" if closed else "more than "
        state = (
            "closed" if closed else f"{100 * median([r['covered'] for r in runs]):.0f} % covered"
        )
        rows.append(
            [
                f"{i.model}.pt, {i.target}, {i.gap:.0e}",
                f"{ours:.2f}" if proved else f"{ours:.2f}, not closed",
                f"{cpu:.1f}, {state}",
                f"{runs[-1]['boxes']} / {runs[-1]['leaves']}",
                f"{least}{cpu / ours:.0f}" if proved else "none",
                i.public or "none",
            ]
        )
    if not rows:
        return ["The peer was not run.", ""]
    head = ["model, target, gap", "ours, CPU s", "peer, CPU s", "peer boxes / leaves", "ratio"]
    note = f"The peer's limit: {found['peer_limit']:.0f} CPU seconds; one run of each."
    if len(runs := next(iter(found["peer"].values()))) > 1:
        note = f"The peer's limit: {found['peer_limit']:.0f} CPU seconds; medians of {len(runs)}."
    return [note, "", *table([*head, "public figure of such a verifier"], rows)]


def _parts(found: dict) -> list[str]:
    check = median([s["check"] for s in found["startup"]])
    torch = median([s["import_torch"] for s in found["startup"]])
    rows = []
    for model, f in found["forward"].items():
        ratio = f["enclosure_cpu"] / f["plain_cpu"]
        each = [f"{1e3 * f[k] / f['batch']:.3f}" for k in ("enclosure_cpu", "plain_cpu")]
        rows.append([f"{model}.pt", *each, f"{ratio:.0f}"])
    return [
        f"`certify check probes/zoo/exp.pt --target exp --gap 1e-3`, shell prompt to exit: "
        f"{check:.2f} s; `python -c 'import torch'`: {torch:.2f} s; ratio {check / torch:.2f}, "
        f"difference {check - torch:.2f} s (medians of {len(found['startup'])}).",
        "",
        *table(["graph", "enclosure, ms per box", "float64, ms per point", "ratio"], rows),
    ]


def body(found: dict) -> list[str]:
    """What stands in the README between the marks."""
    m = found["machine"]
    loads = [r["load"] for runs in found["ours"].values() for r in runs]
    note = (
        f"{found['date']}: {m['cpu']}, {m['cores']} cores, {m['threads']} thread, Python "
        f"{m['python']}, torch {m['torch']}; load average before the runs {min(loads):.1f} to "
        f"{max(loads):.1f}. Seconds: median (least to most) of {len(found['startup'])}."
    )
    return ["", note, "", *_ours(found), *_peer(found), *_parts(found)]


def write_table(found: dict) -> None:
    """Replace the part of the README between the marks."""
    README.write_text(between(README.read_text(), body(found)))


def between(text: str, lines: list[str], name: str = "results") -> str:
    """The text with these lines between its two marks of a name.

    Raises:
        ValueError: it does not have both marks, once each.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the marks {begin} and {end} must stand there once each")
    before, _, rest = text.partition(begin)
    return before + "\n".join([begin, *lines, end]) + rest.partition(end)[2]
