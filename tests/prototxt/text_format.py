"""Caffe's text files, read without Caffe."""

import re
from pathlib import Path

# A string (of either quotes), a name, a number or a brace; comments fall between them.
_TOKEN = re.compile(r"""#[^\n]*|"[^"]*"|'[^']*'|[{}]|[^\s{}:"'#]+:?""")


def read(path):
    """A prototxt as {field: list of its values}; a value is a float, a str or such a dict."""
    tokens = [t for t in _TOKEN.findall(Path(path).read_text()) if not t.startswith("#")]
    tokens.reverse()
    return _message(tokens)


def _message(tokens):
    fields = {}
    while tokens and tokens[-1] != "}":
        name = tokens.pop().removesuffix(":")
        value = tokens.pop()
        if value == "{":
            value = _message(tokens)
            assert tokens.pop() == "}"
        elif value[0] in "\"'":
            value = value[1:-1]
        else:
            value = _number(value)
        fields.setdefault(name, []).append(value)
    return fields


def _number(word):
    try:
        return float(word)
    except ValueError:
        return word  # a name of an enumeration, or true or false
