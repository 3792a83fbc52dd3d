"""Protocol buffers, read straight from their wire format: no schema, and no copy of their bytes."""

from collections.abc import Iterator


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Yields (number, value, bytes) of each field; a value is an int or a slice of the message.

    Raises ValueError, which says what is wrong with it.
    """
    at = 0
    while at < len(message):
        start = at
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | memoryview
        if kind == 0:
            value, at = varint(message, at)
        elif kind in (1, 2, 5):
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, at = varint(message, at)
            if at + length > len(message):
                raise ValueError("it is cut short")
            value, at = message[at : at + length], at + length
        else:
            raise ValueError("it is no protocol buffer")
        yield number, value, message[start:at]


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place after it. Raises ValueError."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("it is cut short")
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
