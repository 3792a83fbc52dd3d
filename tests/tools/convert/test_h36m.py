"""Human3.6M, on tiny files in the layout of its release, before its real cameras."""

import json
import tarfile

import cv2
import numpy as np
import pytest
from cdflib.cdfwrite import CDF as CDFWriter
from scipy.spatial.transform import Rotation

import prior
from prior.mocap import human36m as reader
from python_layers.data import annotations
from tests.poses import random_poses
from tools.convert import entries, h36m, h36m_cameras
from tools.convert.h36m_files import Source
from tools.evaluate import protocols, truth
from tools.report import compare

# Of Human3.6M's metadata.xml, as published with the code of Pavllo et al. 2019 (VideoPose3D,
# h36m_dataset.py): focal length, centre, radial and tangential coefficients; the tangential two in
# the order of metadata.xml, which is OpenCV's.
LENSES = {
    "54138969": [
        1145.0494384765625,
        1143.7811279296875,
        512.54150390625,
        515.4514770507812,
        -0.20709891617298126,
        0.24777518212795258,
        -0.0030751503072679043,
        -0.00142447161488235,
        -0.0009756988729350269,
    ],
    "55011271": [
        1149.6756591796875,
        1147.5916748046875,
        508.8486328125,
        508.0649108886719,
        -0.1942136287689209,
        0.2404085397720337,
        0.006819975562393665,
        -0.0027408944442868233,
        -0.0016190266469493508,
    ],
    "58860488": [
        1149.1407470703125,
        1148.7989501953125,
        519.8158569335938,
        501.40264892578125,
        -0.2083381861448288,
        0.25548800826072693,
        -0.0024604974314570427,
        -0.0007599993259645998,
        0.0014843869721516967,
    ],
    "60457274": [
        1145.5113525390625,
        1144.77392578125,
        514.9682006835938,
        501.88201904296875,
        -0.198384091258049,
        0.21832367777824402,
        -0.008947807364165783,
        -0.0018133620033040643,
        -0.0005872055771760643,
    ],
}
# Where S1's stand: quaternion wxyz from the camera's to the world's axes (z up), position in mm.
PLACES = {
    "54138969": (
        [0.1407056450843811, -0.1500701755285263, -0.755240797996521, 0.6223280429840088],
        [1841.1070556640625, 4955.28466796875, 1563.4454345703125],
    ),
    "55011271": (
        [0.6157187819480896, -0.764836311340332, -0.14833825826644897, 0.11794740706682205],
        [1761.278564453125, -5078.0068359375, 1606.2650146484375],
    ),
    "58860488": (
        [0.14651472866535187, -0.14647851884365082, 0.7653023600578308, -0.6094175577163696],
        [-1846.7777099609375, 5215.04638671875, 1491.972412109375],
    ),
    "60457274": (
        [0.5834008455276489, -0.7853162288665771, 0.14548823237419128, -0.14749594032764435],
        [-1794.7896728515625, -3722.698974609375, 1574.8927001953125],
    ),
}
JOINTS = list(reader.LANDMARK_JOINTS)
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
FRAMES = 70
SEQUENCES = {  # action: trial 1, trial 2
    "Directions": ("Directions 1", "Directions"),
    "Walking": ("Walking 1", "Walking"),
    "WalkTogether": ("WalkTogether 1", "WalkTogether"),
}


def world_to_camera(camera):
    w, x, y, z = PLACES[camera][0]
    return Rotation.from_quat([x, y, z, w]).inv()


def project(point, camera):
    """One point (3,), mm, z up, through the full camera, as the dataset's own code does: its
    tangential term has not the factor 2 of Brown's."""
    fx, fy, cx, cy, k1, k2, k3, p1, p2 = LENSES[camera]
    x, y, z = world_to_camera(camera).apply(np.subtract(point, PLACES[camera][1]))
    x, y = x / z, y / z
    r2 = x**2 + y**2
    bend = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * y + p2 * x
    return fx * (x * bend + p2 * r2) + cx, fy * (y * bend + p1 * r2) + cy


def write_cdf(path, pose):
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = pose.reshape(1, len(pose), -1).astype(np.float32)
    with CDFWriter(path) as file:
        spec = {
            "Variable": "Pose",
            "Data_Type": 44,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(flat.shape[1:]),
        }
        file.write_var(spec, var_data=flat)


