"""A Python layer's `param_str`, strict JSON checked against a dataclass, and its blobs' shapes."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Collection, Iterable
from typing import Any, TypeAlias, TypeVar

from prior.errors import InputError

# What Caffe hands to a layer, one of its C++ types: a blob has data, diff, shape and reshape(...);
# a vector, of blobs or of flags, has a length and is indexed, no more.
Blob: TypeAlias = Any
Blobs: TypeAlias = Any
Flags: TypeAlias = Any

Parameters = TypeVar("Parameters")


def read(layer: str, text: str, expected: type[Parameters]) -> Parameters:
    """The `param_str` of a layer as an instance of the dataclass `expected`.

    Keys of fields with a default may be left out. A field's type is str, int, float, bool, a
    Literal, dict (a JSON object, whose content `expected` checks), or a union of these and None.
    `expected.__post_init__` may raise InputError("key: ...") on a bad value. Raises InputError,
    which names the layer and the key, on anything that the dataclass does not allow.
    """
    try:
        return _read(text, expected)
    except ValueError as error:
        raise InputError(f"{layer}: param_str: {error}") from None


def _read(text: str, expected: type[Parameters]) -> Parameters:
    try:
        values = json.loads(text or "{}", object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"expected strict JSON, got {text!r}: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"expected a JSON object, got {text}")
    hints = typing.get_type_hints(expected)
    for key in values:
        if key not in hints:
            raise InputError(f"{key}: unknown key, expected one of {', '.join(hints)}")
    for field in dataclasses.fields(typing.cast(Any, expected)):
        if field.default is dataclasses.MISSING and field.name not in values:
            raise InputError(f"{field.name}: missing key")
    return expected(**{key: _typed(key, value, hints[key]) for key, value in values.items()})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"{key}: given twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise InputError(f"{name}: not a number in strict JSON")


def _typed(key: str, value: Any, hint: Any) -> Any:
    """`value` if it is of the type `hint`; an int serves as a float, a bool not as an int."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            if isinstance(value, str) and value in typing.get_args(option):
                return value
        elif option is float and type(value) in (int, float):
            if math.isfinite(value):  # JSON's grammar allows 1e999
                return float(value)
        elif type(value) is option:
            return value
    names: list[str] = []
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            names += map(json.dumps, typing.get_args(option))
        else:
            names.append("null" if option is type(None) else option.__name__)
    raise InputError(f"{key}: expected {' or '.join(names)}, got {json.dumps(value)}")


def check_count(layer: str, what: str, blobs: Blobs, allowed: Collection[int]) -> None:
    """InputError unless the number of bottoms or tops is one of `allowed`."""
    if len(blobs) not in allowed:
        numbers = " or ".join(map(str, allowed))
        raise InputError(f"{layer}: expected {numbers} {what}, got {len(blobs)}")


def check_shape(layer: str, what: str, blob: Blob, shape: Iterable[int | None]) -> None:
    """InputError unless a blob has `shape`, where None stands for any size > 0."""
    got, shape = tuple(blob.shape), tuple(shape)
    fits = len(got) == len(shape) and all(
        size > 0 if want is None else size == want for size, want in zip(got, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise InputError(f"{layer}: {what}: expected shape ({wanted}), got {got}")
