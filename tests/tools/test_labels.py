"""Names with dollar signs are drawn as they stand."""

import pytest
from matplotlib.cbook import is_math_text

from tools.labels import plain
from tools.train import curves


@pytest.mark.parametrize("name", ["$\\frac{", "a$b$c", "$", "cost in $"])
def test_a_name_is_no_formula(name):
    assert not is_math_text(plain(name))
    assert plain(name).replace(r"\$", "$") == name  # what matplotlib does to text without formula


def test_curves_of_a_column_with_a_formula_are_drawn(tmp_path):
    rows = [{"iteration": str(i), "loss": "1.5", "$\\frac{$": "0.5"} for i in range(3)]
    curves.draw({"a": rows}, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
