"""python -m tools.report.compare on small files in the layout of the rendered set."""

import json
import re

import pytest

from tests.annotated import entries, save
from tools.evaluate import protocols, truth
from tools.evaluate.protocols import PROTOCOLS
from tools.report import compare


def run(data, model, out, *named):
    options = ["--predictions", *named] if named else []
    return compare.main(["--data", str(data), "--prior", str(model), "--out", str(out), *options])


@pytest.mark.slow
def test_page_of_other_data_keeps_the_papers_numbers_apart(data, model, tmp_path):
    frames = truth.load([data])
    path = save(tmp_path / "p.npz", entries(frames, points=frames.points + 2))
    assert run(data, model, tmp_path / "out", f"mine={path}") == 0
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert not record["human36m"] and record["withheld"] == []
    assert all("difference" not in result for result in record["results"])
    text = (tmp_path / "out/compare.md").read_text()
    html = (tmp_path / "out/index.html").read_text()
    assert text.split("\n\n")[1].startswith("> This is not Human3.6M.")
    assert html.index('class="note">This is not Human3.6M') < html.index("<table>")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "compare.json",
        "compare.md",
        "index.html",
    ]
    for table in text.split("\n\n"):  # no table has a row of the paper's and one of ours
        if table.startswith("|"):
            assert not ("Tome et al." in table and ("mine" in table or "true 2D" in table))
    _has_all_published(text, record)
    _has_all_published(html, record)
    assert html.count("data:image/png") == 4


def _has_all_published(text, record):
    for key in ("protocol_1_mm", "protocol_2_mm", "protocol_3_mm", "error_2d_px"):
        for row in record["published"][key]:
            assert row["method"] in text
            for number in [*row.get("per_action", []), row["average"]]:
                assert number is None or re.search(rf"\b{number}0?\b", text)


def test_human36m_without_some_videos_is_withheld(data, model, tmp_path):
    data.write_text(data.read_text().replace("punch", "Posing").replace("run", "Walking"))
    (data.parent / truth.MARKER).write_text(json.dumps({"trials": {}}))
    assert run(data, model, tmp_path / "out") == 1
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert record["results"] == [] and len(record["withheld"]) == 3
    reason = record["withheld"][0]["reason"]
    # All but three sequences of each subject.
    assert f"no frame of {2 * 30 * 4 - 1 - 2 * 3 * 4} videos" in reason
    assert "the first is S9, Directions, trial 1, camera 54138969; it has nothing of" in reason
    assert "Directions, Discussion, Eating" in reason and "Walking," not in reason


@pytest.mark.slow
def test_page_of_human36m_has_differences(data, model, tmp_path, monkeypatch):
    monkeypatch.setattr(protocols, "lacking", lambda protocol, index: [])
    data.write_text(data.read_text().replace("punch", "Posing").replace("run", "Walking"))
    trials = {"trials": {"S9": {"Walking": 1, "Walking 1": 2}}}
    (data.parent / truth.MARKER).write_text(json.dumps(trials))
    frames = truth.load([data])
    assert frames.human36m
    assert set(
        frames.index.trial[(frames.index.subject == "S9") & (frames.index.sequence == "Walking")]
    ) == {1}
    assert set(frames.select(PROTOCOLS[0]).index.frame) == {0, 320}  # every fifth of 0, 64, ...
    assert run(data, model, tmp_path / "out") == 0
    record = json.loads((tmp_path / "out/compare.json").read_text())
    for result in record["results"]:
        paper = {"1": 88.39, "2": 70.7, "3": 79.6}[result["protocol"]]
        assert result["difference"] == pytest.approx(result["mean"] - paper)
        if result["protocol"] == "1":
            walking = result["by_action"]["Walking"] - 71.36
            assert result["difference_by_action"]["Walking"] == pytest.approx(walking)
    text = (tmp_path / "out/compare.md").read_text()
    assert "not Human3.6M" not in text
    (table,) = [t for t in text.split("\n\n") if "Sanzari" in t and "average" in t]
    assert "ours: true 2D landmarks, lifted (hip aligned, typical scale)" in table
    _has_all_published(text, record)


@pytest.mark.slow
def test_what_does_not_fit_is_withheld_and_the_status_says_so(data, model, tmp_path, capsys):
    frames = truth.load([data])
    part = frames.take(frames.index.subject == "S11")
    path = save(tmp_path / "p.npz", entries(part, points=part.points))
    assert run(data, model, tmp_path / "out", f"part={path}", "none=none.npz") == 1
    record = json.loads((tmp_path / "out/compare.json").read_text())
    assert {r["protocol"] for r in record["results"] if r["method"] == "part"} == {"2"}
    reasons = {(w["method"], w["protocol"]): w["reason"] for w in record["withheld"]}
    assert "no prediction for 72 of 144 frames" in reasons["part", "1"]
    assert "No such file" in reasons["none", "all"]
    assert "withheld: part, protocol 1" in capsys.readouterr().err
    assert "no prediction for 72 of 144" in (tmp_path / "out/index.html").read_text()


def test_wrong_data_is_one_line_and_writes_nothing(tmp_path, model, capsys):
    assert run(tmp_path / "none.json", model, tmp_path / "out") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert run(tmp_path, model, tmp_path / "out") == 1
    assert "run make h36m" in capsys.readouterr().err and not (tmp_path / "out").exists()
