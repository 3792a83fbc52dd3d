"""tools/markdown.py: tables."""

import numpy as np
import pytest

from tools import markdown


def test_a_table_as_it_is_typed():
    rows = [("cpm", 12.345, 1200, None), ("lifting", np.float64(-3), np.int64(7), "")]
    assert markdown.table(("network", "mm", "frames", "note"), rows).split("\n") == [
        "| network |   mm | frames | note |",
        "| ------- | ---: | -----: | ---- |",
        "| cpm     | 12.3 |  1,200 |      |",
        "| lifting | -3.0 |      7 |      |",
    ]


def test_digits_are_the_tables():
    table = markdown.table(("", "ms"), [("a", 1.23456), ("b", float("nan"))], digits=3)
    assert table.split("\n")[2:] == ["| a   | 1.235 |", "| b   |       |"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", True),
        ("-3.4", True),
        ("+1,000.25", True),
        ("12 %", True),
        ("3.4 ± 0.5", True),
        ("", False),
        ("1.1, 1.2", False),
        ("3D", False),
        ("12 px of 400", False),
    ],
)
def test_what_is_a_number(text, number):
    assert markdown.is_number(text) == number


def cells(line):
    """The cells of a line, as a reader of GitHub's Markdown splits them: slowly."""
    read, text = [""], iter(line.strip())
    for letter in text:
        if letter == "\\":
            read[-1] += next(text)
        elif letter == "|":
            read.append("")
        else:
            read[-1] += letter
    return [cell.strip() for cell in read[1:-1]]


@pytest.mark.parametrize("name", ["a|b", "a\\|b", "a\\", "|", "<img src=x>", "a\nb", "\\\\|"])
def test_no_name_ends_its_cell(name):
    line = markdown.table(("", "mm"), [(name, 1.0)]).split("\n")[2:]
    assert [cells(part) for part in line] == [[name.replace("\n", " "), "1.0"]]


def test_no_element_of_html_begins():
    assert markdown.escaped("<img src=x>") == "\\<img src=x>"


def test_a_short_row_is_a_mistake():
    with pytest.raises(ValueError):
        markdown.table(("a", "b"), [("x",)])
