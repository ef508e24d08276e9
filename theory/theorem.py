"""Theorems: statements with steps that check themselves; their status is computed, never written.

A statement lives in one file of `theory/lemmas/` or `theory/theorems/` and is registered by
`theorem`. Nothing else has to be touched for it to be listed, proved and tested.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter

from theory.errors import BadRequest
from theory.kernel import Cited, Outcome, Step


class Status(enum.Enum):
    """What the steps of a statement, and of those it uses, amount to."""

    PROVED = "proved"
    CONDITIONAL = "conditional"
    REFUTED = "refuted"
    PER_MODEL = "per model"
    OPEN = "open"
    FAILED = "failed"


@dataclass(frozen=True)
class Theorem:
    """A statement and its proof.

    Attributes:
        label: such as "A1"; unique.
        title: a few words.
        statement: words, formulas in dollar signs.
        steps: makes the steps, in the order of the proof.
        proof: how the steps make up a proof, in words.
        uses: labels of the statements that the proof rests on.
        source: where it is from.
        file: the module that holds it.
        refutes: the steps prove that what is claimed is false.
        decided: False for a claim that the steps make precise but do not decide.
    """

    label: str
    title: str
    statement: str
    steps: Callable[[], tuple[Step, ...]]
    proof: str
    uses: tuple[str, ...] = ()
    source: str = ""
    file: str = ""
    refutes: bool = False
    decided: bool = True


THEOREMS: dict[str, Theorem] = {}


def theorem(label: str, title: str, statement: str, *, proof: str, uses: tuple[str, ...] = (),
            source: str = "", refutes: bool = False, decided: bool = True) -> Callable:  # fmt: skip
    """Register the decorated function, which makes the steps, as a statement's proof.

    Raises:
        ValueError: the label is taken.
    """

    def register(steps: Callable[[], tuple[Step, ...]]) -> Callable[[], tuple[Step, ...]]:
        if label in THEOREMS:
            raise ValueError(f"{label}: the label is taken")
        said, proved = (" ".join(text.split()) for text in (statement, proof))
        THEOREMS[label] = Theorem(
            label, title, said, steps, proved, uses, source, steps.__module__, refutes, decided
        )
        return steps

    return register


@cache
def all_theorems() -> dict[str, Theorem]:
    """Every statement by label, each after those that it uses; imports the files that hold them.

    Raises:
        ValueError: a statement uses one that is not there, or itself in the end.
    """
    for room in ("theory.lemmas", "theory.theorems"):
        package = importlib.import_module(room)
        for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
            importlib.import_module(f"{room}.{module}")
    return ordered(THEOREMS)


def ordered(statements: dict[str, Theorem]) -> dict[str, Theorem]:
    """The statements, each after those that it uses.

    Raises:
        ValueError: a statement uses one that is not there, or itself in the end.
    """
    uses = {label: statement.uses for label, statement in statements.items()}
    unknown = sorted({use for names in uses.values() for use in names} - set(uses))
    if unknown:
        raise ValueError(f"statements that are used but not there: {', '.join(unknown)}")
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        raise ValueError(f"statements that use each other: {error.args[1]}") from None
    out: dict[str, Theorem] = {}

    def place(label: str) -> None:
        for use in uses[label]:
            place(use)
        out.setdefault(label, statements[label])

    for label in statements:
        place(label)
    return out


def find_theorem(label: str) -> Theorem:
    """The statement with this label.

    Raises:
        BadRequest: there is none.
    """
    known = all_theorems()
    for name in known:
        if name.lower() == label.lower():
            return known[name]
    raise BadRequest(f'no statement is called "{label}"; list them with: theory list')


@dataclass(frozen=True)
class Proof:
    """The outcome of every step, and the status of the statement."""

    theorem: Theorem
    outcomes: tuple[tuple[Step, Outcome], ...]
    status: Status


def prove(statement: Theorem, known: dict[str, Status]) -> Proof:
    """Check every step.

    Args:
        statement: what to prove.
        known: the status of the statements that it uses.
    """
    outcomes = tuple((step, step.check()) for step in statement.steps())
    uses = {known[use] for use in statement.uses}
    cited = any(isinstance(step, Cited) for step, _ in outcomes)
    if Status.FAILED in uses or any(o.holds is False for _, o in outcomes):
        status = Status.FAILED
    elif uses & {Status.REFUTED, Status.PER_MODEL}:
        status = Status.OPEN  # nothing follows from what is false or not decided
    elif (
        Status.OPEN in uses
        or any(o.holds is None and not isinstance(s, Cited) for s, o in outcomes)
        or not outcomes
    ):
        status = Status.OPEN
    elif not statement.decided:
        status = Status.PER_MODEL
    elif cited or Status.CONDITIONAL in uses:
        status = Status.CONDITIONAL
    else:
        status = Status.REFUTED if statement.refutes else Status.PROVED
    return Proof(statement, outcomes, status)


def prove_all(labels: tuple[str, ...] = ()) -> Iterator[Proof]:
    """Prove the statements with these labels and all that they use; everything by default.

    Each comes after those that it uses.
    """
    wanted = set(labels or all_theorems())
    for statement in reversed(all_theorems().values()):
        if statement.label in wanted:
            wanted |= set(statement.uses)
    known: dict[str, Status] = {}
    for statement in all_theorems().values():
        if statement.label in wanted:
            proof = prove(statement, known)
            known[statement.label] = proof.status
            yield proof
