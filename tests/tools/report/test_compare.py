"""Truth, predictions, scoring and the page, on small files in the layout of the rendered set."""

import json
import re

import numpy as np
import pytest

import prior
from prior import metrics
from prior.camera import look_at, perspective
from prior.skeleton import LANDMARKS, L, limb_scale
from python_layers.data import annotations
from tests.poses import random_poses
from tools.evaluate import predictions, protocols, scoring, truth
from tools.evaluate.lifting import LandmarkLifter, cameras_toward
from tools.evaluate.predictions import PredictionError
from tools.evaluate.protocols import CAMERAS, PROTOCOLS
from tools.evaluate.truth import TruthError
from tools.report import compare, page

INTRINSICS = np.array([[1145.0, 0, 500], [0, 1145, 500], [0, 0, 1]])
PLACES = 1000 * np.array([[3, 1.5, 3.5], [-3, 1.4, 3.5], [3, 1.6, -3.5], [-3, 1.5, -3]])
FRAMES = 6  # of each subject, action and camera
ACTIONS = ("punch", "run 1", "run")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "prior.npz"
    fitted = prior.fit(random_poses(400), components=2, basis=6, solver="closed-form")
    fitted.save(path)
    return path


@pytest.fixture(scope="module")
def document():
    """Annotations of S9 and S11, each in three sequences before four cameras."""
    views = {c: (look_at(p, [0, 900, 0]), p) for c, p in zip(CAMERAS, PLACES, strict=True)}
    images, people = [], []
    for s, subject in enumerate(("S9", "S11")):
        for a, action in enumerate(ACTIONS):
            poses = random_poses(FRAMES, seed=10 * s + a)
            poses += [0, 900, 0] - poses[:, :1]
            for camera, (rotation, position) in views.items():
                for frame, pose in enumerate(poses):
                    points = perspective(pose, rotation, position, INTRINSICS)
                    low, high = points.min(axis=0), points.max(axis=0)
                    images.append(
                        {
                            "id": len(images),
                            "file_name": f"{len(images)}.jpg",
                            "width": 1000,
                            "height": 1000,
                            "subject": subject,
                            "action": action,
                            "camera": f"{subject}/{camera}",
                            "frame": 64 * frame,
                        }
                    )
                    people.append(
                        {
                            "image_id": images[-1]["id"],
                            "pose_mm": pose.tolist(),
                            "keypoints": np.c_[points, np.full(L, 2)].ravel().tolist(),
                            "bbox": [*low.tolist(), *(high - low).tolist()],
                        }
                    )
    return {
        "categories": [{"keypoints": list(LANDMARKS)}],
        "cameras": {
            f"{subject}/{camera}": {
                "rotation": r.tolist(),
                "position_mm": p.tolist(),
                "intrinsics": INTRINSICS.tolist(),
            }
            for subject in ("S9", "S11")
            for camera, (r, p) in views.items()
        },
        "images": images,
        "annotations": people,
    }


@pytest.fixture
def data(document, tmp_path):
    path = tmp_path / "test.json"
    path.write_text(json.dumps(document))
    return path


def entries(frames, **more):
    """The arrays of a predictions file for the frames of a Truth."""
    index = frames.index
    return {
        "landmarks": np.array(LANDMARKS),
        "subject": index.subject,
        "action": index.sequence,
        "camera": index.camera,
        "frame": index.frame,
    } | more


def save(path, arrays):
    if path.suffix == ".json":
        path.write_text(json.dumps({k: v.tolist() for k, v in arrays.items()}))
    else:
        np.savez(path, **arrays)
    return path


def run(data, model, out, *named):
    options = ["--predictions", *named] if named else []
    return compare.main(["--data", str(data), "--prior", str(model), "--out", str(out), *options])


# Truth ------------------------------------------------------------------------------------------


def test_truth_of_annotations(data):
    frames = truth.load([data])
    assert len(frames) == 2 * 3 * 4 * FRAMES and not frames.human36m
    assert set(frames.index.camera) == set(CAMERAS)
    assert set(frames.index.trial[frames.index.sequence == "run"]) == {2}
    assert len(frames.select(PROTOCOLS[1])) == 3 * 4 * FRAMES  # S11
    assert len(frames.select(PROTOCOLS[2])) == 2 * 2 * FRAMES  # camera 3, trial 1


