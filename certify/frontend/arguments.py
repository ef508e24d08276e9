"""Checked reading of the JSON of an exported program: fields, number types, arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from certify.errors import UnreadableFile, Unsupported
from certify.ops.context import bounded


class Damaged(UnreadableFile):
    """A model file that contradicts itself; the text is one sentence, without the path."""


DYNAMIC = (
    "the model has dynamic shapes; export it without dynamic_shapes, "
    "with one example input of batch size 1"
)


@dataclass(frozen=True)
class Dtype:
    """A number type: how it is stored, and the exact type it becomes."""

    name: str
    raw: np.dtype | None = None
    epsilon: float | None = None

    @property
    def floating(self) -> bool:
        """Whether it is a floating-point type."""
        return self.epsilon is not None

    def exact(self, array: np.ndarray) -> np.ndarray:
        """Stored numbers as float64, int64 or bool.

        Raises:
            Damaged: an unsigned integer is too large for int64.
        """
        if self.name == "bfloat16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        if self.floating:
            with np.errstate(invalid="ignore"):  # signaling nans; they are refused later
                return array.astype(np.float64)
        if self.name == "bool":
            return array != 0
        if self.name == "uint64" and (array >= 1 << 63).any():
            raise Damaged("an unsigned integer is too large")
        return array.astype(np.int64)

    def cast(self, array: np.ndarray) -> np.ndarray:
        """A constant converted to this type; real numbers are not rounded to shorter floats."""
        if self.floating:
            return array.astype(np.float64)
        if self.name == "bool":
            return array != 0
        with np.errstate(all="ignore"):
            return self.exact(np.trunc(array).astype(np.int64).astype(self.raw))


def _dtype(name: str, raw: str | None = None, epsilon: float | None = None) -> Dtype:
    return Dtype(name, None if raw is None else np.dtype(raw), epsilon)


#: The type codes of torch's export schema.
DTYPES: dict[int, Dtype] = {
    1: _dtype("uint8", "u1"),
    2: _dtype("int8", "i1"),
    3: _dtype("int16", "<i2"),
    4: _dtype("int32", "<i4"),
    5: _dtype("int64", "<i8"),
    6: _dtype("float16", "<f2", 2.0**-10),
    7: _dtype("float32", "<f4", 2.0**-23),
    8: _dtype("float64", "<f8", 2.0**-52),
    9: _dtype("complex32"),
    10: _dtype("complex64"),
    11: _dtype("complex128"),
    12: _dtype("bool", "u1"),
    13: _dtype("bfloat16", "<u2", 2.0**-7),
    28: _dtype("uint16", "<u2"),
    34: _dtype("uint32", "<u4"),
    35: _dtype("uint64", "<u8"),
}


@dataclass(frozen=True)
class Meta:
    """What an archive says of a tensor."""

    dtype: Dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Ref:
    """An argument that is a tensor computed or stored elsewhere."""

    name: str


@dataclass(frozen=True)
class Opaque:
    """An argument of a kind that no lowering takes (a subgraph, a custom object)."""

    kind: str


def field(data: Any, name: str, kind: type) -> Any:
    """`data[name]`, which must be there and of that type.

    Raises:
        Damaged: it is not.
    """
    value = data.get(name) if isinstance(data, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Damaged(f"a field {name!r} is missing or of the wrong type")
    return value


def text(data: Any, name: str) -> str:
    """`data[name]`, a string.

    Raises:
        Damaged: it is not.
    """
    return field(data, name, str)


def integer(data: Any) -> int:
    """A size, stride or offset.

    Raises:
        Unsupported: it is symbolic.
        Damaged: it is not an integer of 64 bits.
    """
    if isinstance(data, dict) and ("as_expr" in data or "as_name" in data):
        raise Unsupported(DYNAMIC)
    value = field(data, "as_int", int)
    if abs(value) >= 1 << 63:
        raise Damaged("an integer is too large")
    return value


def tensor_meta(data: dict[str, Any], name: str) -> Meta:
    """What an archive says of tensor `name`.

    Raises:
        Unsupported: a symbolic size.
        Damaged: it makes no sense.
    """
    try:
        shape = bounded(tuple(integer(n) for n in field(data, "sizes", list)))
    except ValueError as error:
        raise Damaged(f"{name} has an {error}") from error
    strides = tuple(integer(n) for n in field(data, "strides", list))
    code = field(data, "dtype", int)
    dtype = DTYPES.get(code, Dtype(f"type {code}"))
    return Meta(dtype, shape, strides, integer(field(data, "storage_offset", dict)))


def number(value: Any) -> float:
    """A float; infinities are stored as strings.

    Raises:
        Damaged: it is not a number.
    """
    if isinstance(value, str) and value in ("Infinity", "-Infinity", "NaN"):
        return float(value.replace("Infinity", "inf"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Damaged("a floating-point argument is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise Damaged("a floating-point argument is too large") from error


def _whole(value: Any) -> int:
    return integer({"as_int": value})


def _flag(value: Any) -> bool:
    return field({"": value}, "", bool)


def _ref(value: Any) -> Ref:
    return Ref(text(value, "name"))


def _optional(value: Any) -> Ref | None:
    if isinstance(value, dict) and "as_none" in value:
        return None
    return _ref(field(value, "as_tensor", dict))


def _each(reader: Any) -> Any:
    return lambda value: [reader(v) for v in field({"": value}, "", list)]


def _type(value: Any) -> Dtype:
    return DTYPES.get(_whole(value), Dtype("an unknown type"))


_READERS = {
    "as_none": lambda _: None,
    "as_tensor": _ref,
    "as_tensors": _each(_ref),
    "as_optional_tensor": _optional,
    "as_optional_tensors": _each(_optional),
    "as_int": _whole,
    "as_ints": _each(_whole),
    "as_float": number,
    "as_floats": _each(number),
    "as_bool": _flag,
    "as_bools": _each(_flag),
    "as_string": lambda value: text({"": value}, ""),
    "as_sym_int": integer,
    "as_sym_ints": _each(integer),
    "as_scalar_type": _type,
}


def argument(data: Any) -> Any:
    """One argument: a number, text, `Dtype`, `Ref`, a list of those, None, or `Opaque`.

    Raises:
        Unsupported: it is symbolic.
        Damaged: it makes no sense.
    """
    if not isinstance(data, dict) or len(data) != 1:
        raise Damaged("an argument is not a single tagged value")
    ((kind, value),) = data.items()
    reader = _READERS.get(kind)
    return Opaque(kind) if reader is None else reader(value)
