"""The one kind of error that a user can mend."""


class InputError(ValueError):
    """Bad input: the message says what was expected, what came, and what to try.

    Every program turns it into one line and exit status 1 (prior.program); in Python it is a
    ValueError. Modules whose callers need to tell their errors apart derive their own.
    """