def test_cropped_images_are_compared_in_px_of_the_original(data, tmp_path):
    """Points and intrinsics of the truth, and the points that evaluation writes of the crops."""
    whole = truth.load([data])
    changed = json.loads(data.read_text())
    for image, person in zip(changed["images"], changed["annotations"], strict=True):
        image["offset"] = offset = [100 + image["id"], 50]
        points = np.reshape(person["keypoints"], (L, 3)) - [*offset, 0]
        person["keypoints"] = points.ravel().tolist()
    data.write_text(json.dumps(changed))
    cropped = truth.load([data])
    np.testing.assert_allclose(cropped.points, whole.points)
    np.testing.assert_allclose(cropped.intrinsics, whole.intrinsics)
    people = annotations.load(data, check_images=False)
    arrays = predictions.frames_of(people) | {"points": people.points[None]}
    found = predictions.load(save(tmp_path / "p.npz", arrays)).take(whole.index)
    np.testing.assert_allclose(found.points[0], whole.points)


def test_truth_in_metres_is_named(data):
    changed = json.loads(data.read_text())
    for person in changed["annotations"]:
        person["pose_mm"] = (np.array(person["pose_mm"]) / 1000).tolist()
    data.write_text(json.dumps(changed))
    with pytest.raises(TruthError, match="test.json: truth: .*are they in metres"):
        truth.load([data])


@pytest.mark.parametrize("key", ["subject", "action", "frame", "camera"])
def test_truth_says_what_its_images_lack(data, key):
    changed = json.loads(data.read_text())
    for image in changed["images"][:5]:
        del image[key]
    data.write_text(json.dumps(changed))
    with pytest.raises(TruthError, match="5 of 144 lack one, the first is .*0.jpg"):
        truth.load([data])


def test_cameras_look_at_the_landmarks_found(data):
    frames = truth.load([data])
    points = frames.points.copy()
    points[0, 3:] = np.nan
    points[1] = np.nan
    found = cameras_toward(points, frames.rotations, frames.intrinsics)
    np.testing.assert_array_equal(found[1], frames.rotations[1])
    # A point on the ray to the middle of what is seen has no x and y in the turned camera.
    ray = np.linalg.inv(INTRINSICS) @ [*points[0, :3].mean(axis=0), 1]
    np.testing.assert_allclose((found[0] @ frames.rotations[0].T @ ray)[:2], 0, atol=1e-9)


# Predictions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_predictions_are_matched_whatever_their_order(data, tmp_path, suffix):
    frames = truth.load([data])
    shuffled = frames.take(np.random.default_rng(0).permutation(len(frames)))
    path = save(tmp_path / f"p{suffix}", entries(shuffled, points=shuffled.points))
    one = frames.select(PROTOCOLS[1])
    np.testing.assert_array_equal(predictions.load(path).take(one.index).points[0], one.points)


def _refused(tmp_path, arrays):
    with pytest.raises(PredictionError) as error:
        predictions.load(save(tmp_path / "p.npz", arrays))
    return str(error.value)


def test_another_order_of_landmarks_is_refused(data, tmp_path):
    frames = truth.load([data])
    arrays = entries(frames, points=frames.points)
    arrays["landmarks"] = np.roll(arrays["landmarks"], 1)
    text = _refused(tmp_path, arrays)
    assert "the same names in another order, 17 of 17 elsewhere: the first is 'right wrist'" in text
    arrays["landmarks"] = np.array([*LANDMARKS[:-1], "tail"])
    assert "other names, 1 of 17 elsewhere: the first is 'tail'" in _refused(tmp_path, arrays)
    del arrays["landmarks"]
    assert "expected `landmarks`" in _refused(tmp_path, arrays)


def test_files_that_are_no_predictions(data, tmp_path):
    frames = truth.load([data])
    good = entries(frames, points=frames.points)
    assert "found neither" in _refused(tmp_path, entries(frames))
    assert "expected (144, 17, 2), got (1, 143, 17, 2)" in _refused(
        tmp_path, good | {"points": frames.points[1:]}
    )
    assert "no frame" in _refused(tmp_path, {k: v for k, v in good.items() if k != "frame"})
    twice = good | {"frame": np.where(good["frame"] == 64, 0, good["frame"])}
    assert "24 are there again: S11/punch.54138969 frame 0;" in _refused(tmp_path, twice)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(PredictionError, match="a.json: expected .npz or JSON"):
        predictions.load(tmp_path / "a.json")


def test_missing_frames_and_actions_are_named_and_counted(data, tmp_path):
    frames = truth.load([data])
    one = frames.select(PROTOCOLS[0])
    part = frames.take(frames.index.action != "punch")
    lost = part.index.keys().index(("S9", "run", CAMERAS[1], 128))
    part = part.take(np.arange(len(part)) != lost)
    found = predictions.load(save(tmp_path / "p.npz", entries(part, points=part.points)))
    with pytest.raises(PredictionError) as error:
        found.take(one.index)
    assert "no prediction for 49 of 144 frames; none at all of the actions punch; in 9 " in str(
        error.value
    )
    # Protocol 2 wants S11 alone; other frames than the truth's are another matter.
    later = entries(frames, points=frames.points) | {"frame": frames.index.frame + 1}
    found = predictions.load(save(tmp_path / "p.npz", later))
    with pytest.raises(PredictionError, match="144 of 144 frames: the 144 predicted are of other"):
        found.take(one.index)


