"""Measure everything and store it: `python -m benchmarks.run [--peer PYTHON] [--repeat 5]`.

Every measurement is a fresh process with one thread; ours and the peer's alternate. The table
of README.md is written from the stored results; `--table` does only that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from benchmarks.instances import INSTANCES, ROOT
from benchmarks.table import write_table

RESULTS = Path(__file__).with_name("results.json")
BUDGET = 60.0  # seconds of one search of ours
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
CERTIFY = Path(sysconfig.get_path("scripts")) / "certify"


def run(command: list[str]) -> tuple[str, float]:
    """Output and seconds of one process.

    Raises:
        RuntimeError: it failed; the end of its error output is quoted.
    """
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1, 3):  # certify's verdicts
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout, seconds


def record(command: list[str]) -> dict:
    """The JSON object in the last line of a process's output, with the load it ran under."""
    load = os.getloadavg()[0]
    output, seconds = run(command)
    return json.loads(output.splitlines()[-1]) | {"load": load, "process_seconds": seconds}


def startup() -> dict:
    """Seconds from shell prompt to exit: `certify check`, and an import of torch alone."""
    check = [str(CERTIFY), "check", "probes/zoo/exp.pt", "--target", "exp", "--gap", "1e-3"]
    return {
        "check": run(check)[1],
        "import_torch": run([sys.executable, "-c", "import torch"])[1],
    }


def store(found: dict, out: Path) -> None:
    """Write what was found so far."""
    out.write_text(json.dumps(found, indent=1) + "\n")


def measure(
    repeat: int, peer: str | None, peer_repeat: int, peer_seconds: float, out: Path
) -> dict:
    """Everything, round by round, stored after each; progress on standard error."""
    found: dict = {
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "torch": run([sys.executable, "-c", "import torch; print(torch.__version__)"])[0][:-1],
            "threads": 1,
        },
        "date": time.strftime("%Y-%m-%d"),
        "peer_limit": peer_seconds,
        "ours": {i.name: [] for i in INSTANCES},
        "peer": {i.name: [] for i in INSTANCES},
        "startup": [],
        "forward": {},
    }

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    for number in range(repeat):
        for instance in INSTANCES:
            say(f"round {number + 1} of {repeat}: {instance.name}, ours")
            ours = [sys.executable, "-m", "benchmarks.ours", instance.name, str(BUDGET)]
            found["ours"][instance.name].append(record(ours))
            if peer and number < peer_repeat:
                say(f"round {number + 1} of {peer_repeat}: {instance.name}, peer")
                theirs = [peer, "-m", "benchmarks.peer", instance.name, str(peer_seconds)]
                found["peer"][instance.name].append(record(theirs))
        say(f"round {number + 1} of {repeat}: start-up")
        found["startup"].append(startup())
        store(found, out)
    for model in dict.fromkeys(i.model for i in INSTANCES):
        say(f"forward passes of {model}")
        found["forward"][model] = record(
            [sys.executable, "-m", "benchmarks.ours", "forward", model]
        )
    store(found, out)
    return found


def main() -> None:
    """Parse the command line, measure, store, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument(
        "--peer",
        nargs="?",
        const=".venv-peer/bin/python",
        metavar="PYTHON",
        help="run the peer too, by this interpreter (default .venv-peer/bin/python)",
    )
    parser.add_argument("--repeat", type=int, default=5, help="rounds of ours (5)")
    parser.add_argument("--peer-repeat", type=int, default=1, help="rounds of the peer (1)")
    parser.add_argument(
        "--peer-seconds", type=float, default=300.0, help="CPU seconds per peer search (300)"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--table", action="store_true", help="only rewrite the README's table")
    options = parser.parse_args()
    if not options.table:
        # Not resolved: a virtual environment's python is a link that must be called by its name.
        peer = options.peer and os.path.abspath(options.peer)
        measure(options.repeat, peer, options.peer_repeat, options.peer_seconds, options.out)
    write_table(json.loads(options.out.read_text()))


if __name__ == "__main__":
    main()
