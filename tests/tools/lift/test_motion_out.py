"""Files of motion, read back: positions within a millimetre, times within a millisecond."""

import json
import os
import resource
import struct
from pathlib import Path

import ezc3d
import jsonschema
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prior.errors import InputError
from prior.mocap import bvh as bvh_reader
from prior.skeleton import LANDMARKS, LIMBS
from tests.poses import random_poses
from tests.tools.lift.made import made
from tools.lift import __main__ as tool
from tools.lift import c3d, lifted

# What to look at afterwards.
PICTURES = Path("build/screenshots")
RATE, COUNT = 29.97, 30
# The number of the input's first frame.
FIRST = 100
# Who is there when: a gap, and people who come later and leave earlier.
FRAMES = {0: [*range(3, 10), *range(12, 23)], 5: [*range(8, 26)]}


@pytest.fixture(scope="module")
def poses():
    """Two people of constant bones."""
    frame = np.concatenate([FRAMES[0], FRAMES[5]])
    person = np.repeat([0, 5], [len(FRAMES[0]), len(FRAMES[5])])
    order = np.argsort(frame, kind="stable")
    frame, person = frame[order], person[order]
    count = len(frame)
    image = np.random.default_rng(0).uniform(0, 90, (count, 17, 2))
    return made(
        random_poses(count, seed=3),
        {"frames": [f"f{i}" for i in range(COUNT)], "rate": RATE, "first_frame": FIRST},
        deviation_mm=np.full((count, 17), 30.0),
        points=np.where(person == 0, 100, 400)[:, None, None] + image,
        scale=np.full(count, 0.2),
        frame=FIRST + frame,
        person=person,
    )


@pytest.fixture
def files(poses, tmp_path):
    """A folder with the poses in all formats of motion."""
    lifted.write_npz(tmp_path / "poses.npz", poses)
    outs = [str(tmp_path / f"out.{suffix}") for suffix in ("bvh", "trc", "c3d", "glb", "json")]
    assert tool.main([str(tmp_path / "poses.npz"), "--out", *outs]) == 0
    return tmp_path


def truth(poses, person):
    return lifted.on_ground(poses)[poses.person == person], np.array(FRAMES[person])


@pytest.mark.parametrize("person", FRAMES)
def test_bvh_is_on_the_input_s_time_line(files, poses, person):
    (clip,) = bvh_reader.read(files / f"out-{person}.bvh")
    expected, frame = truth(poses, person)
    assert len(clip.poses) == COUNT
    # The last frame's time.
    assert abs(COUNT / clip.rate - COUNT / RATE) < 1e-3
    np.testing.assert_allclose(clip.poses[frame], expected, atol=1)
    # Who is not there yet, or no more, stands still; a gap is crossed on straight lines.
    np.testing.assert_allclose(clip.poses[: frame[0]] - clip.poses[frame[0]], 0, atol=0.01)
    np.testing.assert_allclose(clip.poses[frame[-1] :] - clip.poses[frame[-1]], 0, atol=0.01)
    if person == 0:
        hips = clip.poses[9:13, 0]
        np.testing.assert_allclose(hips, np.linspace(hips[0], hips[3], 4), atol=0.1)


@pytest.mark.parametrize("person", FRAMES)
def test_trc_comes_back(files, poses, person):
    lines = (files / f"out-{person}.trc").read_text().split("\n")
    keys, values = (line.split("\t") for line in lines[1:3])
    header = dict(zip(keys, values, strict=True))
    assert header["Units"] == "mm" and header["NumFrames"] == str(COUNT)
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert names[:3] == ["Hip", "RHip", "RKnee"] and len(names) == 17 and lines[5] == ""
    rows = [line.split("\t") for line in lines[6:] if line]
    assert {len(row) for row in rows} == {2 + 3 * 17} and len(rows) == COUNT
    times = [float(row[1]) for row in rows]
    np.testing.assert_allclose(times, np.arange(COUNT) / RATE, atol=1e-3)
    expected, frame = truth(poses, person)
    there = [i for i, row in enumerate(rows) if row[2]]
    assert there == frame.tolist() and set(rows[0][2:]) == {""}
    back = np.array([rows[i][2:] for i in there], dtype=float).reshape(-1, 17, 3)
    np.testing.assert_allclose(back, expected, atol=1)


