"""The laws reach everything that is registered: what is added is held to them, or fails here.

Lowerings have their law in tests/certify/ops/test_laws.py, theorems (every step, and a mutant of
every step) in tests/theory/test_theorems.py.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import get_args

import balls
import singles
import textbook
from domains import CLASSES

import certify.domains
from certify.graph import Domain, Primitive
from theory.functions import FUNCTIONS

# As registered on import: tests add functions of their own to these tables.
REGISTERED, BALLS, TEXTBOOK = map(set, (FUNCTIONS, balls.FUNCTIONS, textbook.TEXTBOOK))


def test_every_function_has_two_textbooks():
    assert REGISTERED == BALLS == TEXTBOOK


def test_every_primitive_has_a_graph():
    rounding = {"Rounded"}  # of executions, in graphs that no domain encloses
    assert {p.__name__ for p in get_args(Primitive)} - rounding == set(singles.PRIMITIVES)


def test_every_domain_is_held_to_the_laws():
    """A class of certify/domains with the methods of a domain stands in the table of laws."""
    wanted = {name for name in vars(Domain) if not name.startswith("_")}
    assert "matmul" in wanted
    found = set()
    for part in pkgutil.iter_modules(certify.domains.__path__):
        module = importlib.import_module(f"certify.domains.{part.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if wanted <= set(dir(kind)) and kind.__module__ == module.__name__:
                found.add(kind)
    assert found and found <= CLASSES
