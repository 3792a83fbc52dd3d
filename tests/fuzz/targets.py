"""What is tried: for each reader a good file, and how it is read."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import prior
from prior import mat_file, mocap, points_file
from prior.mocap import clip_npz, human36m, joint_map
from prior.skeleton import LANDMARKS
from python_layers.data import annotations, images
from tests import annotated, landmark_files
from tests.poses import random_poses
from tools.caffe_io import files as caffe_files
from tools.convert import coco, h36m_cameras, h36m_files, leeds, mpii
from tools.evaluate import predictions, truth
from tools.lift import calibration, keypoints, lifted
from tools.pictures import Pictures
from tools.train import curves, watch

CMU = Path("tests/data/cmu")


class Target(NamedTuple):
    """make(folder): writes a good file, and others that it needs, and returns its path; read(path):
    reads it. What it raises is to be an InputError or an OSError."""

    name: str
    make: Callable
    read: Callable


def _points(count=3):
    return landmark_files.image_points(landmark_files.walk(count))


def _lines(source, name, count):
    """A file of which the first lines of motion are enough."""

    def make(folder):
        text = source.read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(text[:count]))
        return folder / name

    return make


def _bvh(folder):
    lines = (CMU / "indian/07.bvh").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Frames:"))
    lines[at] = "Frames: 4"
    (folder / "a.bvh").write_text("\n".join(lines[: at + 6]) + "\n")
    return folder / "a.bvh"


def _acclaim(mutated):
    def make(folder):
        asf = _lines(CMU / "subjects/01/01.asf", "01.asf", None)(folder)
        lines = (CMU / "subjects/01/01_14.amc").read_text().splitlines(keepends=True)
        (folder / "01_14.amc").write_text("".join(lines[: lines.index("4\n")]))
        return asf if mutated == "asf" else folder / "01_14.amc"

    return make


def _read_folder(path):
    return mocap.read(path.parent)


def _deepmimic(folder):
    row = [0.03, 0, 0.9, 0] + [1, 0, 0, 0] * 3
    # root, chest, neck; right hip, knee, ankle, shoulder, elbow; the same left
    row += ([1, 0, 0, 0] + [0.0] + [1, 0, 0, 0] * 2 + [0.0]) * 2
    (folder / "humanoid3d_x.txt").write_text(json.dumps({"Loop": "none", "Frames": [row] * 3}))
    return folder / "humanoid3d_x.txt"


def _clip(folder):
    poses = random_poses(4, seed=0)
    clip_npz.write(folder / "a.npz", mocap.Clip(poses, 30.0, "S1", "walk"))
    return folder / "a.npz"


def _joints(count):
    """(count, 32, 3), m, z up: Human3.6M's joints."""
    joints = np.zeros((count, 32, 3), "f4")
    joints[:, human36m.LANDMARK_JOINTS] = random_poses(count, seed=0) @ human36m.Y_UP / 1000
    return joints


def _videopose(folder):
    content = {"S1": {"Walking": _joints(3)}, "S5": {"Eating 1": _joints(2)}}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(content, dtype=object))
    return folder / "data_3d_h36m.npz"


def _cdf(folder):
    from cdflib.cdfwrite import CDF

    place = folder / "S1/MyPoseFeatures/D3_Positions"
    place.mkdir(parents=True)
    with CDF(place / "Walking 1.cdf") as file:
        spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
        file.write_var(spec | {"Dim_Sizes": [4, 96]}, var_data=1000 * _joints(4).reshape(1, 4, 96))
    return place / "Walking 1.cdf"


def _joint_map(folder):
    places = {name: ["A", "B"] for name in LANDMARKS}
    places |= {"nose": {"joint": "Head", "offset": [0, 40, 100]}, "unit": "cm"}
    (folder / "map.json").write_text(json.dumps(places))
    return folder / "map.json"


def _model(folder):
    prior.load().save(folder / "model.npz")
    return folder / "model.npz"


def _mat_model(folder):
    mat_file.write(folder / "prob_model_params.mat", prior.load())
    return folder / "prob_model_params.mat"


def _points_json(folder):
    values = {"points": _points().tolist(), "camera": np.diag([1, -1, -1]).tolist()}
    (folder / "a.json").write_text(json.dumps(values))
    return folder / "a.json"


def _points_npz(folder):
    np.savez(folder / "a.npz", points=_points(), confidence=np.ones((3, 17)))
    return folder / "a.npz"


def _openpose(folder):
    landmark_files.openpose(folder / "frames", _points())
    return sorted((folder / "frames").iterdir())[1]


def _predicted(folder):
    document = {"landmark_names": list(LANDMARKS)}
    for i, points in enumerate(_points()):
        document[f"{i}.jpg"] = {"landmarks": points.tolist(), "pose_mm": None}
    (folder / "a.json").write_text(json.dumps(document))
    return folder / "a.json"


def _lifted(suffix):
    def make(folder):
        from tools.lift import __main__ as tool

        source = _points_npz(folder)
        out = folder / f"lifted.{suffix}"
        assert tool.main([str(source), "--no-deviation", "--out", str(out)]) in (0, 3)
        source.unlink()
        return out

    return make


