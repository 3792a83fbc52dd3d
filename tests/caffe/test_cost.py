"""The table of the paper's costs."""

from pathlib import Path

from tools.paper import cost


def test_the_readmes_table_is_the_programs(capsys):
    assert cost.main([]) == 0
    printed = capsys.readouterr().out.strip().partition("\n\n")[2]
    assert printed in Path("tools/paper/README.md").read_text()


def test_cpms_arithmetic_by_hand():
    """Kernels, channels and sides of CPM's release, for 18 maps: features of the first stage and of
    the later ones, and what each stage makes of them; a product and a sum."""
    features = 81 * 128 * (3 * 368**2 + 128 * (184**2 + 92**2))
    first = (25 * 128 * 32 + 81 * 32 * 512 + 512 * 512 + 512 * 18) * 46**2
    later = 25 * 128 * 32 + 121 * 128 * (32 + 18 + 1 + 2 * 128) + 128 * 128 + 128 * 18
    assert cost.operations("lifting") == 2 * (2 * features + first + 5 * later * 46**2)