def metadata():
    """metadata.xml: <mapping> and <w0>; S1's cameras stand for all subjects."""
    w0 = []
    for camera in protocols.CAMERAS:
        angles = Rotation.as_euler(world_to_camera(camera), "XYZ")
        w0 += [*angles, *PLACES[camera][1]] * 11
    w0 += [number for camera in protocols.CAMERAS for number in LENSES[camera]]
    all_subjects = [f"S{i}" for i in range(1, 12)]
    rows = [["Action", "Subaction", *all_subjects], ["1", "1", *["_ALL 1"] * 11]]
    for number, names in enumerate(SEQUENCES.values(), start=2):
        rows += [[str(number), str(t), *[name] * 11] for t, name in enumerate(names, start=1)]
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    numbers = " ".join(f"{number:.17g}" for number in w0)
    return f"<metadata><mapping>{cells}</mapping><w0>[{numbers}]</w0></metadata>"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """The dataset's folder, all subjects with the same poses, without videos; the poses, z up."""
    folder = tmp_path_factory.mktemp("h36m")
    (folder / "metadata.xml").write_text(metadata())
    poses = {}
    for seed, name in enumerate(name for names in SEQUENCES.values() for name in names):
        pose = random_poses(FRAMES, seed=seed)
        pose += [0, 900, 0] - pose[:, :1]
        joints = np.zeros((FRAMES, 32, 3))
        joints[:, JOINTS] = pose @ reader.Y_UP
        poses[name] = joints[:, JOINTS]
        features = folder / "S1/MyPoseFeatures"
        write_cdf(features / f"D3_Positions/{name}.cdf", joints)
        for camera in protocols.CAMERAS:
            points = np.array([project(p, camera) for p in joints.reshape(-1, 3)])
            write_cdf(features / f"D2_Positions/{name}.{camera}.cdf", points.reshape(-1, 32, 2))
    for subject in SUBJECTS[1:]:
        (folder / subject).symlink_to(folder / "S1", target_is_directory=True)
    return folder, poses


def run(folder, out, *more):
    return h36m.main([str(folder), "--out", str(out), "--no-videos", *more])


@pytest.mark.slow  # for what it shares with the others
def test_real_cameras(release):
    """World points projected by the reader land where the 2D truth says."""
    folder, poses = release
    views = h36m_cameras.cameras(folder / "metadata.xml")
    for camera in protocols.CAMERAS:
        view = views[f"S11/{camera}"]
        path = folder / f"S1/MyPoseFeatures/D2_Positions/Walking 1.{camera}.cdf"
        truth_2d = reader.positions(path, 2)
        projected = view.project(poses["Walking 1"] @ reader.Y_UP.T)
        assert np.abs(projected - truth_2d).max() < 1e-3
        # They look at people of 900 mm near the middle, from 4 to 6 m, with the head up.
        assert ((truth_2d > 0) & (truth_2d < 1000)).all()
        assert (truth_2d[:, 10, 1] < truth_2d[:, 3, 1]).mean() > 0.9
        # Without the lens they do not land there.
        flat = view._replace(radial=np.zeros(3), tangential=np.zeros(2))
        assert np.abs(flat.project(poses["Walking 1"] @ reader.Y_UP.T) - truth_2d).max() > 2


@pytest.mark.slow
def test_positions_and_protocols(release, tmp_path):
    folder, poses = release
    assert run(folder, tmp_path / "out") == 0
    frames = truth.load([tmp_path / "out"])
    assert frames.human36m
    one, two, three = (frames.select(protocol) for protocol in protocols.PROTOCOLS)
    assert len(one) == (2 * 6 * 4 - 1) * 14 and len(two) == (6 * 4 - 1) * 2
    assert len(three) == 2 * 3 * FRAMES and set(three.index.camera) == {"60457274"}
    assert set(three.index.sequence) == {"Directions 1", "Walking 1", "WalkTogether 1"}
    for i in range(0, len(one), 97):
        name, frame = one.index.sequence[i], one.index.frame[i]
        np.testing.assert_allclose(one.poses_mm[i], poses[name][frame] @ reader.Y_UP.T, atol=0.01)
        expected = [project(p, one.index.camera[i]) for p in poses[name][frame]]
        np.testing.assert_allclose(one.points[i], expected, atol=1e-3)


@pytest.mark.slow
def test_a_page_of_human36m(release, tmp_path, monkeypatch):
    folder, _ = release
    monkeypatch.setattr(protocols, "ACTIONS", tuple(SEQUENCES))  # these are all that there are
    assert run(folder, tmp_path / "out") == 0
    model = prior.fit(random_poses(300), components=1, basis=5, solver="closed-form")
    model.save(tmp_path / "prior.npz")
    assert (
        compare.main(
            [
                "--data",
                str(tmp_path / "out"),
                "--prior",
                str(tmp_path / "prior.npz"),
                "--out",
                str(tmp_path / "page"),
            ]
        )
        == 0
    )
    record = json.loads((tmp_path / "page/compare.json").read_text())
    assert record["human36m"] and {r["protocol"] for r in record["results"]} == {"1", "2", "3"}


