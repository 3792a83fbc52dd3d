"""Tables of losses that are damaged are one line, also where a training goes on from one."""

import pytest

from tools.train import curves, watch
from tools.train.curves import CurveError

GOOD = "iteration,seconds,loss,loss_stage1\n0,0.5,1.5,0.5\n1,1.0,1.25,\n2,1.5,1.0,0.25\n"


def test_a_good_table_is_read(tmp_path):
    (tmp_path / "loss.csv").write_text(GOOD)
    assert [row["loss"] for row in curves.read(tmp_path)] == ["1.5", "1.25", "1.0"]
    table = watch.LossTable(tmp_path / "loss.csv", 2)
    assert len(table.rows) == 2 and table.before == 1.0


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("1,1.0,1.25", "1.0,1.0,1.25"),
        GOOD.replace("1.25", "much"),
        GOOD.replace("1.25", ""),
        GOOD.replace("1.25", "9" * 400_000),
        GOOD.replace("loss,", "gain,"),
        GOOD.replace(",0.25", ",0.25,7"),
        GOOD + '"',
        "",
        "\xff",
    ],
)
def test_a_damaged_table_is_one_line(tmp_path, text):
    (tmp_path / "loss.csv").write_bytes(text.encode("latin1"))
    for read in (curves.read, lambda folder: watch.LossTable(folder / "loss.csv", 2)):
        with pytest.raises(CurveError, match="loss.csv: ") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) <= 1000
