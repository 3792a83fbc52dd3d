"""The rendered dataset: tools.rendered."""

import importlib.util
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from prior import mocap
from prior.camera import look_at, perspective
from prior.mocap import deepmimic
from prior.skeleton import LANDMARKS, LIMBS, limb_scale
from tools.rendered import __main__ as cli
from tools.rendered import dataset, subjects
from tools.rendered.cameras import Camera
from tools.rendered.subjects import SUBJECTS

MISSING = [
    p for p in ("anny", "pybullet_data", "vtkmodules") if importlib.util.find_spec(p) is None
]
needs_data = pytest.mark.skipif(
    bool(MISSING),
    reason=f"not installed: {', '.join(MISSING)}; `make` installs what the demo needs",
)
SETTINGS = {"train_images": 15, "test_images": 10, "size": 120, "seed": 3}
KEY = {"version": dataset.VERSION} | SETTINGS
INDEX = {name: i for i, name in enumerate(LANDMARKS)}


def _sphere(centre, radius, rings=12):
    """Vertices and anticlockwise triangles of a sphere."""
    around, up = np.meshgrid(
        np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False),
        np.linspace(0, np.pi, rings + 1),
        indexing="ij",
    )
    points = np.stack([np.sin(up) * np.cos(around), np.cos(up), np.sin(up) * np.sin(around)], -1)
    index = np.arange(points.size // 3).reshape(around.shape)
    a, b = index[:, :-1], index[:, 1:]
    c, d = (np.roll(x, -1, axis=0) for x in (b, a))
    triangles = np.concatenate(
        [np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)]
    )
    return centre + radius * points.reshape(-1, 3), triangles


@pytest.fixture(scope="module")
def camera():
    position = np.array([1500.0, 1400.0, 3300.0])
    intrinsics = np.array([[230, 0, 101.3], [0, 230, 98.2], [0, 0, 1]])
    return Camera(look_at(position, [0, 900, 0]), position, intrinsics)


LIGHT = {"direction": np.array([0.6, 0.8, 0.0]), "colour": np.ones(3), "soft": 0.5}
SIZE = 200


@pytest.fixture(scope="module")
def stage():
    pytest.importorskip("vtkmodules")
    from tools.rendered.stage import Stage

    return Stage(SIZE)


def _show(stage, camera, vertices, triangles, colour=(1, 1, 1), half=None):
    """The Drawing of a mesh that shines without light, on black or in a black room."""
    from tools.rendered.stage import Backdrop, Light

    light = Light(**LIGHT | {"soft": 1.0})
    stage.set(camera, Backdrop(half=half, picture=np.full((2, 2, 3), 0.5)), light)
    stage.dress(triangles, np.tile(colour, (len(vertices), 1)))
    return stage.draw(vertices, np.tile([0.0, -1.0, 0.0], (len(vertices), 1)))


def test_a_look_changes_skin_hair_and_clothes_but_not_the_cut():
    own = subjects.STYLES["S5"]
    assert subjects.styled("S5", 0, np.random.default_rng(0)) is own
    looks = [subjects.styled("S5", i, np.random.default_rng(i)) for i in range(1, 40)]
    for style in looks:
        assert (style.neckline, style.hem, style.skirt) == (own.neckline, own.hem, own.skirt)
        for colour in (style.skin, style.hair, style.top.colour):
            assert ((colour >= 0) & (colour <= 1)).all()
    for part in ("skin", "hair"):
        assert np.ptp([getattr(style, part) for style in looks], axis=0).min() > 0.3
    for part in ("top", "bottom", "shoes"):
        assert np.ptp([getattr(style, part).colour for style in looks], axis=0).min() > 0.3
    assert {style.bald for style in looks} == {style.long_hair for style in looks} == {True, False}


def test_spheres_are_drawn_where_perspective_puts_them(stage, camera):
    random = np.random.default_rng(0)
    for centre in random.uniform([-500, 300, -500], [500, 1500, 500], (12, 3)):
        vertices, triangles = _sphere(centre, 40.0)
        drawn = _show(stage, camera, vertices, triangles)
        row, column = np.indices(drawn.cover.shape)
        middle = [np.average(x, weights=drawn.cover) for x in (column, row)]
        assert np.abs(middle - perspective(centre, *camera)).max() < 0.1
        # And only the near side is seen, about the radius in front of the centre.
        depth = (centre - camera.position) @ camera.rotation[2]
        seen = drawn.depth[drawn.cover > 0]
        assert depth - 41 < seen.min() < seen.max() < depth + 10
        assert drawn.depth[0, 0] > 5 * depth


