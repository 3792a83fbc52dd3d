"""Poses into files, by their suffixes."""

from prior.errors import InputError
from tools.lift import angles, bvh, c3d, drawing, gltf, lifted, rrd, timeline, trc, viewer

# write(path, poses) of all people.
_TABLES = {
    ".npz": lifted.write_npz,
    ".json": lifted.write_json,
    ".csv": lifted.write_csv,
    ".rrd": rrd.write,
}
# write(path, poses, photos) of all people.
_PICTURES = {
    ".png": drawing.write_png,
    ".gif": drawing.write_gif,
    ".mp4": drawing.write_mp4,
    ".html": viewer.write,
}
# write(path, poses (F, 17, 3) of every frame of the input, rate) of one person; and how the frames
# without the person are filled.
_MOTION = {
    ".bvh": (bvh.write, timeline.held),
    ".trc": (trc.write, timeline.with_gaps),
    ".c3d": (c3d.write, timeline.with_gaps),
    ".mot": (angles.write_mot, timeline.held),
}
# What has no place for a verdict: who is no plausible person looks like anybody there.
UNMARKED = (".glb", *_MOTION)
# A table of joint angles, in place of positions.
ANGLES = ".angles.csv"
SUFFIXES = (*_TABLES, ANGLES, ".glb", *_MOTION, *_PICTURES)


def check(path):
    """Raise InputError unless the suffix of a path is one of SUFFIXES."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {path}: expected a suffix of {' '.join(SUFFIXES)}")


def how_marked(paths):
    """In words, how the files of these paths mark who is no plausible person."""
    suffixes = dict.fromkeys(path.suffix.lower() for path in paths)
    without = [suffix for suffix in suffixes if suffix in UNMARKED]
    if not without:
        return "marked"
    start = "marked, but not" if len(without) < len(suffixes) else "not marked"
    return f"{start} in {' '.join(without)}, which cannot say it"


def write(path, poses, photos=None):
    """Write lifted.Poses into a file by its suffix; yields the paths that were written.

    A motion file has one person: with several, their numbers are put before the suffix. photos:
    drawing.Photos.
    """
    suffix = path.suffix.lower()
    rate, count = timeline.rate_of(poses), len(poses.meta["frames"])
    if path.name.lower().endswith(ANGLES):
        angles.write_csv(path, poses, lifted.on_ground(poses))
    elif suffix in _TABLES:
        _TABLES[suffix](path, poses)
    elif suffix in _PICTURES:
        _PICTURES[suffix](path, poses, photos)
    elif suffix == ".glb":
        gltf.write(path, timeline.tracks(poses), rate, count)
    else:
        writer, fill = _MOTION[suffix]
        people = timeline.tracks(poses)
        for person, (track, frame) in people.items():
            one = path if len(people) == 1 else path.with_stem(f"{path.stem}-{person}")
            writer(one, fill(track, frame, count), rate)
            yield one
        return
    yield path