@pytest.mark.parametrize("person", FRAMES)
def test_c3d_comes_back(files, poses, person):
    file = ezc3d.c3d(str(files / f"out-{person}.c3d"))
    point = file["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"] and point["Y_SCREEN"]["value"] == ["+Y"]
    assert point["LABELS"]["value"][1] == "RHip"
    assert abs(COUNT / point["RATE"]["value"][0] - COUNT / RATE) < 1e-3
    points = file["data"]["points"][:3].transpose(2, 1, 0)
    expected, frame = truth(poses, person)
    assert len(points) == COUNT
    assert np.flatnonzero(np.isfinite(points).all(axis=(1, 2))).tolist() == frame.tolist()
    np.testing.assert_allclose(points[frame], expected, atol=1)


def read_glb(path):
    """(document, accessor -> array) of a GLB."""
    data = path.read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack("<I4s", data[12:20])
    document = json.loads(data[20 : 20 + size])
    binary_size, binary_kind = struct.unpack("<I4s", data[20 + size : 28 + size])
    assert (kind, binary_kind) == (b"JSON", b"BIN\0") and size % 4 == binary_size % 4 == 0
    binary = data[28 + size :]
    assert len(binary) == binary_size == document["buffers"][0]["byteLength"]

    def array(number):
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        dtype = {5126: "<f4", 5123: "<u2"}[accessor["componentType"]]
        values = np.frombuffer(binary, dtype, accessor["count"] * width, view["byteOffset"])
        values = values.reshape(-1, width)
        assert values.nbytes == view["byteLength"]
        assert values.min(axis=0).tolist() == accessor["min"]
        assert values.max(axis=0).tolist() == accessor["max"]
        return values

    return document, array


def keyframes(document, array):
    """{(name of the node, path): (times, values, interpolation)}."""
    (animation,) = document["animations"]
    result = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        name = document["nodes"][channel["target"]["node"]]["name"]
        times = array(sampler["input"])[:, 0]
        result[name, channel["target"]["path"]] = (
            times,
            array(sampler["output"]),
            sampler["interpolation"],
        )
    return result