def test_colours_and_background_are_exact(stage, camera):
    from tools.rendered.stage import SKY_SHARE

    vertices, triangles = _sphere(np.array([0.0, 900.0, 0.0]), 200.0)
    drawn = _show(stage, camera, vertices, triangles, (1, 0.6, 0.2))
    assert drawn.colour.shape == (SIZE, SIZE, 3)
    np.testing.assert_allclose(drawn.colour[drawn.cover == 0], 128 / 255, atol=1e-6)
    # Turned away from the lights: only what comes from all around.
    dim = 1 - SKY_SHARE
    inside = drawn.colour[drawn.cover == 1]
    np.testing.assert_allclose(
        inside, np.tile([dim, 0.6 * dim, 0.2 * dim], (len(inside), 1)), atol=0.01
    )


def test_seen_from_outside_only(stage, camera):
    vertices, triangles = _sphere(np.array([0.0, 900.0, 0.0]), 200.0)
    centre = (vertices.mean(axis=0) - camera.position) @ camera.rotation[2]
    drawn = _show(stage, camera, vertices, triangles[:, ::-1])
    assert drawn.depth[drawn.cover == 1].min() > centre - 100


def test_shadow_falls_along_the_light(stage, camera):
    centre = np.array([0.0, 700.0, 0.0])
    vertices, triangles = _sphere(centre, 120.0)
    drawn = _show(stage, camera, vertices, triangles, half=(3000, 3000))
    floor = centre - LIGHT["direction"] * centre[1] / LIGHT["direction"][1]
    dark = (drawn.colour[..., 0] < 0.35) & (drawn.cover == 0)
    row, column = np.nonzero(dark)
    assert np.abs([column.mean(), row.mean()] - perspective(floor, *camera)).max() < 1
    beyond_the_wall = _show(stage, camera, vertices, triangles, half=(300, 300))
    assert not ((beyond_the_wall.colour[..., 0] < 0.45) & (beyond_the_wall.cover == 0)).any()


def test_panels_are_drawn_where_perspective_puts_them(stage, camera):
    from tools.rendered.stage import Backdrop, Light, Panel

    corners = np.array([[-300.0, 1300, 0], [300, 1300, 0], [300, 700, 0], [-300, 700, 0]])
    texture = np.zeros((2, 2, 3))
    texture[0, 0] = texture[1, 1] = [1, 0, 0]  # top left and bottom right, as the camera sees it
    texture[0, 1] = texture[1, 0] = [0, 1, 0]
    panel = Panel(corners, texture, [[0, 0], [1, 0], [1, 1], [0, 1]])
    stage.set(camera, Backdrop(panels=[panel]), Light(**LIGHT))
    stage.dress(np.array([[0, 1, 2]]), np.ones((3, 3)))
    nobody = stage.draw(np.full((3, 3), -9000.0), np.ones((3, 3)))
    assert not nobody.cover.any()
    for share, channel in (((0.2, 0.2), 0), ((0.8, 0.2), 1), ((0.2, 0.8), 1), ((0.8, 0.8), 0)):
        point = corners[0] + share[0] * (corners[1] - corners[0])
        point = point + share[1] * (corners[3] - corners[0])
        x, y = np.round(perspective(point, *camera)).astype(int)
        assert nobody.colour[y, x, channel] > 0.9, share
    row, column = np.nonzero(nobody.colour.max(axis=-1) > 0.25)
    edge = perspective(corners, *camera)
    for found, expected in ((column, edge[:, 0]), (row, edge[:, 1])):
        assert abs(found.min() - expected.min()) < 1 and abs(found.max() - expected.max()) < 1


