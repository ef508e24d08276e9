"""The reference interpreter, one thread, and small graphs, for all tests of the engine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mpmath
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ref():
    """The module reference.py beside this file."""
    spec = importlib.util.spec_from_file_location(
        "engine_reference", Path(__file__).with_name("reference.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with mpmath.workprec(400):
        yield module
