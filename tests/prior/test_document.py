"""Documents of others, taken apart: what is wrong is one line that names the way to it."""

import pytest

from prior.document import Document
from prior.errors import InputError, short


class ReaderError(InputError):
    """A reader's own."""


def document(value):
    return Document(value, "a.json", ReaderError)


def test_good_values_come_through():
    images = document({"images": [{"name": "x", "width": 3.0, "rate": 2, "ok": True, "no": None}]})
    (image,) = images["images"].elements()
    assert image["name"].text(("x", "y")) == "x" and image["width"].integer(1, 3) == 3
    assert image["rate"].number(0) == 2.0 and image["ok"].flag() is True
    assert image.get("no") is None and image.get("none") is None and "no" not in image
    assert [key for key, _ in image.items()] == ["name", "width", "rate", "ok", "no"]
    assert document([[1, 2.5], [3, 4]]).array((None, 2)).tolist() == [[1, 2.5], [3, 4]]
    assert document([]).array((None, 17, 2)).shape == (0, 17, 2)
    missing = document([[1, None]]).array((1, 2), missing=True)
    assert missing[0, 0] == 1 and missing[0, 1] != missing[0, 1]


@pytest.mark.parametrize(
    "value, step, message",
    [
        ([], lambda d: d["a"], "a.json: expected an object, got a list"),
        ({"b": 1}, lambda d: d["a"], "a.json: expected the key 'a', got an object with"),
        (
            {"a": [{"b": "x"}]},
            lambda d: d["a"].elements()[0]["b"].integer(0),
            "a.json: a[0].b: expected a whole number from 0, got 'x'",
        ),
        ("x" * 999, lambda d: d.number(), "expected a number, got 'xxx"),
        (True, lambda d: d.integer(), "expected a whole number, got True"),
        (1.5, lambda d: d.integer(), "expected a whole number, got 1.5"),
        (7, lambda d: d.integer(0, 5), "expected a whole number from 0 to 5, got 7"),
        (10**400, lambda d: d.integer(), "got a number of 1329 bits"),
        (10**400, lambda d: d.number(), "got a number of 1329 bits"),
        (float("nan"), lambda d: d.number(), "expected a number, got nan"),
        (-1, lambda d: d.number(0), "expected a number from 0, got -1"),
        (1, lambda d: d.text(), "expected text, got 1"),
        ("z", lambda d: d.text(("x", "y")), "expected one of x, y, got 'z'"),
        ("z", lambda d: d.text(()), "expected one of none, got 'z'"),
        (1, lambda d: d.flag(), "expected true or false, got 1"),
        ({}, lambda d: d.elements(), "expected a list, got an object"),
        ([1], lambda d: d.elements(2), "expected a list of at least 2, got 1"),
        ([0] * 101, lambda d: d.elements(0, "people"), "at most 100 people in one frame, got 101"),
        ([["1", 2]], lambda d: d.array((1, 2)), "expected numbers of shape (1, 2)"),
        (
            [[1, 2], [3]],
            lambda d: d.array((None, 2)),
            "expected numbers of shape (any, 2), got rows",
        ),
        (
            [[1, 2]],
            lambda d: d.array((None, 3)),
            "expected numbers of shape (any, 3), got shape (1, 2)",
        ),
        ([1, None], lambda d: d.array((2,)), "expected numbers of shape (2)"),
        ([1, float("nan")], lambda d: d.array((2,)), "expected finite numbers"),
        ([1, float("inf")], lambda d: d.array((2,), missing=True), "expected finite numbers"),
        ([True, False], lambda d: d.array((2,)), "expected numbers"),
        ([10**400], lambda d: d.array((1,)), "expected numbers"),
        (["1", None], lambda d: d.array((2,), missing=True), "expected numbers"),
    ],
)
def test_what_is_wrong_is_one_line(value, step, message):
    with pytest.raises(ReaderError) as caught:
        step(document(value))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_short_values_are_printable_and_short():
    assert short("a\x1b[2J\nb") == "a [2J b"
    assert short(list(range(1000))) == "list of 1000"
    assert len(short("x" * 10_000)) == 60
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert short(nested) == "list, deeply nested"