def test_refined_mesh_is_the_same_surface():
    from tools.rendered.stage import refine

    vertices, triangles = _sphere(np.zeros(3), 100.0)
    fine, finer, values = refine(vertices, triangles, 2 * vertices, 15.0)
    edges = fine[finer] - fine[np.roll(finer, 1, axis=1)]
    assert np.linalg.norm(edges, axis=-1).max() <= 15.001
    np.testing.assert_allclose(values, 2 * fine, atol=1e-3)

    def volume(points, corners):
        return np.linalg.det(points[corners].astype(float)).sum() / 6

    np.testing.assert_allclose(volume(fine, finer), volume(vertices, triangles), rtol=1e-5)


def test_without_opengl_is_one_line(monkeypatch):
    import ctypes

    from tools.rendered import makehuman, stage

    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(makehuman.NotInstalled, match="apt-get install libegl1 libgl1-mesa-dri$"):
        stage.Stage(64)


@needs_data
class TestPeople:
    def test_bodies_differ(self):
        from tools.rendered import plan, subjects

        bodies = [plan.body(subject) for subject in subjects.SUBJECTS]
        tall = [np.ptp(body.vertices[:13380, 1]) for body in bodies]
        assert 1450 < min(tall) < max(tall) < 2000
        assert np.diff(np.sort([body.leg_length for body in bodies])).min() > 1
        arms = [np.linalg.norm(body.tails - body.heads, axis=1) for body in bodies]
        assert np.std(arms, axis=0).max() > 15

    def test_limbs_point_as_in_the_clip(self):
        from tools.rendered import plan
        from tools.rendered.retarget import retarget

        for path in deepmimic.find_clips()[::4]:
            clip = deepmimic.read(path)[0].poses
            posed = retarget(deepmimic.read_motion(path), plan.body("S6")).landmarks
            for part in ("knee", "foot", "elbow", "wrist"):
                for side in ("left", "right"):
                    i = INDEX[f"{side} {part}"]
                    parent = next(a for a, b in LIMBS if b == i)
                    one, two = clip[:, i] - clip[:, parent], posed[:, i] - posed[:, parent]
                    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
                    cosine = np.einsum("fi,fi->f", one, two) / lengths
                    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 2
            # The whole figure, scaled: trunk, shoulders and head differ somewhat.
            one, two = ((p - p[:, :1]) / limb_scale(p)[:, None, None] for p in (clip, posed))
            assert np.linalg.norm(one - two, axis=-1).mean() < 0.05

    def test_stands_on_the_ground_and_is_rigid(self):
        from tools.rendered import plan
        from tools.rendered.retarget import retarget

        body = plan.body("S8")
        for path in deepmimic.find_clips()[::5]:
            posed = retarget(deepmimic.read_motion(path), body, yaw=1.0)
            lowest = body.lowest(posed.rotations, posed.heads)
            assert lowest.min() > -1
            assert np.percentile(lowest, 20) < 40
            limbs = posed.landmarks[:, LIMBS[:, 1]] - posed.landmarks[:, LIMBS[:, 0]]
            lengths = np.linalg.norm(limbs, axis=-1)[:, [0, 1, 2, 3, 4, 5, 11, 12, 14, 15]]
            assert np.ptp(lengths, axis=0).max() < 1e-6

    def test_skin_moves_with_its_landmarks(self):
        from tools.rendered import body as bodies
        from tools.rendered import plan
        from tools.rendered.retarget import retarget

        body = plan.body("S1")
        posed = retarget(deepmimic.read_motion(deepmimic.find_clips()[5]), body)
        points = list(bodies.LANDMARK_VERTICES.values())
        skin = body.skin(
            posed.rotations[20], posed.heads[20], body.vertices[points], body.weights[points]
        )
        names = [INDEX[name] for name in bodies.LANDMARK_VERTICES]
        np.testing.assert_allclose(skin, posed.landmarks[20, names], atol=0.1)


@needs_data
def test_split_is_disjoint_and_complete():
    from tools.rendered import subjects

    train = {name for s in subjects.TRAIN_SUBJECTS for name, _ in subjects.clips(s)}
    test = {name for s in subjects.TEST_SUBJECTS for name, _ in subjects.clips(s)}
    assert not train & test
    assert not set(subjects.TRAIN_SUBJECTS) & set(subjects.TEST_SUBJECTS)
    assert train | test == {deepmimic.action(path) for path in deepmimic.find_clips()}
    assert test == set(subjects.TEST_ACTIONS)


