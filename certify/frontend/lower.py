"""`Program` -> `Graph`: every operator by its entry in the table of lowerings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from certify.errors import Unsupported
from certify.frontend.arguments import Damaged, Meta, Opaque, Ref
from certify.frontend.origin import printable
from certify.frontend.program import Call, Program
from certify.graph import Builder, Graph
from certify.ops import TABLE, UNSUPPORTED, VIEWS, CannotLower, Context, Value

#: Arguments about memory and devices; no lowering sees them.
IGNORED = {"layout", "device", "pin_memory", "memory_format", "non_blocking", "copy"}

#: What a lowering raises when its arguments contradict each other.
MISFIT = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)


@dataclass(frozen=True, eq=False)
class Lowered:
    """One operator right after its lowering: its name in the table, its resolved arguments, and
    the number of the last value that was there before it."""

    target: str
    arguments: dict[str, Any]
    before: int
    context: Context


#: Adds the rounding of an operator's execution to one of its results (certify/float32).
Rounding = Callable[[Lowered, Any], Any]


def lower(program: Program, rounding: Rounding | None = None) -> Graph:
    """The graph of a program, with one output named "model".

    Args:
        program: the parsed archive.
        rounding: applied to every result of every operator; None for real arithmetic.

    Raises:
        Unsupported: an operator has no lowering.
        Damaged: the program contradicts itself.
    """
    shape = check_input(program.tensors[program.input])
    builder = Builder(shape)
    names: dict[str, Any] = dict(program.constants)
    for name in names.keys() & program.tensors.keys():
        if names[name].shape != program.tensors[name].shape:
            raise Damaged(f"the shape of {name} is not the one declared")
    names[program.input] = Value(0, shape)
    plain = out_of_place(program)
    for call in program.calls:
        builder.origin = call.origin
        scope = Scope(builder, program, rounding)
        results = run(call, plain.get(id(call), call.target), names, scope)
        for name, result in results:
            if name in names:
                raise Damaged(f"{printable(name)} is computed twice")
            names[name] = result
    if names.get(program.output) is None:
        raise Damaged(f"the output {printable(program.output)} is never computed")
    try:
        number = Context(builder).plain(names[program.output])
    except CannotLower as error:
        raise Unsupported(f"the output of the model is not finite: {error}") from error
    return builder.graph(model=number)


class Scope:
    """What lowering one operator needs: the builder, the declared tensors and the rounding."""

    def __init__(self, builder: Builder, program: Program, rounding: Rounding | None) -> None:
        self.builder = builder
        self.tensors = program.tensors
        self.rounding = rounding or (lambda lowered, result: result)

    def context(self, call: Call) -> Context:
        """The context of one operator, by its declared result."""
        meta = next((self.tensors[n] for n in call.outputs if n in self.tensors), None)
        if meta is None:
            return Context(self.builder)
        return Context(self.builder, meta.dtype.floating, meta.dtype.epsilon or 0.0)


def check_input(meta: Meta) -> tuple[int, ...]:
    """The shape of the input.

    Raises:
        Unsupported: it is not real numbers with a batch axis of length 1.
    """
    if not meta.dtype.floating:
        raise Unsupported(
            f"the input is of type {meta.dtype.name}, and functions of real numbers are "
            "certified; export the part of the model behind its embedding"
        )
    if not meta.shape or meta.shape[0] != 1:
        raise Unsupported(
            f"the model was exported for an input of shape {meta.shape}; export it with an "
            "example input whose first axis, the batch, has length 1"
        )
    if 0 in meta.shape:
        raise Unsupported(f"the input, of shape {meta.shape}, has no entries")
    return meta.shape


def run(call: Call, target: str, names: dict[str, Any], scope: Scope) -> list[tuple[str, Any]]:
    """Lower one operator; the named results.

    Raises:
        Unsupported: it has no lowering, or not with these arguments.
        Damaged: its arguments make no sense.
    """
    rule = TABLE.get(target)
    if rule is None:
        raise Unsupported(_unknown(call))
    given = {k: v for k, v in call.arguments.items() if k not in IGNORED}
    if any(isinstance(v, Opaque) for v in given.values()):
        raise Unsupported(_refusal(call, "it takes an argument that is not a number or a tensor"))
    absent = [n for n in _references(list(given.values())) if names.get(n, ...) is None]
    if absent:
        raise Unsupported(_refusal(call, "it reads a position or statistic that has no lowering"))
    arguments = {k: resolve(v, names) for k, v in given.items()}
    try:
        inspect.signature(rule).bind(None, **arguments)
        context, before = scope.context(call), len(scope.builder.nodes)
        out = rule(context, **arguments)
        results = out if isinstance(out, list) else [out]
        if len(results) != len(call.outputs):
            raise ValueError(f"{len(results)} results where {len(call.outputs)} are named")
        lowered = Lowered(target, arguments, before, context)
        return [
            (name, scope.rounding(lowered, checked(result, scope.tensors.get(name))))
            for name, result in zip(call.outputs, results, strict=True)
            if name is not None
        ]
    except CannotLower as error:
        raise Unsupported(_refusal(call, str(error))) from error
    except MISFIT as error:
        raise Damaged(
            f"{printable(call.target)} at {call.origin} does not fit its arguments "
            f"({printable(str(error)) or type(error).__name__})"
        ) from error


def resolve(value: Any, names: dict[str, Any]) -> Any:
    """An argument with references replaced by the tensors they name.

    Raises:
        Damaged: a name is used before it is computed.
    """
    if isinstance(value, list):
        return [resolve(v, names) for v in value]
    if isinstance(value, Ref):
        if value.name not in names:
            raise Damaged(f"{printable(value.name)} is used before it is computed")
        return names[value.name]
    return value


def checked(result: Any, meta: Meta | None) -> Any:
    """A result in its declared type; None is one that the lowering leaves out.

    Raises:
        ValueError: its shape is not the declared one.
        CannotLower: a value would be rounded to integers.
    """
    if result is None:
        return None
    if meta is None:
        raise ValueError("nothing is known of the shape of a result")
    if tuple(result.shape) != meta.shape:
        raise ValueError(f"a result of shape {tuple(result.shape)}, declared as {meta.shape}")
    if isinstance(result, np.ndarray):
        return meta.dtype.cast(result)
    if not meta.dtype.floating:
        raise CannotLower(f"it rounds a value that depends on the input to {meta.dtype.name}")
    return result


def out_of_place(program: Program) -> dict[int, str]:
    """In-place operators that are safe to read as their ordinary form, by identity.

    `aten.relu_.default` computes what `aten.relu.default` does and overwrites its argument.
    Nobody sees the difference if the argument is fresh (no view of another tensor) and this
    is its only use.
    """
    uses: dict[str, int] = {}
    fresh: set[str] = set()
    safe: dict[int, str] = {}
    for call in program.calls:
        for name in _references(list(call.arguments.values())):
            uses[name] = uses.get(name, 0) + 1
    for call in program.calls:
        space, _, rest = call.target.partition(".")
        base, _, overload = rest.partition(".")
        plain = f"{space}.{base.rstrip('_')}.{overload}"
        written = next(iter(_references(list(call.arguments.values()))), None)
        if call.target not in TABLE and base.endswith("_") and plain in TABLE:
            if written in fresh and uses[written] == 1:
                safe[id(call)] = plain
                fresh.update(n for n in call.outputs if n)
        elif call.target not in VIEWS:
            fresh.update(n for n in call.outputs if n)
    return safe


def _references(values: list[Any]) -> list[str]:
    out = []
    for value in values:
        if isinstance(value, Ref):
            out.append(value.name)
        elif isinstance(value, list):
            out.extend(_references(value))
    return out


def _unknown(call: Call) -> str:
    reason = UNSUPPORTED.get(call.target)
    return (
        f"cannot certify {printable(call.target)}: no lowering to primitives"
        f"{f' ({reason})' if reason else ''}.\n"
        f"  in the model:  {call.origin}\n"
        f"  known ops:     {len(TABLE)} (list them with `certify ops`)\n"
        f"  to add it:     one file in certify/ops/; see docs/extend/op.md"
    )


def _refusal(call: Call, reason: str) -> str:
    return f"cannot certify {printable(call.target)}: {reason}.\n  in the model:  {call.origin}"
