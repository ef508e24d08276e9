"""python -m benchmarks.reliability: the tables of docs/reliability.md, printed."""

from benchmarks.reliability import render

if __name__ == "__main__":
    print(render())
