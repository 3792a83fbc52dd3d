"""tools/bench/evaluation.py, a little of it."""

import json

from tools.bench import evaluation


def test_the_rates_of_each_way(tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    options = ["--images", "2", "--rounds", "1", "--batches", "4", "--network", "lite/lifting"]
    assert evaluation.main(["--out", str(out), *options]) == 0
    record = json.loads(out.read_text())
    ways = [(w["views"], w["batch"], min(w["workers"], 1)) for w in record["rates"]]
    assert ways == [(v, *way) for v in evaluation.VIEWS for way in ((1, 0), (8, 0), (4, 1))]
    assert all(w["images_per_second"] > 0 for w in record["rates"])
    # A network's time is nearly all, and no less in a batch than a tenth.
    alone = {w["views"]: w["cpu_ms"] for w in record["rates"] if w["batch"] == 1}
    assert all(0.1 * alone[w["views"]] < w["cpu_ms"] < float("inf") for w in record["rates"])
    assert " 1.00 |" in capsys.readouterr().out