def test_poses_with_nan_or_in_metres_are_refused(data, tmp_path):
    frames = truth.load([data])
    poses = frames.poses_mm.copy()
    poses[[3, 100], 5, 1] = np.nan
    found = predictions.load(save(tmp_path / "p.npz", entries(frames, poses=poses)))
    with pytest.raises(PredictionError, match="2 of 144 poses have NaN .*: S9/punch"):
        found.take(frames.index)
    metres = entries(frames, poses=frames.poses_mm / 1000)
    found = predictions.load(save(tmp_path / "p.npz", metres))
    with pytest.raises(PredictionError, match="are they in metres"):
        found.take(frames.index)


# Scores -----------------------------------------------------------------------------------------


def _by(results, **facts):
    return [r for r in results if all(getattr(r, k) == v for k, v in facts.items())]


def test_scores_against_loops(data, model, tmp_path):
    """Every alignment of every protocol, with the distances added up one by one."""
    frames = truth.load([data])
    noise = np.random.default_rng(0).normal(size=frames.poses_mm.shape) * 60
    poses = 1.1 * frames.poses_mm + noise
    path = save(tmp_path / "p.npz", entries(frames, poses=poses))
    method = scoring.Method("noisy", predictions.load(path))
    results, withheld = scoring.score_all([method], frames, LandmarkLifter(prior.load(model)))
    assert not withheld and len(results) == 4 + 1 + 1

    def error(i, alignment, landmarks):
        a, b = poses[i], frames.poses_mm[i]
        if alignment.scale == "known":
            a = a * (limb_scale(b) / limb_scale(a))
        a, b = a[list(landmarks)], b[list(landmarks)]
        if alignment.to == "procrustes":
            a = metrics.procrustes(a[None], b[None])[0]
        elif alignment.to == "root":
            a, b = a - a[0], b - b[0]
        else:
            a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        return sum(float(np.linalg.norm(p - q)) for p, q in zip(a, b, strict=True)) / len(a)

    for protocol in PROTOCOLS:
        rows = [
            i
            for i, key in enumerate(frames.index.keys())
            if key in set(frames.select(protocol).index.keys())
        ]
        for alignment in protocol.alignments:
            (found,) = _by(
                results, protocol=protocol.name, aligned=alignment.to, scale=alignment.scale
            )
            errors = {i: error(i, alignment, protocol.landmarks) for i in rows}
            assert found.mean == pytest.approx(np.mean(list(errors.values())))
            assert found.frames == len(rows) and found.landmarks == len(protocol.landmarks)
            punch = [e for i, e in errors.items() if frames.index.action[i] == "punch"]
            assert found.by_action["punch"] == pytest.approx(np.mean(punch))
            assert set(found.by_action) == {"punch", "run"}
            assert np.mean(list(found.by_landmark.values())) == pytest.approx(found.mean)


def test_true_landmarks_as_predictions_are_the_true_2d_row(data, model, tmp_path):
    frames = truth.load([data])
    path = save(tmp_path / "p.npz", entries(frames, points=np.stack([frames.points + 9] * 3)))
    shifted = predictions.load(path)
    path = save(tmp_path / "p.npz", entries(frames, points=frames.points))
    methods = [
        scoring.Method("true", None),
        scoring.Method("same", predictions.load(path)),
        scoring.Method("shifted", shifted),
    ]
    results, withheld = scoring.score_all(methods, frames, LandmarkLifter(prior.load(model)))
    assert not withheld
    for protocol in PROTOCOLS:
        for alignment in protocol.alignments:
            facts = {"protocol": protocol.name, "aligned": alignment.to, "scale": alignment.scale}
            true, same, _ = _by(results, what="3D error, mm", **facts)
            assert same.mean == pytest.approx(true.mean, rel=1e-6) and true.mean > 1
    (same, shifted) = _by(results, what="2D error, px")
    assert same.mean == 0 and shifted.mean == pytest.approx(9 * 2**0.5)
    assert len(shifted.by_stage) == 3 and same.by_stage == []


def test_landmarks_not_found_withhold_the_2d_error_not_the_lifting(data, model, tmp_path):
    frames = truth.load([data])
    points = frames.points.copy()
    points[:10, 3] = np.nan
    found = predictions.load(save(tmp_path / "p.npz", entries(frames, points=points)))
    method = scoring.Method("gaps", found)
    results, withheld = scoring.score_all([method], frames, LandmarkLifter(prior.load(model)))
    assert _by(results, what="3D error, mm", protocol="1") and not _by(results, what="2D error, px")
    assert [w.reason for w in withheld] == [
        "10 of 2448 landmarks were not found, in 10 of 144 frames"
    ]
    points[0, 1:] = np.nan
    found = predictions.load(save(tmp_path / "p.npz", entries(frames, points=points)))
    results, withheld = scoring.score_all(
        [scoring.Method("x", found)], frames, LandmarkLifter(prior.load(model))
    )
    assert not _by(results, what="3D error, mm", protocol="1")
    assert "1 of 144 poses could not be lifted" in withheld[0].reason
    assert "S9/punch.54138969 frame 0" in withheld[0].reason


