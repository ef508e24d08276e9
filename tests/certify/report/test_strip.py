"""The line of signs: every cell is shown, and a plateau is never hidden."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from certify.report.strip import SIGNS, columns, sign, strip
from theory.claims import CellVerdict, Verdict

PLATEAU = CellVerdict(True, True, Verdict.PROVED)
NONE = CellVerdict(True, True, Verdict.REFUTED)
OPEN = CellVerdict(True, True, Verdict.UNDECIDED)
FLAT = CellVerdict(False, False, Verdict.UNDECIDED)
#: Not proven to count, but no plateau if it does.
PERHAPS = CellVerdict(False, True, Verdict.REFUTED)


def test_one_sign_a_cell():
    cells = [PLATEAU, NONE, OPEN, FLAT, PERHAPS]
    signs, legend = strip(cells, "0 to 1")
    assert signs == "_/?./"
    assert legend == (
        "5 cells, a sign each, from 0 to 1: _ a plateau, proved; ? not decided; "
        "/ no plateau, proved; . flat target, decides nothing"
    )
    assert strip([NONE], "0 to 1") == ["/", "the one cell, from 0 to 1: / no plateau, proved"]


@given(st.lists(st.sampled_from([PLATEAU, NONE, OPEN, FLAT]), min_size=1, max_size=300))
def test_runs_of_cells(cells):
    found = columns(cells, 5)
    assert len(found) <= 5
    assert [(c.first, c.last) for c in found][0][0] == 0 and found[-1].last == len(cells)
    assert all(a.last == b.first for a, b in zip(found[:-1], found[1:], strict=True))
    for column in found:
        inside = [sign(c) for c in cells[column.first : column.last]]
        assert column.sign == next(s for s in SIGNS if s in inside)
    signs, legend = strip(cells, "here")
    assert ("_" in signs) == (PLATEAU in cells) and len(signs) <= 64
    per = -(-len(cells) // 64)
    shared = f"each sign stands for {per} cells and shows the first of _ ? / . that occurs"
    assert (shared in legend) == (len(cells) > 64)
