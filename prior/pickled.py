"""Reads pickled dicts of NumPy arrays without unpickling: nothing of the file is called.

Pickle is a small machine whose program is the file. NumPy's own classes give it memory at any
address, so an allow-list of classes does not make `pickle.load` safe. Here the few instructions
that dicts of arrays need are carried out on inert records, which become arrays at the end, once
type, shape and number of bytes fit together. Anything else is a PickledError.
"""

import io
import math
import pickletools
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from prior.errors import short

# Levels of dicts and lists inside each other; subject -> action -> array needs three.
DEEPEST = 8
NUMBER_TYPE = re.compile(r"[<>|=]?[biuf][1248]")
# Instructions whose argument is a value, and those that stand for one.
VALUES = set(
    "BININT BININT1 BININT2 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 BINSTRING SHORT_BINSTRING".split()
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Any] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
IGNORED = ("PROTO", "FRAME")
# Where NumPy 1 and 2 have their functions.
ARRAYS = ("numpy.core.multiarray", "numpy._core.multiarray")
NUMBERS = ("numpy.core.numeric", "numpy._core.numeric")


class PickledError(ValueError):
    """Not a pickled dict of arrays: what is in the way."""


class Global(NamedTuple):
    """The name of a class or function, which stays a name."""

    module: str
    name: str


class Reference(NamedTuple):
    """What stands beside the pickle, by the key that the pickle has for it."""

    key: Any


class Record:
    """What a call in a pickle stands for; `build` takes the state that the pickle then gives it,
    where its kind has one."""

    def build(self, state: Any) -> None:
        raise PickledError(f"the state {short(state)} where none is expected")


class Dtype(Record):
    """What `numpy.dtype` would be called with, and its byte order."""

    def __init__(self, text: Any, *_: Any) -> None:
        self.text, self.order = text, ""

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 8 or state[1] not in ("<", ">", "|", "="):
            raise PickledError(f"a dtype with the state {short(state)}")
        if any(part not in (None, -1) for part in state[2:7]):
            raise PickledError("a dtype of structures")
        self.order = state[1].replace("|", "")

    def dtype(self) -> np.dtype:
        if not isinstance(self.text, str) or not NUMBER_TYPE.fullmatch(self.text):
            raise PickledError(f"an array of {short(self.text)}")
        return np.dtype(self.order + self.text.lstrip("<>|="))


class Array(Record):
    """What an array would be made of: its Dtype, shape, order, and bytes or list of objects."""

    parts: tuple[Any, Any, Any, Any] | None = None

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise PickledError(f"an array with the state {short(state)}")
        self.parts = state[2], state[1], "F" if state[3] is True else "C", state[4]


# The head of an .npy of objects: magic, version, length, and a dict as text.
OBJECTS = re.compile(rb"\x93NUMPY[\x01\x02].{3,5}\{[^}]*'descr': '\|O'[^}]*\} *\n", re.DOTALL)


def read_npy(content: bytes) -> Any:
    """The value of an .npy of objects, as `read` has it. Raises PickledError."""
    head = OBJECTS.match(content[:10_000])
    if head is None:
        raise PickledError("no array of objects")
    return read(content[head.end() :])


