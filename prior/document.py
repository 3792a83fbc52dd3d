"""Takes apart what a foreign file holds, each step checked: names, types, ranges, limits.

    for image in document["images"].elements():
        name, width = image["file_name"].text(), image["width"].integer(1)

Whatever is not as expected is an InputError of the reader's kind, in one line that names the file
and the way to the value: "a.json: images[3].width: expected a whole number from 1, got 'x'".
"""

import math
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

import numpy as np

from prior import limits
from prior.errors import InputError, short
from prior.files import FilePath


def _kind(value: object) -> str:
    """What a value is, for a message."""
    names = {dict: "an object", list: "a list", type(None): "nothing"}
    return names.get(type(value)) or (repr(short(value)) if type(value) is str else short(value))


class Document:
    """A value of a foreign file, and the way to it."""

    __slots__ = ("value", "path", "way", "error")

    def __init__(
        self, value: Any, path: FilePath, error: type[InputError] = InputError, way: str = ""
    ) -> None:
        """value: of JSON's types. path: of the file. error: raised where something is wrong. way:
        from the file's top to the value, for messages."""
        self.value, self.path, self.error, self.way = value, path, error, way

    def fail(self, expected: str, got: str | None = None) -> NoReturn:
        """Raise the error: what was expected here, and what came."""
        where = f"{self.path}: {self.way}" if self.way else str(self.path)
        raise self.error(f"{where}: expected {expected}, got {got or _kind(self.value)}")

    def _step(self, value: Any, key: str | int) -> "Document":
        if isinstance(key, int):
            way = f"{self.way}[{key}]"
        else:
            way = f"{self.way}.{short(key)}" if self.way else short(key)
        return Document(value, self.path, self.error, way)

    def an_object(self) -> "Document":
        """Itself, an object."""
        if not isinstance(self.value, dict):
            self.fail("an object")
        return self

    def __contains__(self, key: str) -> bool:
        """Whether it is an object with this key, whose value is not null."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def __getitem__(self, key: str) -> "Document":
        """The value of a key of an object, which must be there."""
        if key not in self.an_object().value:
            self.fail(f"the key {key!r}", f"an object with {short(list(self.value))}")
        return self._step(self.value[key], key)

    def get(self, key: str) -> "Document | None":
        """The value of a key of an object; None if it is not there or null."""
        value = self.an_object().value.get(key)
        return None if value is None else self._step(value, key)

    def items(self) -> Iterator[tuple[str, "Document"]]:
        """The keys and values of an object."""
        return ((key, self._step(v, key)) for key, v in self.an_object().value.items())

    def elements(self, least: int = 0, most: str | None = None) -> "list[Document]":
        """The elements of a list. most: the name of the limit on their number."""
        return [self._step(value, i) for i, value in enumerate(self.plain_list(least, most))]

    def plain_list(self, least: int = 0, most: str | None = None) -> list[Any]:
        """The elements of a list as they are, for readers of millions."""
        if not isinstance(self.value, list):
            self.fail("a list")
        if len(self.value) < least:
            self.fail(f"a list of at least {least}", f"{len(self.value)}")
        if most is not None:
            where = f"{self.path}: {self.way}" if self.way else self.path
            limits.check(where, most, len(self.value), self.error)
        return self.value

    def text(self, choices: Collection[str] | None = None) -> str:
        """Text; choices: one of them."""
        if not isinstance(self.value, str):
            self.fail("text")
        if choices is not None and self.value not in choices:
            self.fail(f"one of {', '.join(choices) or 'none'}")
        return self.value

    def integer(self, low: int = -(2**63), high: int = 2**63 - 1) -> int:
        """A whole number from low to high."""
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(f"a whole number{_range(low, high)}")
        return value

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from low to high."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"a number{_range(low, high)}")
        try:
            value = float(value)
        except OverflowError:
            self.fail(f"a number{_range(low, high)}")
        if not math.isfinite(value) or not low <= value <= high:
            self.fail(f"a number{_range(low, high)}")
        return value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.fail("true or false")
        return self.value

    def array(self, shape: tuple[int | None, ...], *, missing: bool = False) -> np.ndarray:
        """Finite numbers as a float64 array of a shape. None in it: any length.

        missing: null and NaN stand for what is missing, and become NaN.
        """
        expected = f"numbers of shape ({', '.join('any' if n is None else str(n) for n in shape)})"
        try:
            array = np.array(self.value)
            if array.dtype == object and (missing or not any(v is None for v in array.flat)):
                plain = all(v is None or type(v) in (int, float) for v in array.flat)
                array = np.array(array, dtype=float) if plain else array
        except (TypeError, ValueError, OverflowError, RecursionError):
            self.fail(expected, f"rows that are not alike: {short(self.value)}")
        if array.shape == (0,) and shape[0] is None:
            array = np.empty((0, *(n or 0 for n in shape[1:])))
        if array.dtype.kind not in "iuf" and array.size:
            self.fail(expected)
        if array.ndim != len(shape) or any(
            n is not None and n != got for n, got in zip(shape, array.shape, strict=True)
        ):
            self.fail(expected, f"shape {array.shape}")
        if np.isinf(array).any() or (not missing and np.isnan(array).any()):
            self.fail(f"finite {expected}", "NaN or infinity")
        return array.astype(float)


def _range(low: float, high: float) -> str:
    """In words: from 0, up to 5, from 0 to 5, or nothing where there are no bounds worth saying."""
    limited_low, limited_high = low > -(2**63), high < 2**63 - 1
    words = f" from {low:g}" if limited_low else ""
    return words + (f"{' to' if limited_low else ' up to'} {high:g}" if limited_high else "")