MATRIX = np.array([[1100.0, 0, 320], [0, 1100, 240], [0, 0, 1]])


def _storage(suffix):
    def make(folder):
        path = folder / f"camera.{suffix}"
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("camera_matrix", MATRIX)
        storage.write("distortion_coefficients", np.zeros((1, 5)))
        storage.write("rvec", np.array([[np.pi], [0.0], [0.0]]))
        storage.release()
        return path

    return make


def _camera_npz(folder):
    np.savez(folder / "camera.npz", K=MATRIX, dist=np.zeros(5), R=np.diag([1.0, -1, -1]))
    return folder / "camera.npz"


def _document(images_too):
    document = annotated.document()
    document["images"], document["annotations"] = (
        document[key][:6] for key in ("images", "annotations")
    )
    for image in document["images"] if images_too else ():
        image |= {"width": 1000, "height": 1000}
    return document


def _annotations(folder):
    (folder / "train.json").write_text(json.dumps(_document(False)))
    return folder / "train.json"


def _read_annotations(path):
    annotations.load(path, check_images=False)


def _packed(folder):
    from python_layers.data import packed

    document = _document(True)
    _, data = cv2.imencode(".jpg", np.zeros((1000, 1000, 3), np.uint8))
    with packed.Writer(folder / "a.pack", document["cameras"]) as writer:
        for image, person in zip(document["images"], document["annotations"], strict=True):
            writer.add(image, [person], data.tobytes())
    return folder / "a.pack"


def _read_packed(path):
    people = annotations.load(path)
    for i in range(len(people)):
        people.image(i)


def _coco(folder):
    path = landmark_files.coco_annotations(folder / "a.json", _points())
    document = json.loads(path.read_text())
    for record in document["annotations"]:
        record["bbox"] = [100, 100, 200, 300]
    path.write_text(json.dumps(document))
    return path


def _mpii(folder):
    import scipy.io

    from tests.tools.convert.test_convert import mpii_image, mpii_person, struct

    people = mpii_person(50, 40), mpii_person(150, 60, range(6))
    release = {
        "annolist": struct(mpii_image("a.jpg", *people), mpii_image("b.jpg")),
        "img_train": np.array([[1, 1]]),
    }
    scipy.io.savemat(folder / "mpii.mat", {"RELEASE": struct(release)})
    return folder / "mpii.mat"


def _leeds(folder):
    import scipy.io

    joints = np.full((3, 14, 2), 1.0)
    scipy.io.savemat(folder / "joints.mat", {"joints": joints}, do_compression=True)
    return folder / "joints.mat"


def _metadata(folder):
    from tests.tools.convert.test_h36m import metadata

    (folder / "metadata.xml").write_text(metadata())
    return folder / "metadata.xml"


def _read_metadata(path):
    h36m_cameras.cameras(path)
    h36m_files.recordings(path)


def _tar(suffix, mode):
    def make(folder):
        inside = folder / "S1/MyPoseFeatures/D3_Positions"
        inside.mkdir(parents=True)
        (inside / "Walking 1.cdf").write_bytes(bytes(range(256)) * 20)
        path = folder / f"Poses_D3_Positions_S1{suffix}"
        with tarfile.open(path, mode) as archive:
            archive.add(folder / "S1", "S1")
        return path

    return make


def _read_tar(path):
    h36m_files.Source(path.parent, path.parent / "raw").extract("S1", "D3_Positions")


def _field(number, content):
    length, varint = len(content), b""
    while length > 127:
        varint, length = varint + bytes([length & 127 | 128]), length >> 7
    key = number << 3 | 2
    tag = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    return tag + varint + bytes([length]) + content


def _blob():
    return _field(7, _field(1, b"\x02\x03")) + _field(5, np.ones(6, "<f4").tobytes())


def _weights(folder):
    layers = [_field(100, _field(1, name) + _field(7, _blob())) for name in (b"conv1", b"conv2")]
    (folder / "a.caffemodel").write_bytes(b"".join(layers))
    return folder / "a.caffemodel"


def _state(folder):
    content = b"\x08\x08" + _field(2, b"a.caffemodel") + _field(3, _blob())
    (folder / "a.solverstate").write_bytes(content)
    return folder / "a.solverstate"


def _prototxt(folder):
    path = folder / "solver.prototxt"
    path.write_text(
        'net: "train.prototxt" base_lr: 1e-3 max_iter: 10 display: 1 solver_mode: CPU\n'
    )
    return path


def _picture(suffix):
    def make(folder):
        path = folder / f"a.{suffix}"
        rng = np.random.default_rng(0)
        cv2.imwrite(str(path), rng.integers(0, 255, (40, 60, 3), np.uint8))
        return path

    return make


def _video(suffix, code):
    def make(folder):
        path = folder / f"a.{suffix}"
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
        for i in range(5):
            video.write(np.full((48, 64, 3), 40 * i, np.uint8))
        video.release()
        return path

    return make


def _read_pictures(path):
    for _ in Pictures([path]):
        pass


