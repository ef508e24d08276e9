"""The tables of benchmarks/README.md are those of the stored runs."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from benchmarks.table import README, between, body


def test_they_are_up_to_date():
    found = json.loads(Path(README).with_name("results.json").read_text())
    text = README.read_text()
    assert between(text, body(found)) == text
    other = copy.deepcopy(found)
    other["peer_limit"] += 1
    assert between(text, body(other)) != text