@pytest.fixture
def small_files():
    """No file of this process may become larger than 8 KB, as where the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_c3d_that_could_not_be_written_whole_is_not_written(tmp_path, small_files):
    out = tmp_path / "a.c3d"
    out.write_bytes(b"an older file")
    many = random_poses(100)  # of 4 x 4 x 17 bytes each
    with pytest.raises(InputError, match=r"a\.c3d: expected 27200 bytes .*is the disk full"):
        c3d.write(out, many, 25.0)
    assert out.read_bytes() == b"an older file" and os.listdir(tmp_path) == ["a.c3d"]


def test_glb_comes_back(files, poses):
    document, array = read_glb(files / "out.glb")
    keys = keyframes(document, array)
    for person in FRAMES:
        expected, frame = truth(poses, person)
        for i, name in enumerate(LANDMARKS):
            times, metres, how = keys[f"{person} {name}", "translation"]
            np.testing.assert_allclose(times, frame / RATE, atol=1e-3)
            np.testing.assert_allclose(1000 * metres, expected[:, i], atol=1)
            assert how == "LINEAR"
        for a, b in LIMBS:
            node = f"{person} {LANDMARKS[a]} to {LANDMARKS[b]}"
            start, turn, size = (keys[node, p][1] for p in ("translation", "rotation", "scale"))
            # A rod goes from (0, 0, 0) to (0, 1, 0).
            end = start + Rotation.from_quat(turn).apply(size * [0, 1, 0])
            np.testing.assert_allclose(1000 * end, expected[:, b], atol=1, err_msg=node)
            assert (np.einsum("fi,fi->f", turn[1:], turn[:-1]) >= 0).all()
        # There or not, from which time on.
        times, size, how = keys[f"person {person}", "scale"]
        assert how == "STEP" and size[0].tolist() == [0, 0, 0]
        shown = size[np.searchsorted(times, np.arange(COUNT) / RATE + 1e-4) - 1, 0]
        assert np.flatnonzero(shown).tolist() == frame.tolist()


def test_glb_meshes_face_outward(files):
    document, array = read_glb(files / "out.glb")
    assert [mesh["name"] for mesh in document["meshes"][:2]] == ["ball", "rod"]
    for mesh in document["meshes"][:2]:
        primitive = mesh["primitives"][0]
        points = array(primitive["attributes"]["POSITION"])
        normals = array(primitive["attributes"]["NORMAL"])
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
        corners = array(primitive["indices"])[:, 0].reshape(-1, 3)
        a, b, c = points[corners].swapaxes(0, 1)
        across = np.cross(b - a, c - a)
        large = np.linalg.norm(across, axis=1) > 1e-9
        outward = np.einsum("ti,ti->t", across, normals[corners].mean(axis=1))
        assert (outward[large] > 0).all() and large.sum() >= 20


def test_json_is_as_the_schema_says(files, poses):
    schema = json.loads(lifted.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((files / "out.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    # It describes every key, and no other.
    assert set(document["poses"][0]) == set(schema["$defs"]["pose"]["properties"])
    assert set(document) <= set(schema["properties"])
    np.testing.assert_allclose(
        [pose["pose_mm"] for pose in document["poses"]], poses.pose_mm, atol=1
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("frames"), "$: 'frames' is a required property"),
        (lambda d: d.pop("rate"), "$: 'rate' is a required property"),
        (lambda d: d["poses"][2].update(scale=-1), "$.poses[2].scale: -1 is less than or equal"),
        (lambda d: d["poses"][0]["pose_mm"].pop(), "$.poses[0].pose_mm: "),
        (lambda d: d["poses"][0].update(frame="a"), "$.poses[0].frame: 'a' is not of type"),
        (lambda d: d.update(poses=3), "$.poses: 3 is not of type 'array'"),
        (lambda d: d["poses"][33]["pose_mm"].pop(), "expected poses as tools.lift writes them"),
        (lambda d: d["poses"][30].update(frame=99), "30 frames"),
    ],
)
def test_json_that_is_otherwise_is_one_line(files, capsys, change, message):
    document = json.loads((files / "out.json").read_text())
    change(document)
    (files / "bad.json").write_text(json.dumps(document))
    assert tool.main([str(files / "bad.json"), "--out", str(files / "bad.npz")]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "bad.json" in error


@pytest.mark.slow
def test_glb_is_drawn_by_another_program(poses, files):
    """By VTK's importer, in the middle of the motion: both people, left red and right blue."""
    pytest.importorskip("vtkmodules", reason="make venv-demo installs VTK")
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOImage import vtkPNGWriter
    from vtkmodules.vtkIOImport import vtkGLTFImporter
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkWindowToImageFilter
    from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow

    window, renderer = vtkEGLRenderWindow(), vtkRenderer()
    window.SetSize(800, 500)
    window.AddRenderer(renderer)
    renderer.SetBackground(1, 1, 1)
    importer = vtkGLTFImporter()
    importer.SetFileName(str(files / "out.glb"))
    importer.SetRenderWindow(window)
    importer.Update()
    assert importer.GetNumberOfAnimations() == 1
    importer.EnableAnimation(0)
    importer.UpdateAtTimeValue(15 / RATE)
    camera = renderer.GetActiveCamera()
    camera.SetFocalPoint(0, 0.9, 0)
    camera.SetPosition(0, 1.4, 5)
    renderer.ResetCameraClippingRange()
    window.Render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.Update()
    PICTURES.mkdir(parents=True, exist_ok=True)
    writer = vtkPNGWriter()
    writer.SetFileName(str(PICTURES / "motion-glb.png"))
    writer.SetInputConnection(grab.GetOutputPort())
    writer.Write()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[..., :3]
    red, _, blue = np.moveaxis(pixels.astype(int), -1, 0)
    # Both people, in the halves of the picture where they stand.
    placed = lifted.on_ground(poses)[poses.frame == FIRST + 15].mean(axis=1)
    assert placed[0, 0] * placed[1, 0] < 0
    for half in (np.s_[:, : width // 2], np.s_[:, width // 2 :]):
        assert (red - blue > 35)[half].sum() > 100 and (blue - red > 35)[half].sum() > 100