def _predictions(suffix):
    def make(folder):
        arrays = {
            "landmarks": np.array(LANDMARKS),
            "subject": np.array(["S9"] * 3),
            "action": np.array(["Walking"] * 3),
            "camera": np.array(["54138969"] * 3),
            "frame": np.arange(3),
            "points": _points(),
            "poses": random_poses(3, seed=0),
        }
        return annotated.save(folder / f"a.{suffix}", arrays)

    return make


def _marker(folder):
    path = folder / "human36m.json"
    path.write_text(json.dumps({"trials": {"S9": {"Walking 1": 1, "Walking": 2}}}))
    (folder / "test.json").write_text(json.dumps(annotated.document()))
    return path


def _positions(folder):
    _marker(folder)
    (folder / "positions").mkdir()
    np.savez(
        folder / "positions/S9.npz",
        **{
            "rotation/54138969": np.eye(3),
            "intrinsics/54138969": MATRIX,
            "poses_mm/Walking": random_poses(65, seed=0),
            "points/Walking.54138969": np.zeros((65, 17, 2)),
        },
    )
    return folder / "positions/S9.npz"


def _loss(folder):
    (folder / "loss.csv").write_text(
        "iteration,seconds,loss,loss_stage1\n0,0.5,1.5,0.5\n1,1.0,1.25,0.5\n2,1.5,1.0,0.25\n"
    )
    return folder / "loss.csv"


def _read_loss(path):
    watch.LossTable(path, 2)
    curves.draw({"a": curves.read(path.parent)}, path.with_suffix(".png"))


TARGETS = (
    Target("mocap .bvh", _bvh, mocap.read),
    Target("mocap .asf", _acclaim("asf"), _read_folder),
    Target("mocap .amc", _acclaim("amc"), mocap.read),
    Target("mocap DeepMimic", _deepmimic, mocap.read),
    Target("mocap .npz", _clip, mocap.read),
    Target("mocap VideoPose3D", _videopose, mocap.read),
    Target("mocap .cdf", _cdf, mocap.read),
    Target("joint map", _joint_map, joint_map.read),
    Target("model .npz", _model, prior.load),
    Target("model .mat", _mat_model, mat_file.read),
    Target("points .json", _points_json, points_file.read),
    Target("points .npz", _points_npz, points_file.read),
    Target("keypoints OpenPose", _openpose, lambda path: keypoints.read(path.parent)),
    Target("keypoints COCO", _coco, keypoints.read),
    Target(
        "keypoints COCO results",
        lambda folder: landmark_files.coco_results(folder / "a.json", _points()),
        keypoints.read,
    ),
    Target(
        "keypoints MPII",
        lambda folder: landmark_files.mpii(folder / "a.json", _points()),
        keypoints.read,
    ),
    Target("keypoints predicted", _predicted, keypoints.read),
    Target("keypoints arrays .json", _points_json, keypoints.read),
    Target(
        "keypoints .npz",
        lambda folder: landmark_files.arrays(folder / "a.npz", _points(), rate=30.0),
        keypoints.read,
    ),
    Target(
        "keypoints .csv",
        lambda folder: landmark_files.table(folder / "a.csv", _points()),
        keypoints.read,
    ),
    Target("lifted .json", _lifted("json"), lifted.read),
    Target("lifted .npz", _lifted("npz"), lifted.read),
    Target("camera .yml", _storage("yml"), calibration.read),
    Target("camera .xml", _storage("xml"), calibration.read),
    Target("camera .json", _storage("json"), calibration.read),
    Target("camera .npz", _camera_npz, calibration.read),
    Target("annotations .json", _annotations, _read_annotations),
    Target("annotations packed", _packed, _read_packed),
    Target("COCO", _coco, lambda path: coco.read(path, path.parent)),
    Target("MPII .mat", _mpii, lambda path: mpii.read(path, path.parent)),
    Target("Leeds .mat", _leeds, lambda path: leeds.read(path.parent)),
    Target("Human3.6M metadata", _metadata, _read_metadata),
    Target("Human3.6M .tar", _tar(".tar", "w"), _read_tar),
    Target("Human3.6M .tgz", _tar(".tgz", "w:gz"), _read_tar),
    Target("Human3.6M marker", _marker, lambda path: truth.load([path.with_name("test.json")])),
    Target("Human3.6M positions", _positions, lambda path: truth.load([path.parent.parent])),
    Target("predictions .npz", _predictions("npz"), predictions.load),
    Target("predictions .json", _predictions("json"), predictions.load),
    Target("caffemodel", _weights, caffe_files.read_weights),
    Target("solverstate", _state, caffe_files.read_state),
    Target("prototxt", _prototxt, caffe_files.read_solver),
    *(
        Target(f"image .{suffix}", _picture(suffix), images.read)
        for suffix in ("jpg", "png", "bmp", "tiff", "webp")
    ),
    Target("video .mp4", _video("mp4", "mp4v"), _read_pictures),
    Target("video .avi", _video("avi", "MJPG"), _read_pictures),
    Target("loss.csv", _loss, _read_loss),
)