# The page ---------------------------------------------------------------------------------------


def test_page_of_other_data_keeps_the_papers_numbers_apart(data, model, tmp_path):
    frames = truth.load([data])
    path = save(tmp_path / "p.npz", entries(frames, points=frames.points + 2))
    assert run(data, model, tmp_path / "out", f"mine={path}") == 0
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert not found["human36m"] and found["withheld"] == []
    assert all("difference" not in result for result in found["results"])
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
    _has_all_published(text, found)
    _has_all_published(html, found)
    assert html.count("data:image/png") == 4


def _has_all_published(text, found):
    for key in ("protocol_1_mm", "protocol_2_mm", "protocol_3_mm", "error_2d_px"):
        for row in found["published"][key]:
            assert row["method"] in text
            for number in [*row.get("per_action", []), row["average"]]:
                assert number is None or re.search(rf"\b{number}0?\b", text)


def test_human36m_without_some_videos_is_withheld(data, model, tmp_path):
    data.write_text(data.read_text().replace("punch", "Posing").replace("run", "Walking"))
    (data.parent / truth.MARKER).write_text(json.dumps({"trials": {}}))
    assert run(data, model, tmp_path / "out") == 1
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert found["results"] == [] and len(found["withheld"]) == 3
    reason = found["withheld"][0]["reason"]
    # All but three sequences of each subject.
    assert f"no frame of {2 * 30 * 4 - 1 - 2 * 3 * 4} videos" in reason
    assert "the first is S9, Directions, trial 1, camera 54138969; it has nothing of" in reason
    assert "Directions, Discussion, Eating" in reason and "Walking," not in reason


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
    found = json.loads((tmp_path / "out/compare.json").read_text())
    for result in found["results"]:
        paper = {"1": 88.39, "2": 70.7, "3": 79.6}[result["protocol"]]
        assert result["difference"] == pytest.approx(result["mean"] - paper)
        if result["protocol"] == "1":
            walking = result["by_action"]["Walking"] - 71.36
            assert result["difference_by_action"]["Walking"] == pytest.approx(walking)
    text = (tmp_path / "out/compare.md").read_text()
    assert "not Human3.6M" not in text
    (table,) = [t for t in text.split("\n\n") if "Sanzari" in t and "average" in t]
    assert "ours: true 2D landmarks, lifted (hip aligned, typical scale)" in table
    _has_all_published(text, found)


def test_what_does_not_fit_is_withheld_and_the_status_says_so(data, model, tmp_path, capsys):
    frames = truth.load([data])
    part = frames.take(frames.index.subject == "S11")
    path = save(tmp_path / "p.npz", entries(part, points=part.points))
    assert run(data, model, tmp_path / "out", f"part={path}", "none=none.npz") == 1
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert {r["protocol"] for r in found["results"] if r["method"] == "part"} == {"2"}
    reasons = {(w["method"], w["protocol"]): w["reason"] for w in found["withheld"]}
    assert "no prediction for 72 of 144 frames" in reasons["part", "1"]
    assert "No such file" in reasons["none", "all"]
    assert "withheld: part, protocol 1" in capsys.readouterr().err
    assert "no prediction for 72 of 144" in (tmp_path / "out/index.html").read_text()


def test_wrong_data_is_one_line_and_writes_nothing(tmp_path, model, capsys):
    assert run(tmp_path / "none.json", model, tmp_path / "out") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert run(tmp_path, model, tmp_path / "out") == 1
    assert "run make h36m" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_evaluate_says_which_frames_its_predictions_are_of(data):
    people = annotations.load(data, check_images=False)
    arrays = predictions.frames_of(people)
    assert all(a.dtype.kind in "Uif" for a in arrays.values())
    np.testing.assert_array_equal(arrays["frame"], people.frames)
    changed = json.loads(data.read_text())
    del changed["images"][0]["frame"]
    data.write_text(json.dumps(changed))
    assert predictions.frames_of(annotations.load(data, check_images=False)) == {}


def test_text_in_pages_is_escaped():
    html = page.as_html("<t>", [("text", "a < b"), ("table", ("h",), [("<i>",)])])
    assert "a &lt; b" in html and "&lt;i&gt;" in html and "<h1>&lt;t&gt;</h1>" in html
    assert "| a \\| b |" in page.as_markdown("t", [("table", ("h",), [("a | b",)])])
