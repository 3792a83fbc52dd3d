"""A page that shows poses in 3D, turned with the mouse and played: one HTML file, no network."""

import base64
from pathlib import Path

import cv2
import numpy as np

from prior.camera import decompose
from prior.files import replacing
from prior.show import limb_colours
from prior.skeleton import HUMAN36M, LANDMARKS, LIMBS
from tools import pages
from tools.lift.drawing import TILE_MM, Photos, evenly, with_trunk
from tools.lift.lifted import on_ground
from tools.lift.timeline import rate_of

TEMPLATE = Path(__file__).with_name("viewer.html.j2")
# Photos in a page: their longer side, px, and how many at most, spread evenly. Our choice: a page
# that a browser opens at once.
PHOTO_SIDE = 800
MOST_PHOTOS = 150


def write(path, poses, photos=None):
    """Write the page of lifted.Poses. photos: drawing.Photos, shown beside the poses."""
    page = pages.render(TEMPLATE, data=content(path.stem, poses, photos or Photos()))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def content(title, poses, photos):
    """What the page holds: the frames from the first to the last that has people.

    Poses are in mm, rounded to tenths; the camera's angles are in radians.
    """
    placed, in_image = on_ground(poses), with_trunk(poses.points)
    rows_of = {}
    for row, frame in enumerate(poses.frame.tolist()):
        rows_of.setdefault(frame, []).append(row)
    numbers = range(min(rows_of), max(rows_of) + 1)
    shown = set(evenly(list(numbers), MOST_PHOTOS))
    known = np.isfinite(poses.deviation_mm).all(axis=1)

    def person(row):
        points = in_image[row]
        return {
            "person": int(poses.person[row]),
            "pose": placed[row].round(1).tolist(),
            "deviation": poses.deviation_mm[row].round(1).tolist() if known[row] else None,
            "points": [p.round(1).tolist() if np.isfinite(p).all() else None for p in points],
            "component": int(poses.component[row]),
            "share": poses.component_probability[row].round(3).tolist(),
            "plausible": bool(poses.plausible[row]),
            "reason": str(poses.reason[row]),
        }

    frames = []
    for number in numbers:
        name = Path(str(poses.frame_name(number))).name
        frame = {"name": name, "people": [person(r) for r in rows_of.get(number, ())]}
        photo = _photo(photos.read(poses.frame_name(number))) if number in shown else None
        if photo is not None:
            frame["photo"], factor = photo
            for entry in frame["people"]:
                entry["points"] = [p and [factor * v for v in p] for p in entry["points"]]
        frames.append(frame)
    low, high = (f(poses.points, axis=(0, 1)) for f in (np.nanmin, np.nanmax))
    _, elevation, yaw = decompose(poses.camera[0])
    return {
        "title": title,
        "frames": frames,
        "rate": rate_of(poses),
        "size": "the heights that were said" if poses.meta.get("height_m") else "a typical size",
        "landmarks": LANDMARKS,
        "limbs": LIMBS.tolist(),
        "colours": limb_colours(HUMAN36M),
        "tile": TILE_MM,
        "extent": [*low.tolist(), *np.maximum(high, low + 1).tolist()],
        "heading": float(yaw),
        "pitch": float(elevation),
    }


def _photo(image):
    """({"data": a JPEG as URL, "width", "height"}, px of it per px of the image), or None."""
    if image is None:
        return None
    factor = min(1.0, PHOTO_SIDE / max(image.shape[:2]))
    size = [max(1, round(factor * side)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    url = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return {"data": url, "width": size[0], "height": size[1]}, factor
