"""The one kind of error that a user can mend, and values of others in its message."""

# Characters of a foreign value in a message, and of a message: about ten lines of a terminal, for a
# file may have many names to list. Our choice.
SHOWN, LONGEST = 60, 1000


class InputError(ValueError):
    """Bad input: the message says what was expected, what came, and what to try.

    Every program turns it into one line and exit status 1 (prior.program); in Python it is a
    ValueError. Modules whose callers need to tell their errors apart derive their own. Whatever a
    file held, the message is one line, printable, and not longer than LONGEST.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(short(str(message), LONGEST))


def short(value: object, most: int = SHOWN) -> str:
    """A value for a message: on one line, printable, not long; text as it is, the rest as repr."""
    if isinstance(value, list | dict | tuple | set) and len(value) > most:
        text = f"{type(value).__name__} of {len(value)}"
    elif isinstance(value, int) and value.bit_length() > 8 * most:
        text = f"a number of {value.bit_length()} bits"
    else:
        try:
            text = value[: 4 * most] if isinstance(value, str) else repr(value)
        except RecursionError:
            text = f"{type(value).__name__}, deeply nested"
    text = "".join(c if c.isprintable() else " " for c in text[: 4 * most])
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."
