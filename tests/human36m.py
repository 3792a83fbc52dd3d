"""A miniature of Human3.6M in its original layout: archives, CDF, videos, metadata.xml.

All recordings that the protocols test on, of one frame each, and one recording of each training
subject; pictures of a fifth of the size, with a dot for each landmark.
"""

import tarfile

import cv2
import numpy as np
from cdflib.cdfwrite import CDF as CDFWriter
from scipy.spatial.transform import Rotation

from prior.mocap import human36m as reader
from tests.poses import random_poses
from tools.evaluate import protocols

SIZE = 200  # px, of the pictures
FRAMES = 91  # of a training subject's recording
TRAINING, TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")
SEQUENCES = [name for action in protocols.ACTIONS for name in (f"{action} 1", action)]
# Four cameras round the middle, as the dataset's: the angle, degrees, at which each stands.
ANGLES = dict(zip(protocols.CAMERAS, (60, -60, 120, -120), strict=True))
FOCAL, CENTRE = 230.0, 100.0
LENS = (-0.2, 0.24, -0.002, -0.0009, -0.0016)  # k1, k2, k3, p1, p2
JOINTS = list(reader.LANDMARK_JOINTS)


def camera(name):
    """(rotation world, z up, to camera; position, mm) of a camera that looks at the middle."""
    angle = np.deg2rad(ANGLES[name])
    position = np.array([5000 * np.cos(angle), 5000 * np.sin(angle), 1500.0])
    forward = np.array([0, 0, 900.0]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]), position


def project(points, name):
    """Points (..., 3), mm, z up, to px, as the dataset's own code does."""
    rotation, position = camera(name)
    x, y, z = np.moveaxis((points - position) @ rotation.T, -1, 0)
    x, y = x / z, y / z
    k1, k2, k3, p1, p2 = LENS
    r2 = x**2 + y**2
    bend = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * y + p2 * x
    x, y = x * bend + p2 * r2, y * bend + p1 * r2
    return np.stack([FOCAL * x + CENTRE, FOCAL * y + CENTRE], axis=-1)


def poses_of(sequence, frames):
    """The poses (frames, 17, 3), mm, z up, of a recording: the same of every subject."""
    pose = random_poses(frames, seed=SEQUENCES.index(sequence))
    return (pose + [0, 900, 0] - pose[:, :1]) @ reader.Y_UP


def metadata():
    """metadata.xml: all recordings of the test subjects, the first of the training ones."""
    w0 = []
    for name in protocols.CAMERAS:
        rotation, position = camera(name)
        w0 += [*Rotation.from_matrix(rotation).as_euler("XYZ"), *position] * 11
    w0 += [FOCAL, FOCAL, CENTRE, CENTRE, *LENS] * 4
    subjects = [f"S{i}" for i in range(1, 12)]
    rows = [["Action", "Subaction", *subjects]]
    for i, sequence in enumerate(SEQUENCES):
        names = [sequence if s in TEST or i == 0 else "" for s in subjects]
        rows.append([str(2 + i // 2), str(1 + i % 2), *names])
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    numbers = " ".join(f"{number:.17g}" for number in w0)
    return f"<metadata><mapping>{cells}</mapping><w0>[{numbers}]</w0></metadata>"


def write_cdf(path, pose):
    """A recording's positions (F, 32, axes)."""
    flat = pose.reshape(1, len(pose), -1).astype(np.float32)
    with CDFWriter(path) as file:
        spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
        file.write_var(spec | {"Dim_Sizes": list(flat.shape[1:])}, var_data=flat)


def write_video(path, points):
    """A dot of a colour of its own at each landmark (F, 17, 2), px."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 50, (SIZE, SIZE))
    for frame in points:
        picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
        for i, (x, y) in enumerate(frame):
            colour = (15 * i, 255 - 15 * i, 120 * (i % 3))
            cv2.circle(picture, (round(x), round(y)), 3, colour, -1)
        video.write(picture)
    video.release()


def write(folder, scratch):
    """The archives and metadata.xml in a folder, by way of another one."""
    folder.mkdir(parents=True)
    (folder / "metadata.xml").write_text(metadata())
    for subject in (*TRAINING, *TEST):
        trains = subject in TRAINING
        kinds = {"D2_Positions": {}, "D3_Positions": {}, "Videos": {}}
        for sequence in SEQUENCES[:1] if trains else SEQUENCES:
            place = scratch / str(trains) / sequence  # the same for all that train, and that test
            if not place.exists():
                place.mkdir(parents=True)
                joints = np.zeros((FRAMES if trains else 1, 32, 3))
                joints[:, JOINTS] = poses_of(sequence, len(joints))
                write_cdf(place / f"{sequence}.cdf", joints)
                for name in protocols.CAMERAS:
                    points = project(joints, name)
                    write_cdf(place / f"{sequence}.{name}.cdf", points)
                    write_video(place / f"{sequence}.{name}.mp4", points[:, JOINTS])
            for path in sorted(place.iterdir()):
                of = "Videos" if path.suffix == ".mp4" else "D2_Positions"
                kinds["D3_Positions" if path.stem == sequence else of][path.name] = path
        for kind, files in kinds.items():
            below = "Videos" if kind == "Videos" else f"MyPoseFeatures/{kind}"
            archive = f"Videos_{subject}" if kind == "Videos" else f"Poses_{kind}_{subject}"
            with tarfile.open(folder / f"{archive}.tgz", "w:gz", compresslevel=1) as tar:
                for name, path in files.items():
                    tar.add(path, f"{subject}/{below}/{name}")
    return folder
