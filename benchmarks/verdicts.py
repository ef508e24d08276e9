"""What is proved, for the README: `python -m benchmarks.verdicts`, about four minutes.

Every model of the zoo is checked against its target, and the certificate is proved again by the
independent checker, in a process of its own. The results are kept in verdicts.json.

    python -m benchmarks.verdicts --paper FOLDER   keep results.csv of `probes paper` as paper.csv
    python -m benchmarks.verdicts --table          only write the README's tables again
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import between, table
from certify.report.numbers import interval, rounded

HERE = Path(__file__).parent
ZOO_FILE, PAPER_FILE, README = HERE / "verdicts.json", HERE / "paper.csv", HERE.parent / "README.md"
EXPERIMENTS = HERE.parent / "docs" / "experiments.md"
TASKS = {"scheme-one": "scheme one", "mixed": "mixed"}
RECIPES = ("released", "fair", "obstructed")


def row(name: str, folder: Path) -> dict[str, Any]:
    """What is proved of one model of the zoo."""
    from certify.certificate.writing import as_bytes, as_data
    from certify.checking import check
    from certify.options import Options
    from certify.report.certificate import as_certificate
    from probes.zoo.make import ZOO, path

    report = check(str(path(name)), ZOO[name].target, Options(resolution=True))
    file = folder / f"{name}.json"
    file.write_bytes(as_bytes(as_data(as_certificate(report))))
    command = [sys.executable, "-P", "-m", "certify.checker", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    found, config = report.plateaus, ZOO[name].config
    return {
        "model": name,
        "sha256": hashlib.sha256(path(name).read_bytes()).hexdigest(),
        "is": f"{config.layers} layers, width {config.width}, {config.activation}",
        "target": report.target.name,
        "sup_error": report.known.sup,
        "deciding": int(found.deciding.sum()),
        "plateaus": int((found.proved & found.deciding).sum()),
        "none": int((found.refuted & found.deciding).sum()),
        "longest": report.longest[:2],
        "leaves": len(report.outcome.state.leaves),
        "accepted": done.returncode == 0,
    }


def zoo_table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown, a line for each model."""
    head = ["encoder", "target", "sup error, proved", "0.1-plateau on a cell",
            "longest plateau of any place", "certificate"]  # fmt: skip
    lines = []
    for r in rows:
        count, deciding = r["plateaus"], r["deciding"]
        cells = (
            f"on {count} of {deciding} cells" if count else f"none, {r['none']} of {deciding} cells"
        )
        checked = "accepted" if r["accepted"] else "NOT ACCEPTED"
        lines.append(
            [
                f"`{r['model']}.pt`: {r['is']}",
                r["target"],
                interval(*r["sup_error"], most=6),
                cells,
                "none" if r["longest"] == [0.0, 0.0] else interval(*r["longest"], most=4),
                f"{r['leaves']} leaves, {checked}",
            ]
        )
    return table(head, lines)


def paper_table(rows: list[dict[str, str]]) -> list[str]:
    """Markdown, a line for each task, architecture and recipe; of all d and seeds together."""
    head = ["task, architecture", "recipe", "models", "sup error along a curve, proved",
            "some cell a plateau", "no cell", "undecided"]  # fmt: skip
    return table(head, list(_recipes([r for r in rows if r["task"] == "regression"])))


def _recipes(rows: list[dict[str, str]]) -> Iterator[list[str]]:
    kinds = dict.fromkeys((r["scheme"], r["architecture"]) for r in rows)
    for scheme, architecture in sorted(kinds, key=lambda k: (list(TASKS).index(k[0]), k[1])):
        for recipe in RECIPES:
            part = [
                r for r in rows
                if (r["scheme"], r["architecture"], r["recipe"]) == (scheme, architecture, recipe)
            ]  # fmt: skip
            if part:
                dims = sorted({int(r["d"]) for r in part})
                what = f"{TASKS[scheme]}, {architecture}, d = {', '.join(map(str, dims))}"
                yield [what, recipe, str(len(part)), _errors(part), *_verdicts(part)]


