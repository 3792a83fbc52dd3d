"""One pose or motion as the files of other programs, for tests."""

import json

import numpy as np

import prior
from prior.camera import level_camera
from prior.landmark_sets import BODY_25, COCO, MPII
from prior.skeleton import LANDMARKS

ELEVATION = np.deg2rad(10)


def walk(count, seed=0):
    """(count, 17, 3), mm: one person who moves smoothly between poses that the ready prior was
    learned from, neck and hip midway as COCO has them."""
    model = prior.load()
    random = np.random.default_rng(seed)
    ends = model.scale_mm * model.sample[random.integers(len(model.sample), size=2 + count // 25)]
    at = np.linspace(0, len(ends) - 1.001, count)
    share = (at % 1)[:, None, None]
    low = at.astype(int)
    return midway((1 - share) * ends[low] + share * ends[low + 1])


def midway(poses):
    """The poses with hip and neck midway between hips and shoulders, as OpenPose's."""
    index = LANDMARKS.index
    poses = poses.copy()
    for name, part in (("hip", "hip"), ("neck", "shoulder")):
        both = [index(f"left {part}"), index(f"right {part}")]
        poses[:, index(name)] = poses[:, both].mean(axis=1)
    return poses


def image_points(poses, elevation=ELEVATION, scale=0.2):
    """Points (N, 17, 2), px, of a weak-perspective camera."""
    return scale * (poses @ level_camera(elevation).T)[..., :2] + [320, 240]


def in_set(points, chosen):
    """(N, S, 3) x, y, confidence of a LandmarkSet; confidence 0 for what is not among ours."""
    result = np.zeros((len(points), len(chosen.names), 3))
    for ours, theirs in chosen.direct.items():
        at = chosen.names.index(theirs)
        result[:, at, :2], result[:, at, 2] = points[:, LANDMARKS.index(ours)], 0.9
    return result


def in_frames(points, chosen, count):
    """(F, count, S, 3) x, y, confidence of each frame's `count` people."""
    rows = in_set(points, chosen)
    return rows.reshape(-1, count, *rows.shape[1:])


def openpose(folder, points, count=1):
    """A folder as OpenPose writes it, `count` people in each frame; empty where points are None."""
    folder.mkdir()
    for i in range(0, len(points), count):
        people = [
            {"person_id": [-1], "pose_keypoints_2d": in_set(one[None], BODY_25).ravel().tolist()}
            for one in points[i : i + count]
            if one is not None
        ]
        document = {"version": 1.3, "people": people}
        (folder / f"clip_{i // count:012d}_keypoints.json").write_text(json.dumps(document))
    return folder


def results(path, rows, **columns):
    """A list as COCO's results: a record of each of rows (N, S, 3), with its value of each column;
    without an image_id each is of an image of its own."""
    columns = {"image_id": range(len(rows))} | columns
    records = [
        {"keypoints": row.ravel().tolist()} | {name: values[i] for name, values in columns.items()}
        for i, row in enumerate(rows)
    ]
    path.write_text(json.dumps(records))
    return path


def coco_results(path, points, count=1):
    """COCO results: a list with an image_id for each frame."""
    size = len(points)
    return results(
        path,
        in_set(points, COCO),
        image_id=[i // count for i in range(size)],
        category_id=[1] * size,
        score=[1.0] * size,
    )


def coco_annotations(path, points, count=1):
    """COCO annotations: images, a category, v of 0 or 2."""
    rows = in_set(points, COCO)
    rows[..., 2] = 2 * (rows[..., 2] > 0)
    document = {
        "images": [{"id": 100 + i, "file_name": f"{i}.jpg"} for i in range(len(rows) // count)],
        "categories": [{"name": "person", "keypoints": list(COCO.names)}],
        "annotations": [
            {
                "image_id": 100 + i // count,
                "keypoints": row.ravel().tolist(),
                "iscrowd": 0,
                "num_keypoints": 12,
            }
            for i, row in enumerate(rows)
        ],
    }
    path.write_text(json.dumps(document))
    return path


def mpii(path, points, count=1):
    """The list of joints that is in use for MPII."""
    records = [
        {
            "image": f"{i // count}.jpg",
            "joints": row[:, :2].tolist(),
            "joints_vis": (row[:, 2] > 0).tolist(),
        }
        for i, row in enumerate(in_set(points, MPII))
    ]
    path.write_text(json.dumps(records))
    return path


def table(path, points, count=1):
    """CSV, ours."""
    header = ["frame", *(f"{name} {axis}" for name in LANDMARKS for axis in "xy")]
    frame = np.arange(len(points)) // count
    rows = np.column_stack([frame, points.reshape(len(points), -1)])
    np.savetxt(path, rows, delimiter=",", header=",".join(header), comments="", fmt="%.12g")
    return path


def arrays(path, points, count=1, **more):
    """.npz, ours."""
    frame = np.arange(len(points)) // count
    np.savez(path, **{"points": points, "landmarks": LANDMARKS, "frame": frame} | more)
    return path