@needs_data
def test_no_test_clip_has_a_twin_in_training():
    """Half the frames of a test clip are over 100 mm per landmark from any in training."""
    from tools.rendered import subjects

    clips = {name: path for s in ("S1", "S9") for name, path in subjects.clips(s)}

    def turned(path):  # centred on the hips, which are turned to one direction
        poses = deepmimic.read(path)[0].poses[::3]
        poses = poses - poses[:, :1]
        across = poses[:, INDEX["left hip"]] - poses[:, INDEX["right hip"]]
        unit = np.exp(-1j * np.angle(across[:, 0] + 1j * across[:, 2]))[:, None]
        flat = (poses[..., 0] + 1j * poses[..., 2]) * unit
        return np.stack([flat.real, poses[..., 1], flat.imag], axis=-1)

    poses = {name: turned(path) for name, path in clips.items()}
    for test in subjects.TEST_ACTIONS:
        for train in set(clips) - set(subjects.TEST_ACTIONS):
            apart = np.linalg.norm(poses[test][:, None] - poses[train][None], axis=-1).mean(-1)
            assert np.median(apart.min(axis=1)) > 100, (test, train)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "data"
    assert dataset.make(out, workers=2, **SETTINGS)
    return out


def _documents(out):
    return {split: json.loads((out / f"{split}.json").read_text()) for split in ("train", "test")}


@needs_data
def test_dataset_end_to_end(made):
    documents = _documents(made)
    for split, document in documents.items():
        images, annotations = document["images"], document["annotations"]
        assert len(images) == len(annotations) == SETTINGS[f"{split}_images"]
        assert document["info"]["settings"] == KEY
        assert document["categories"][0]["keypoints"] == list(LANDMARKS)
        assert len({image["file_name"] for image in images}) == len(images)
        for image, truth in zip(images, annotations, strict=True):
            assert truth["image_id"] == image["id"]
            picture = cv2.imread(str(made / image["file_name"]))
            assert picture.shape == (image["height"], image["width"], 3)
            view = document["cameras"][image["camera"]]
            points = np.reshape(truth["keypoints"], (17, 3))
            expected = perspective(
                truth["pose_mm"],
                np.array(view["rotation"]),
                view["position_mm"],
                view["intrinsics"],
            )
            assert (points[:, 2] > 0).all()
            np.testing.assert_allclose(points[:, :2], expected, atol=2e-3)
            x, y, width, height = truth["bbox"]
            inside = points[:, :2] - [x, y]
            assert (inside > -8).all() and (inside < np.array([width, height]) + 8).all()
            assert 0.1 * width * height < truth["area"] <= width * height
    assert not {i["action"] for i in documents["train"]["images"]} & {
        i["action"] for i in documents["test"]["images"]
    }


@needs_data
def test_clips_are_the_poses_of_the_annotations(made):
    for document in _documents(made).values():
        for image, truth in zip(document["images"], document["annotations"], strict=True):
            name = f"{image['subject']}/MyPoseFeatures/D3_Positions/{image['action']}.npz"
            (clip,) = mocap.read(made / name)
            assert (clip.subject, clip.action) == (image["subject"], image["action"])
            np.testing.assert_allclose(clip.poses[image["frame"]], truth["pose_mm"], atol=2e-3)
    assert len(mocap.read(made)) == 5 * 15 + 2 * 5


@needs_data
def test_person_is_drawn_at_the_landmarks(stage):
    """By the very functions that draw the dataset."""
    from tools.rendered import plan
    from tools.rendered.look import Mesh
    from tools.rendered.subjects import STYLES

    body, mesh = plan.body("S6"), Mesh(plan.body("S6"), STYLES["S6"])
    path = next(p for p in deepmimic.find_clips() if p.stem == "humanoid3d_walk")
    posed, _ = plan.motion(KEY, "S6", "walk", path)
    for camera in plan.subject_cameras(KEY | {"size": SIZE}, "S6").values():
        vertices = body.skin(posed.rotations[4], posed.heads[4], mesh.vertices, mesh.weights)
        cover = _show(stage, camera, vertices, mesh.triangles).cover
        points = perspective(posed.landmarks[4], *camera)
        for name in ("hip", "left knee", "right knee", "left elbow", "spine", "neck"):
            x, y = np.round(points[INDEX[name]]).astype(int)
            assert cover[y, x] == 1, name
        # The silhouette ends where the projected mesh ends, to a fraction of a pixel.
        edge = perspective(vertices[np.unique(mesh.triangles)], *camera)
        rows = np.flatnonzero((cover > 0).any(axis=1))
        assert abs(rows[0] - edge[:, 1].min()) < 1 and abs(rows[-1] - edge[:, 1].max()) < 1
        # The top of the skull is under at most some hair.
        assert 0 <= points[INDEX["head top"], 1] - edge[:, 1].min() < 6