@pytest.mark.slow
def test_what_is_missing_is_listed(release, tmp_path, capsys):
    folder, _ = release
    part = tmp_path / "part"
    part.mkdir()
    assert run(part, tmp_path / "out") == 1
    assert "no metadata.xml" in capsys.readouterr().err
    (part / "metadata.xml").write_text(metadata())
    for subject in SUBJECTS[:-1]:
        (part / subject).symlink_to(folder / "S1", target_is_directory=True)
    features = part / "S11/MyPoseFeatures"
    for name in ("Directions 1", "Walking 1"):
        write_cdf(features / f"D3_Positions/{name}.cdf", np.zeros((3, 32, 3)))
    assert run(part, tmp_path / "out") == 1
    *lines, last = capsys.readouterr().err.splitlines()
    assert (
        last
        == f"python -m tools.convert.h36m: {part}: 2 parts of Human3.6M are missing, listed above"
    )
    assert len(lines) == 2 and all(line.startswith("missing: ") for line in lines)
    assert "S11: MyPoseFeatures/D2_Positions: no such folder, nor an archive" in lines[0]
    assert "4 of 6 files are missing: Directions.cdf, Walking.cdf" in lines[1]
    assert h36m.main([str(folder), "--out", str(tmp_path / "out")]) == 1  # with videos
    assert "S1: Videos: no such folder, nor an archive of it such as Videos_S1.tgz" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_archives_and_resuming(release, tmp_path, capsys):
    folder, _ = release
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "metadata.xml").write_text(metadata())
    for subject in SUBJECTS:
        for kind in ("D2_Positions", "D3_Positions"):
            with tarfile.open(packed / f"Poses_{kind}_{subject}.tgz", "w:gz") as archive:
                for path in sorted((folder / "S1/MyPoseFeatures" / kind).iterdir()):
                    archive.add(path, f"{subject}/MyPoseFeatures/{kind}/{path.name}")
    # A trap: the same poses in the cameras' axes.
    (packed / "Poses_D3_Positions_mono_S9.tgz").write_bytes(b"")
    out = tmp_path / "out"
    assert run(packed, out) == 0
    whole = np.load(out / "positions/S9.npz")
    assert len([name for name in whole if name.startswith("points/")]) == 24
    # Half of an earlier run: one extracted file is cut, one archive's files are gone.
    cut = out / "raw/S9/MyPoseFeatures/D3_Positions/Walking.cdf"
    kept = out / "positions/S11.npz"
    before = kept.stat().st_mtime_ns
    cut.unlink()
    (out / "positions/S9.npz").unlink()
    assert run(packed, out) == 0
    again = np.load(out / "positions/S9.npz")
    assert cut.exists() and kept.stat().st_mtime_ns == before
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name])
    (packed / "Poses_D2_Positions_S9.tgz").write_bytes(b"no archive")
    (out / "raw/S9/MyPoseFeatures/D2_Positions/Walking.54138969.cdf").unlink()
    capsys.readouterr()
    assert run(packed, out) == 1
    assert "Poses_D2_Positions_S9.tgz: expected an archive" in capsys.readouterr().err


@pytest.mark.slow
def test_positions_that_do_not_fit_are_left_out_and_named(release, tmp_path, capsys):
    folder, _ = release
    part = tmp_path / "part"
    for kind in ("D2_Positions", "D3_Positions"):
        (part / "S9/MyPoseFeatures" / kind).mkdir(parents=True)
        for path in (folder / "S1/MyPoseFeatures" / kind).iterdir():
            (part / "S9/MyPoseFeatures" / kind / path.name).symlink_to(path)
    for subject in SUBJECTS:
        if subject != "S9":
            (part / subject).symlink_to(folder / "S1", target_is_directory=True)
    (part / "metadata.xml").write_text(metadata())
    wrong = part / "S9/MyPoseFeatures/D2_Positions/Walking.54138969.cdf"
    wrong.unlink()
    wrong.symlink_to(folder / "S1/MyPoseFeatures/D2_Positions/Walking.55011271.cdf")
    assert run(part, tmp_path / "out") == 0
    assert "Walking.54138969.cdf: its 3D positions project" in capsys.readouterr().out
    frames = truth.load([tmp_path / "out"])
    s9 = frames.index.subject == "S9"
    assert not (
        s9 & (frames.index.sequence == "Walking") & (frames.index.camera == "54138969")
    ).any()


