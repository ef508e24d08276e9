"""The builder: gathers in a row become one, and mean the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from certify.graph import Builder, Gather

SEEDS = st.integers(0, 2**32 - 1)


def gathered(values, index):
    """Entries by flat index, zero where it is -1."""
    return np.where(index < 0, 0.0, values.reshape(-1)[index])


@given(SEEDS, st.integers(1, 5), st.integers(1, 4))
def test_gathers_in_a_row_are_one(seed, size, count):
    rng = np.random.default_rng(seed)
    b = Builder((size,))
    values, value = rng.normal(size=size), 0
    expected = values
    for _ in range(count):
        shape = tuple(rng.integers(1, 4, rng.integers(1, 3)))
        index = rng.integers(-1, expected.size, shape)
        expected, value = gathered(expected, index), b.gather(value, index)
    graph = b.graph(out=value)
    assert len(graph.nodes) <= 1
    for node in graph.nodes:
        assert isinstance(node.primitive, Gather)
        assert np.array_equal(gathered(values, node.primitive.index), expected)
    assert graph.nodes or np.array_equal(values, expected)