@needs_data
def test_same_seed_same_bytes(made, tmp_path):
    assert dataset.make(tmp_path / "again", workers=1, **SETTINGS)
    one, two = (
        sorted(p for p in out.rglob("*") if p.is_file()) for out in (made, tmp_path / "again")
    )
    assert [p.relative_to(made) for p in one] == [p.relative_to(tmp_path / "again") for p in two]
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes(), a
    assert not dataset.make(tmp_path / "again", workers=1, **SETTINGS)  # complete: left alone


@needs_data
def test_clips_only(tmp_path):
    out = tmp_path / "data"
    assert cli.main(["--out", str(out), "--clips-only", "--workers", "2"]) == 0
    assert len(mocap.read(out)) == 85
    assert {p.name for p in out.iterdir()} == {*SUBJECTS, dataset.MARKER}


def test_other_settings_start_afresh(tmp_path):
    out, frame = tmp_path / "data", tmp_path / "data" / "S1" / "Frames" / "0.jpg"
    dataset._prepare(out, KEY, clips_only=False)
    frame.parent.mkdir(parents=True)
    frame.write_bytes(b"")
    (out / "train.json").write_text("{}")
    dataset._prepare(out, KEY, clips_only=False)
    dataset._prepare(out, KEY | {"size": 200}, clips_only=True)  # the clips would be the same
    assert frame.exists()
    dataset._prepare(out, KEY | {"size": 200}, clips_only=False)
    assert not frame.exists() and not (out / "train.json").exists()
    assert json.loads((out / dataset.MARKER).read_text())["size"] == 200


@needs_data
def test_only_its_own_folder(tmp_path, capsys):
    precious = tmp_path / "S1" / "mine.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    assert cli.main(["--out", str(tmp_path)]) == 1
    assert precious.exists()
    assert re.fullmatch(
        r"tools.rendered: .*expected a new or empty folder.*\n", capsys.readouterr().err
    )


@needs_data
def test_too_many_images(tmp_path, capsys):
    assert cli.main(["--out", str(tmp_path / "x"), "--train-images", "1000000"]) == 1
    assert "expected at most" in capsys.readouterr().err
    assert not Path(tmp_path / "x").exists()


@pytest.mark.parametrize("package", ["anny", "pybullet_data", "vtkmodules"])
def test_missing_package_is_one_line(tmp_path, capsys, monkeypatch, package):
    from tools.rendered import makehuman

    makehuman.template.cache_clear()
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    monkeypatch.setattr("tools.rendered.plan.body", lambda subject: makehuman.template())
    assert cli.main(["--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert (
        error.count("\n") == 1 and f"{package}: not installed" in error and "pip install" in error
    )


@pytest.mark.parametrize(
    ("total", "capacities", "expected"),
    [
        (7, [9, 9, 9], [3, 2, 2]),
        (10, [1, 9, 9], [1, 5, 4]),
        (0, [3], [0]),
        (6, [1, 2, 3], [1, 2, 3]),
    ],
)
def test_allocate(total, capacities, expected):
    from tools.rendered.plan import allocate

    assert allocate(total, capacities).tolist() == expected


def test_allocate_shares_many_out_evenly():
    from tools.rendered.plan import PlanError, allocate

    capacities = np.random.default_rng(0).integers(5, 40, 60)
    counts = allocate(700, capacities)
    assert counts.sum() == 700 and (counts <= capacities).all()
    assert np.ptp(counts[counts < capacities]) <= 1
    with pytest.raises(PlanError, match="at most"):
        allocate(capacities.sum() + 1, capacities)