def _pairs(rows: list[dict[str, str]], name: str) -> list[list[float]]:
    """The intervals of a column, of every model and curve that has one."""
    texts = [text for r in rows for text in r[name].split("; ") if text]
    return [json.loads(text.replace("inf", "Infinity")) for text in texts]


def _errors(rows: list[dict[str, str]]) -> str:
    """From the least lower end of all curves to the greatest upper one."""
    ends = _pairs(rows, "certified_sup_error")
    if not ends:
        return "not certified"
    low, high = min(lo for lo, _ in ends), max(hi for _, hi in ends)
    least, most = rounded(low, 3, up=False), rounded(high, 3, up=True)
    return f"{least} to {most}" if math.isfinite(high) else f"at least {least}"


def _verdicts(rows: list[dict[str, str]]) -> Iterator[str]:
    """How many models have each verdict; one line of a file may hold several curves."""
    found = [verdict for r in rows for verdict in r["plateau"].split("; ")]
    return (str(found.count(word)) for word in ("PROVED", "REFUTED", "UNDECIDED"))


def curves_table(rows: list[dict[str, str]]) -> list[str]:
    """Markdown for docs/experiments.md: for each d, with a bracket for each seed, and one of the
    longest plateau of all seeds."""
    head = ["task", "model", "d", "recipe", "certified sup error", "plateau on a cell", "longest"]
    kinds: dict[tuple[Any, ...], list[dict[str, str]]] = {}
    for r in rows:
        if r["task"] == "regression":
            place = list(TASKS).index(r["scheme"]), r["architecture"], int(r["d"])
            kinds.setdefault((*place, RECIPES.index(r["recipe"])), []).append(r)
    lines = []
    for _, part in sorted(kinds.items()):
        errors = (interval(lo, hi, 3, 4) for lo, hi in _pairs(part, "certified_sup_error"))
        reasons = [r["plateau"] + _because(r["undecided_because"]) for r in part]
        said = (f"{text}: {count}" for text, count in sorted(Counter(reasons).items()))
        longest = _pairs(part, "longest_plateau")
        low, high = (max(ends) for ends in zip(*longest, strict=True))
        first = part[0]
        lines.append([first["scheme"], first["architecture"], first["d"], first["recipe"],
                      "; ".join(errors), "; ".join(said), interval(low, high, most=4)])  # fmt: skip
    return table(head, lines)


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def body(zoo: list[dict[str, Any]], paper: list[dict[str, str]]) -> list[str]:
    """What stands in the README between the marks."""
    said = (
        "`probes paper` again: the same architectures as released, in a fair training, and fair "
        "but obstructed by a LayerNorm at the end. Output 0 along a curve through the data, from "
        "the least to the greatest of the models ([experiments](docs/experiments.md))."
    )
    return ["", *zoo_table(zoo), said, "", *paper_table(paper)]


def stored() -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """What is kept: the zoo's verdicts, and the paper's experiments."""
    with PAPER_FILE.open(newline="") as file:
        return json.loads(ZOO_FILE.read_text()), list(csv.DictReader(file))


def main(words: list[str]) -> int:
    """Measure, keep, and write the tables."""
    if words[:1] == ["--paper"]:
        shutil.copyfile(Path(words[1]) / "results.csv", PAPER_FILE)
    elif words != ["--table"]:
        from probes.zoo.make import ZOO

        with tempfile.TemporaryDirectory() as folder:
            rows = [row(name, Path(folder)) for name in ZOO]
        ZOO_FILE.write_text(json.dumps(rows, indent=1) + "\n")
    zoo, paper = stored()
    README.write_text(between(README.read_text(), body(zoo, paper)))
    EXPERIMENTS.write_text(between(EXPERIMENTS.read_text(), ["", *curves_table(paper)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
