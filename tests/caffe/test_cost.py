"""The table of the paper's costs."""

from pathlib import Path

import pytest

from tools.paper import cost


def test_the_readmes_table_is_the_programs(capsys):
    assert cost.main([]) == 0
    printed = capsys.readouterr().out.strip().partition("\n\n")[2]
    assert printed in Path("tools/paper/README.md").read_text()


def test_the_measured_gpu_by_hand():
    """cpm on an H200: 8 images in 326.41 ms trained, in 121.437 ms deployed."""
    fine_tuning, evaluation = (row for row in cost.rows([]) if row[0] == "cpm")
    assert 1_384_000 * 0.32641 / 8 / 3600 == pytest.approx(15.7, abs=0.05)
    assert fine_tuning[-1] == "16 hours"
    assert 540_000 * 0.121437 / 8 / 3600 == pytest.approx(2.28, abs=0.01)
    assert evaluation[-1] == "2 hours"


def test_cpms_arithmetic_by_hand():
    """Kernels, channels and sides of CPM's release, for 18 maps: features of the first stage and of
    the later ones, and what each stage makes of them; a product and a sum."""
    features = 81 * 128 * (3 * 368**2 + 128 * (184**2 + 92**2))
    first = (25 * 128 * 32 + 81 * 32 * 512 + 512 * 512 + 512 * 18) * 46**2
    later = 25 * 128 * 32 + 121 * 128 * (32 + 18 + 1 + 2 * 128) + 128 * 128 + 128 * 18
    assert cost.operations("lifting") == 2 * (2 * features + first + 5 * later * 46**2)
