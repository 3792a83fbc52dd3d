"""Make the dataset: draw the plan with several processes, write it in Human3.6M's layout."""

import hashlib
import importlib.util
import json
import multiprocessing
import os
import shutil
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from prior import signals
from prior.errors import InputError
from prior.files import write
from prior.foreign import read_document
from prior.mocap import Clip, clip_npz
from tools.rendered import subjects
from tools.rendered.look import Mesh
from tools.rendered.makehuman import NotInstalled
from tools.rendered.plan import body, generator, motion, plan, subject_cameras
from tools.rendered.truth import annotate, document

VERSION = 8  # of the data: raise it when the same settings give other pictures
MARKER = "rendered.json"  # in the folder, says that it is ours and with which settings it is made
JPEG_QUALITY = 92
NOISE = 0.012  # of the sensor, at most: standard deviation, of colours from 0 to 1
BLUR = 0.8  # of the lens, at most: standard deviation, px
SHARP = 0.3  # a smaller blur is left out: it would change nothing
ROOMS = 2  # of each camera and clip: a room takes longer to draw than a person


class DataError(InputError):
    """The dataset cannot be made in that folder."""


@lru_cache(maxsize=subjects.LOOKS)  # jobs come sorted by subject
def _mesh(seed, subject, look):
    random = generator({"seed": seed}, subject, "outfit", look)
    return Mesh(body(subject), subjects.styled(subject, look, random))


@cache  # one window for each process
def _stage(size):
    from tools.rendered.stage import Stage

    return Stage(size)


def make_job(task):
    """Write one subject's clip and its frames.

    task: folder, settings, job of the plan, whether with frames. Returns the split and a list of
    (image, annotation, digest of the file).
    """
    out, settings, job, with_frames = task
    subject, action = job["subject"], job["action"]
    posed, rate = motion(settings, job)
    clip = Clip(posed.landmarks, rate, subject, action)
    clip_npz.write(out / subject / "MyPoseFeatures" / "D3_Positions" / f"{action}.npz", clip)
    records = []
    if with_frames:
        for name, camera in subject_cameras(settings, subject).items():
            if job["frames"][name]:
                records += _sequence(out, settings, job, name, camera, posed)
    return job["split"], records


def _sequence(out, settings, job, name, camera, posed):
    """Draw one camera's frames of a job; their records."""
    from tools.rendered import scene  # which wants VTK

    size, subject, action = settings["size"], job["subject"], job["action"]
    random = generator(settings, subject, action, name)
    stage = _stage(size)
    rooms = min(ROOMS, len(job["frames"][name]))
    rooms = [stage.pictured(camera, scene.room(random, job["split"])) for _ in range(rooms)]
    blur, noise = random.uniform(0, BLUR), np.float32(random.uniform(0, NOISE))
    folder = out / subject / "Frames" / f"{action}.{name}"
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for frame in job["frames"][name]:
        # Looks, place and light change with the frame: each says nothing of the motion.
        mesh = _mesh(settings["seed"], subject, int(random.integers(subjects.LOOKS)))
        stage.dress(mesh.triangles, mesh.colours)
        backdrop = scene.background(random, job["split"], size, rooms)
        stage.set(camera, backdrop, scene.light(random))
        vertices = body(subject).skin(
            posed.rotations[frame], posed.heads[frame], mesh.vertices, mesh.weights
        )
        drawing = stage.draw(vertices, mesh.normals(vertices))
        image = drawing.colour
        if blur > SHARP:
            image = cv2.GaussianBlur(image, (0, 0), blur)
        image = image + noise * random.standard_normal(image.shape, dtype=np.float32)
        pixels = cv2.convertScaleAbs(np.maximum(image, 0), alpha=255)
        data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        path = folder / f"{frame:06d}.jpg"
        write(path, data.tobytes())
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


def _check_folder(out):
    """Raise DataError unless the folder is ours, new or empty: what it holds may be deleted."""
    if out.exists() and not (out / MARKER).exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out}: expected a new or empty folder, or one made by this tool; choose another --out"
        )


def _prepare(out, settings, clips_only):
    """Mark the folder as ours, and delete what was made there with other settings."""
    marker = out / MARKER
    if marker.exists():
        made = read_document(marker).an_object().value
        # The clips depend on nothing else.
        if clips_only and all(made.get(key) == settings[key] for key in ("version", "seed")):
            return
        if made != settings:
            for split in ("train", "test"):
                (out / f"{split}.json").unlink(missing_ok=True)
            for subject in subjects.SUBJECTS:
                shutil.rmtree(out / subject, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    write(marker, json.dumps(settings))


def complete(out, settings):
    """Whether the dataset stands in the folder, made with these settings."""
    try:
        documents = [json.loads((out / f"{split}.json").read_text()) for split in ("train", "test")]
    except (OSError, ValueError):
        return False
    return all(
        document["info"]["settings"] == settings
        and all((out / image["file_name"]).exists() for image in document["images"])
        for document in documents
    )


def _start_worker(parent):
    signals.begin_worker(parent)
    cv2.setNumThreads(1)


def make(out, *, train_images, test_images, size, seed, workers, clips_only=False):
    """Make the dataset in the folder `out`; the annotations come last.

    Returns whether anything was made: nothing is where the dataset stands there complete. Raises
    DataError, PlanError, MocapError or NotInstalled.
    """
    out = Path(out)
    settings = {
        "version": VERSION,
        "train_images": train_images,
        "test_images": test_images,
        "size": size,
        "seed": seed,
    }
    if complete(out, settings):
        return False
    _check_folder(out)
    if not clips_only and importlib.util.find_spec("vtkmodules") is None:
        raise NotInstalled("vtkmodules: not installed; expected VTK: pip install --no-deps vtk")
    jobs = plan(settings)
    _prepare(out, settings, clips_only)
    tasks = [(out, settings, job, not clips_only) for job in jobs]
    records = {"train": [], "test": []}
    # One thread each: the processes already fill the machine.
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS")  # the last: Mesa's
    os.environ |= dict.fromkeys(threads, "1")
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with signals.without_interrupts():
        started = context.Pool(workers, _start_worker, (os.getpid(),))
    total = len(tasks) if clips_only else train_images + test_images
    with (
        started as pool,  # terminated when anything fails, or Ctrl-C
        tqdm(total=total, unit=" clips" if clips_only else " images") as bar,
    ):
        for split, made in pool.imap(make_job, tasks):
            records[split] += made
            bar.update(1 if clips_only else len(made))
    if not clips_only:
        for split in ("train", "test"):
            write(out / f"{split}.json", json.dumps(document(settings, split, records[split])))
    return True
