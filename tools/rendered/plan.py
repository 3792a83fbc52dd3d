"""Which frames are drawn: a job for each subject and clip.

Every random generator here has a name, so that what it gives does not depend on what else is drawn.
"""

import hashlib
from functools import lru_cache

import numpy as np

from prior.camera import perspective
from prior.errors import InputError
from prior.mocap import deepmimic
from tools.rendered import cameras, subjects
from tools.rendered.body import Body
from tools.rendered.retarget import retarget

# A frame is drawn only if it shows the whole person, as Human3.6M's do: each landmark is inside the
# image by at least this share of its side.
MARGIN = 0.02
# And only if no landmark is closer than this: closer people are larger than in Human3.6M.
CLOSEST_MM = 2200.0


class PlanError(InputError):
    """More images are asked for than there are frames."""


def generator(settings, *names):
    """A random generator for a named part of the data."""
    key = ":".join(map(str, (settings["seed"], *names)))
    return np.random.default_rng(list(hashlib.sha256(key.encode()).digest()))


@lru_cache(maxsize=1)  # jobs come sorted by subject, so one is enough
def body(subject):
    """The subject's Body."""
    return Body(subjects.SHAPES[subject])


def motion(settings, subject, action, path):
    """The subject's retarget.Motion of a clip, and the clip's rate."""
    clip = deepmimic.read_motion(path)
    yaw = generator(settings, subject, action).uniform(0, 2 * np.pi)
    return retarget(clip, body(subject), yaw), clip.rate


def subject_cameras(settings, subject):
    """The subject's cameras by name."""
    return cameras.make(generator(settings, subject, "cameras"), settings["size"])


def in_view(landmarks, camera, size):
    """The frames of landmarks (F, 17, 3), mm, that a camera sees whole: sorted indices."""
    points = perspective(landmarks, *camera)
    depth = (landmarks - camera.position) @ camera.rotation[2]
    edge = MARGIN * size
    whole = ((points > edge) & (points < size - 1 - edge)).all(axis=(1, 2))
    return np.flatnonzero(whole & (depth.min(axis=1) > CLOSEST_MM))


def allocate(total, capacities):
    """Share `total` images out as evenly as the sequences' numbers of frames allow: (S,) counts.

    Raises PlanError when there are fewer frames.
    """
    capacities = np.array(capacities)
    if total > capacities.sum():
        raise PlanError(
            f"{total} images: expected at most {capacities.sum()}, the frames that show the whole "
            "person; ask for fewer"
        )
    counts = np.zeros(len(capacities), dtype=int)
    while (left := total - counts.sum()) > 0:
        free = np.flatnonzero(counts < capacities)
        # The sequences that get one more are spread out.
        chosen = free if left >= len(free) else free[np.arange(left) * len(free) // left]
        counts[chosen] += np.minimum(max(left // len(free), 1), capacities[chosen] - counts[chosen])
    return counts


def plan(settings):
    """The jobs: dicts of split, subject, action, path and frames, which maps a camera to the
    frames it shows, spread evenly over those in view. Raises PlanError."""
    jobs = []
    for split, people in (("train", subjects.TRAIN_SUBJECTS), ("test", subjects.TEST_SUBJECTS)):
        own_jobs, sequences = [], []
        for subject in people:
            for action, path in subjects.clips(subject):
                landmarks = motion(settings, subject, action, path)[0].landmarks
                own_jobs.append(
                    {"split": split, "subject": subject, "action": action, "path": str(path)}
                )
                for name, camera in subject_cameras(settings, subject).items():
                    frames = in_view(landmarks, camera, settings["size"])
                    sequences.append((own_jobs[-1], name, frames))
        counts = allocate(settings[f"{split}_images"], [len(frames) for _, _, frames in sequences])
        for (job, name, frames), count in zip(sequences, counts, strict=True):
            phase = generator(settings, job["subject"], job["action"], name, "frames").random()
            chosen = ((np.arange(count) + phase) * len(frames) / max(count, 1)).astype(int)
            job.setdefault("frames", {})[name] = frames[chosen].tolist()
        jobs += own_jobs
    return jobs
