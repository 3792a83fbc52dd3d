"""Who does what, and which frames of it are drawn: a job for each subject and recording.

Every random generator here has a name, so that what it gives does not depend on what else is drawn.
"""

import hashlib
from functools import lru_cache

import numpy as np
from tqdm import tqdm

from prior.camera import perspective
from prior.errors import InputError
from tools.rendered import cameras, recordings, subjects
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


def motion(settings, job):
    """The retarget.Motion of a job of `assign`, and its rate."""
    recording = recordings.load()[job["recording"]]
    yaw = generator(settings, job["subject"], job["action"]).uniform(0, 2 * np.pi)
    return retarget(recording.poses, body(job["subject"]), recording.neutral, yaw), recording.rate


def assign():
    """The jobs, dicts of split, subject, action and recording, a number: each recording is done by
    one subject of its side of the split, in turn, so that every kind is done by as many as it can.

    The action is the kind of motion, with a number: a subject's second walk is "walk 2".
    """
    turn = {"train": 0, "test": 0}
    jobs = []
    people = {"train": subjects.TRAIN_SUBJECTS, "test": subjects.TEST_SUBJECTS}
    for number, recording in enumerate(recordings.load()):  # sorted by kind
        own = people[recording.split]
        subject = own[turn[recording.split] % len(own)]
        turn[recording.split] += 1
        count = 1 + sum(j["subject"] == subject and j["kind"] == recording.kind for j in jobs)
        jobs.append(
            {
                "split": recording.split,
                "subject": subject,
                "kind": recording.kind,
                "action": f"{recording.kind} {count}",
                "recording": number,
            }
        )
    return sorted(jobs, key=lambda job: subjects.SUBJECTS.index(job["subject"]))


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


def share(total, kinds, capacities):
    """Share `total` images out among sequences (S,): evenly among their kinds, then within each.

    kinds: of each sequence; capacities: numbers of frames. Raises PlanError as `allocate`.
    """
    kinds, capacities = np.array(kinds), np.array(capacities)
    names = np.unique(kinds)
    totals = allocate(total, [capacities[kinds == name].sum() for name in names])
    counts = np.zeros(len(kinds), dtype=int)
    for name, own in zip(names, totals, strict=True):
        counts[kinds == name] = allocate(int(own), capacities[kinds == name])
    return counts


def plan(settings):
    """The jobs of `assign`, with frames, which maps a camera to the frames it shows, spread evenly
    over those in view. Raises PlanError."""
    jobs = assign()
    sequences = {"train": [], "test": []}
    for job in tqdm(jobs, "plan", unit="clip", disable=None):
        landmarks = motion(settings, job)[0].landmarks
        for name, camera in subject_cameras(settings, job["subject"]).items():
            frames = in_view(landmarks, camera, settings["size"])
            sequences[job["split"]].append((job, name, frames))
    for split, parts in sequences.items():
        kinds = [job["kind"] for job, _, _ in parts]
        counts = share(settings[f"{split}_images"], kinds, [len(frames) for _, _, frames in parts])
        for (job, name, frames), count in zip(parts, counts, strict=True):
            phase = generator(settings, job["subject"], job["action"], name, "frames").random()
            chosen = ((np.arange(count) + phase) * len(frames) / max(count, 1)).astype(int)
            job.setdefault("frames", {})[name] = frames[chosen].tolist()
    return jobs