@pytest.mark.slow
def test_frames_of_the_videos(release, tmp_path):
    """Training: 10 a second; test: those of the protocols, each with its own 2D and 3D truth."""
    folder, poses = release
    known = {"S1": {"Walking 1": ("Walking", 1)}, "S11": {"Walking 1": ("Walking", 1)}}
    part = tmp_path / "part"
    for subject in known:
        (part / subject / "Videos").mkdir(parents=True)
        (part / subject / "MyPoseFeatures").symlink_to(folder / "S1/MyPoseFeatures")
        for camera in protocols.CAMERAS:
            path = part / subject / f"Videos/Walking 1.{camera}.mp4"
            video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 50, (1000, 1000))
            for frame in range(FRAMES):
                video.write(np.full((1000, 1000, 3), 3 * frame, np.uint8))
            video.release()
    source = Source(part, tmp_path / "raw")
    views = h36m_cameras.cameras(folder / "metadata.xml")
    report = entries.Report()
    frames = list(h36m.frames(source, ["S1"], known, views, report))
    assert {e.image["frame"] for e in frames} == set(range(0, FRAMES, 5)) and len(frames) == 4 * 14
    frames = list(h36m.frames(source, ["S11"], known, views, report))
    by_camera = {}
    for entry in frames:
        by_camera.setdefault(entry.image["camera"], set()).add(entry.image["frame"])
    for camera in protocols.CAMERAS[:3]:
        assert by_camera[f"S11/{camera}"] == {*range(0, FRAMES, 5), 64}
    assert by_camera["S11/60457274"] == set(range(FRAMES))
    assert not report.left_out
    for entry in frames[::20]:
        frame, camera = entry.image["frame"], entry.image["camera"].split("/")[1]
        picture = cv2.imdecode(np.frombuffer(entry.content, np.uint8), cv2.IMREAD_COLOR)
        assert abs(np.median(picture) - 3 * frame) < 6
        hip = entry.people[0]["keypoints"][0, :2] + entry.image["offset"]
        np.testing.assert_allclose(hip, project(poses["Walking 1"][frame, 0], camera), atol=1e-3)


@pytest.mark.slow
def test_all_of_it_from_one_command(release, tmp_path, capsys):
    """One sequence of every subject, with videos: truth, training packs, test pack, and --data."""
    folder, _ = release
    part, features = tmp_path / "part", folder / "S1/MyPoseFeatures"
    w0 = metadata().partition("<w0>")[2].partition("</w0>")[0]
    for kind, names in (
        ("D3_Positions", ["Walking 1.cdf"]),
        ("D2_Positions", [f"Walking 1.{camera}.cdf" for camera in protocols.CAMERAS]),
    ):
        (part / "S1/MyPoseFeatures" / kind).mkdir(parents=True)
        for name in names:
            (part / "S1/MyPoseFeatures" / kind / name).symlink_to(features / kind / name)
    (part / "metadata.xml").write_text(f"<metadata><w0>{w0}</w0></metadata>")
    first = part / f"S1/Videos/Walking 1.{protocols.CAMERAS[0]}.mp4"
    first.parent.mkdir()
    video = cv2.VideoWriter(str(first), cv2.VideoWriter_fourcc(*"mp4v"), 50, (1000, 1000))
    for frame in range(FRAMES):
        video.write(np.full((1000, 1000, 3), 3 * frame, np.uint8))
    video.release()
    for camera in protocols.CAMERAS[1:]:
        (part / f"S1/Videos/Walking 1.{camera}.mp4").symlink_to(first)
    for subject in SUBJECTS[1:]:
        (part / subject).symlink_to(part / "S1", target_is_directory=True)
    out = tmp_path / "out"
    assert h36m.main([str(part), "--out", str(out)]) == 0
    packs = [out / f"{subject}.pack" for subject in ("S1", "S5", "S6", "S7", "S8")]
    assert f"--data {' '.join(f'{path}=20' for path in packs)}\n" in capsys.readouterr().out
    for path, subject in zip(packs, ("S1", "S5", "S6", "S7", "S8"), strict=True):
        people = annotations.load(path)
        assert set(people.subjects) == {subject} and set(people.frames) == set(range(0, 70, 5))
        assert len(people) == 4 * 14
    # Protocol 1's frames of three cameras, protocol 2's frame 64 of S11 there, and every frame of
    # the frontal camera.
    people = annotations.load(out / "test.pack")
    assert set(people.subjects) == {"S9", "S11"} and len(people) == 3 * (14 + 15) + 2 * 70
    frames = truth.load([out / "test.pack"])
    assert frames.human36m and len(frames.select(protocols.PROTOCOLS[0])) == 2 * 4 * 14
    assert set(frames.index.trial) == {1}