def read(data: bytes) -> Any:
    """The value of a pickle: dicts, lists, text and numbers, and arrays of numbers.

    An array of objects becomes lists of them, as its shape says; one of a single object, (), that
    object. Raises PickledError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickletools, on damaged escapes in text
            return _plain(run(data, _call), DEEPEST)
    except PickledError:
        raise
    # A program that makes no sense: popping from nothing, a damaged argument, ...
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PickledError(f"a damaged pickle: {short(str(error))}") from None


def run(source: bytes | io.BytesIO, call: Callable[[Any, Any], Any]) -> Any:
    """What the program of a pickle leaves on its stack. Nothing is called but `call`.

    source: a pickle, or a file that then stands behind it. call: takes the Global that a pickle
    calls and its tuple of arguments; returns a Record or a value, or raises PickledError. Raises
    PickledError on other instructions, and whatever a program that makes no sense leads to:
    ValueError, IndexError, KeyError, TypeError, AttributeError or OverflowError.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        at = marks.pop()
        values = stack[at:]
        del stack[at:]
        return values

    argument: Any
    for code, argument, _ in pickletools.genops(source):
        name = code.name
        if name in VALUES:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("SETITEM", "SETITEMS"):
            values = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _set_items(stack[-1], values)
        elif name in ("APPEND", "APPENDS"):
            values = since_mark() if name == "APPENDS" else [stack.pop()]
            if not isinstance(stack[-1], list):
                raise PickledError("items of what is no list")
            stack[-1].extend(values)
        elif name == "GLOBAL":
            stack.append(Global(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [Global(*stack[-2:])]
        elif name == "REDUCE":
            function, arguments = stack[-2:]
            if not isinstance(function, Global) or not isinstance(arguments, tuple):
                raise PickledError("a call of what is no function")
            stack[-2:] = [call(function, arguments)]
        elif name == "BINPERSID":
            stack[-1] = Reference(stack[-1])
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], Record):
                raise PickledError(f"a state of {type(stack[-1]).__name__}")
            stack[-1].build(state)
        elif name == "STOP":
            return stack.pop()
        elif name not in IGNORED:
            raise PickledError(f"the instruction {name}, which no dict of arrays needs")
    raise PickledError("a pickle that is cut off")


def _set_items(target: Any, values: Sequence[Any]) -> None:
    keys = values[::2]
    if not isinstance(target, dict) or not all(isinstance(key, str | int | float) for key in keys):
        raise PickledError("keys that are no names")
    target.update(zip(keys, values[1::2], strict=True))


def _call(function: Global, arguments: tuple) -> Any:
    """The record of a call; all that arrays of numbers need, and nothing is called."""
    module, name = function
    if function == ("numpy", "dtype"):
        return Dtype(*arguments)
    if module in ARRAYS and name == "_reconstruct":
        return Array()
    if module in ARRAYS and name == "scalar":
        array = Array()
        array.parts = arguments[0], (), "C", arguments[1]
        return array
    if module in NUMBERS and name == "_frombuffer":
        content, dtype, shape, order = arguments
        array = Array()
        array.parts = dtype, shape, order, content
        return array
    if function == ("_codecs", "encode") and arguments[1:] == ("latin1",):
        return arguments[0].encode("latin1")
    if name == "bytes" and module in ("builtins", "__builtin__") and not arguments:
        return b""
    raise PickledError(f"{short(module)}.{short(name)}, which is not data")


def _plain(value: Any, levels: int) -> Any:
    """The value with arrays in place of their records."""
    if not levels:
        raise PickledError(f"more than {DEEPEST} levels")
    if isinstance(value, dict):
        return {key: _plain(inner, levels - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, levels - 1) for inner in value]
    if isinstance(value, Array):
        return _array(value, levels)
    if isinstance(value, Global | Record | tuple):
        raise PickledError(f"{type(value).__name__.lower()} in place of an array")
    return value


def _array(record: Array, levels: int) -> Any:
    """The array, number or, of an array of objects, list that a record stands for."""
    if record.parts is None or not isinstance(record.parts[0], Dtype):
        raise PickledError("an array without content")
    dtype, shape, order, content = record.parts
    lengths = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**62 for n in shape)
    if not lengths or order not in ("C", "F"):
        raise PickledError(f"an array of shape {short(shape)}")
    if isinstance(content, list) and dtype.text in ("O", "O8", "O4"):
        if len(content) != math.prod(shape):
            raise PickledError(f"{len(content)} objects in an array {shape}")
        plain = _plain(content, levels)
        for length in shape[:0:-1]:
            if not length:
                raise PickledError(f"an array of shape {shape}")
            plain = [plain[i : i + length] for i in range(0, len(plain), length)]
        return plain if shape else plain[0]
    if isinstance(content, str):  # of Python 2
        content = content.encode("latin1")
    kind = dtype.dtype()
    if not isinstance(content, bytes | bytearray):
        raise PickledError("an array without bytes")
    if math.prod(shape) * kind.itemsize != len(content):
        raise PickledError(f"{len(content)} bytes for an array {kind} {shape}")
    array = np.frombuffer(content, kind).reshape(shape, order=order)
    return array if shape else array.item()
