"""What the independent checker costs: `python -m benchmarks.checker [NAMES]` prints a table.

Every model of the zoo is checked at gap 1 %, its certificate written, and proved again in a process
of its own with two workers: median of three runs.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from certify.certificate.writing import as_bytes, as_data
from certify.checking import check
from certify.options import Options
from certify.report.certificate import as_certificate
from probes.zoo.make import ZOO, path

RUNS = 3


def row(name: str, folder: Path) -> str:
    """One model's line."""
    began = time.perf_counter()
    report = check(str(path(name)), ZOO[name].target, Options())
    spent = time.perf_counter() - began
    data = as_data(as_certificate(report))
    raw, graph = as_bytes(data), as_bytes({"graph": data["graph"]})
    file = folder / f"{name}.json"
    file.write_bytes(raw)
    leaves = len(report.outcome.state.leaves)
    command = [sys.executable, "-P", "-m", "certify.checker", str(file), "--jobs", "2"]
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds.append(time.perf_counter() - began)
    pieces = int(re.search(r"in (\d+) pieces", out)[1])
    by_z3 = int(re.search(r"by Z3: (\d+)", out)[1])
    size = (len(raw) - len(graph)) / leaves
    return (
        f"| {name} | {leaves} | {spent:.1f} | {statistics.median(seconds):.1f} | {pieces} "
        f"| {by_z3} | {size:.0f} | {len(raw) / 2**20:.2f} |"
    )


def main(names: list[str]) -> int:
    """Print the table."""
    print("| model | leaves | check, s | verify, s | pieces | by Z3 | bytes a leaf | file, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in names or ZOO:
            print(row(name, Path(folder)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
