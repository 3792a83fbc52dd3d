"""A Python layer's `param_str`: strict JSON, checked against a dataclass."""

import dataclasses
import json
import math
import types
import typing


def read(layer, text, expected):
    """The `param_str` of a layer as an instance of the dataclass `expected`.

    Fields with a default may be left out; types are str, int, float, bool, Literal, dict (an
    object, for `expected` to check), or several of these and None. `expected.__post_init__` may
    raise ValueError("key: ...") on a bad value. Raises ValueError, naming the layer and the key,
    on anything else than what the dataclass says.
    """
    try:
        given = json.loads(text or "{}", object_pairs_hook=_unique, parse_constant=_no_constant)
        if not isinstance(given, dict):
            raise ValueError(f"expected a JSON object, got {text}")
        hints = typing.get_type_hints(expected)
        for key, value in given.items():
            if key not in hints:
                raise ValueError(f"{key}: unknown key, expected one of {', '.join(hints)}")
            given[key] = _typed(key, value, hints[key])
        for field in dataclasses.fields(expected):
            if field.default is dataclasses.MISSING and field.name not in given:
                raise ValueError(f"{field.name}: missing key")
        return expected(**given)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            error = f"expected strict JSON, got {text!r}: {error}"
        raise ValueError(f"{layer}: param_str: {error}") from None


def _unique(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key}: given twice")
    return dict(pairs)


def _no_constant(name):
    raise ValueError(f"{name}: not a number in strict JSON")


def _typed(key, value, hint):
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
    names = []
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            names += map(json.dumps, typing.get_args(option))
        else:
            names.append("null" if option is type(None) else option.__name__)
    raise ValueError(f"{key}: expected {' or '.join(names)}, got {json.dumps(value)}")


def check_count(layer, what, blobs, allowed):
    """ValueError unless the number of bottoms or tops is one of `allowed`."""
    if len(blobs) not in allowed:
        numbers = " or ".join(map(str, allowed))
        raise ValueError(f"{layer}: expected {numbers} {what}, got {len(blobs)}")


def check_shape(layer, what, blob, shape):
    """ValueError unless a blob has `shape`, where None stands for any size > 0."""
    got = tuple(blob.shape)
    fits = len(got) == len(shape) and all(
        size > 0 if want is None else size == want for size, want in zip(got, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{layer}: {what}: expected shape ({wanted}), got {got}")
