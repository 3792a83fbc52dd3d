"""What is around the person: a room with textured floor and walls, or a photograph; and light."""

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from tools.rendered.stage import Backdrop, Light, Panel

# Photographs that scikit-image and scikit-learn carry (none shows a person), each for one side of
# the split: the test backgrounds are new to the network. What is not installed is left out.
PHOTOGRAPHS = {
    "train": (
        "skimage/data/brick.png",
        "skimage/data/gravel.png",
        "skimage/data/coffee.png",
        "skimage/data/motorcycle_left.png",
        "skimage/data/coins.png",
        "sklearn/datasets/images/china.jpg",
    ),
    "test": (
        "skimage/data/grass.png",
        "skimage/data/chelsea.png",
        "skimage/data/rocket.jpg",
        "sklearn/datasets/images/flower.jpg",
    ),
}
TEXTURE_SIZE = 384  # px of a texture, the same on both axes
ROOM_SHARE = 0.5  # of the backgrounds; the others are a photograph, out of focus
# Half the room's sides, x and z, and its height, mm: all cameras are inside.
ROOM_MM = ((2600, 4200), (5200, 7000), (2500, 3600))
UNIT_SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
PICTURES = 4  # photographs or boards on each wall, at most


@cache
def photographs(split):
    """The installed photographs of a split: a list of float32 (h, w, 3), RGB 0 .. 1."""
    images = []
    for name in PHOTOGRAPHS[split]:
        package, _, rest = name.partition("/")
        spec = importlib.util.find_spec(package)
        path = Path(spec.submodule_search_locations[0]) / rest if spec else None
        image = cv2.imread(str(path)) if path and path.is_file() else None
        if image is not None:
            images.append(image[..., ::-1].astype(np.float32) / 255)
    return images


def colour(generator, low=0.15, high=0.9):
    """A random colour (3,), mostly muted, as rooms are."""
    grey = generator.uniform(low, high)
    return np.clip(grey + generator.normal(0, 0.06, 3), 0.03, 1).astype(np.float32)


def noise(generator, size=TEXTURE_SIZE):
    """Noise of several octaves, (size, size) of mean 0 and standard deviation 1."""
    total = np.zeros((size, size), dtype=np.float32)
    slope = generator.uniform(0.4, 1.0)
    for octave in range(1, 8):
        cells = 2**octave
        grid = generator.standard_normal((cells, cells)).astype(np.float32)
        total += cells**-slope * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()


def texture(generator, split):
    """A texture (TEXTURE_SIZE, TEXTURE_SIZE, 3), 0 .. 1: noise, boards, tiles or a photograph."""
    kind = generator.choice(["noise", "boards", "tiles", "photograph"])
    photos = photographs(split)
    base = colour(generator)
    if kind == "photograph" and photos:
        image = cv2.resize(
            photos[generator.integers(len(photos))],
            (TEXTURE_SIZE, TEXTURE_SIZE),
            interpolation=cv2.INTER_AREA,
        )
        # Mixed with one colour, so that the same few photographs make many textures.
        share = generator.uniform(0.3, 1)
        return share * image + (1 - share) * base
    image = base * (1 + generator.uniform(0.02, 0.2) * noise(generator)[..., None])
    other = colour(generator)
    step = TEXTURE_SIZE // int(generator.integers(2, 9))
    row, column = np.indices((TEXTURE_SIZE, TEXTURE_SIZE)) // step
    if kind == "boards":
        shade = generator.uniform(0.75, 1.15, TEXTURE_SIZE)[row + 2]
        image = image * shade[..., None]
    elif kind == "tiles":
        image = np.where(((row + column) % 2)[..., None], image, other * (image / base))
    return np.clip(image, 0, 1).astype(np.float32)


def _wall(generator, split):
    """A wall (TEXTURE_SIZE, 3 TEXTURE_SIZE, 3) with what hangs on it."""
    wall = np.tile(colour(generator), (TEXTURE_SIZE, 3 * TEXTURE_SIZE, 1))
    if generator.random() < 0.6:
        wall = np.tile(texture(generator, split), (1, 3, 1)).copy()
    photos = photographs(split)
    for _ in range(generator.integers(0, PICTURES + 1)):
        height, width = generator.integers(40, 260, 2)
        top = generator.integers(0, TEXTURE_SIZE - height)
        left = generator.integers(0, 3 * TEXTURE_SIZE - width)
        picture = colour(generator)
        if photos and generator.random() < 0.5:
            picture = cv2.resize(photos[generator.integers(len(photos))], (int(width), int(height)))
        wall[top : top + height, left : left + width] = picture
    return wall


def room(generator, split):
    """A Backdrop of a random room."""
    half_x, half_z, height = (generator.uniform(*r) for r in ROOM_MM)
    light = generator.uniform(0.6, 1.1)
    period = generator.uniform(1000, 4000)
    x, z = np.array([1, 1, -1, -1]) * half_x, np.array([1, -1, -1, 1]) * half_z
    floor, ceiling = (np.stack([x, np.full(4, y), z], axis=1) for y in (0, height))
    panels = [
        (floor, texture(generator, split), floor[:, [0, 2]] / period),
        (ceiling, np.tile(colour(generator, 0.6, 0.95), (1, 1, 1)), UNIT_SQUARE),
    ]
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
        corners = [ceiling[a], ceiling[b], floor[b], floor[a]]
        panels.append((np.array(corners), _wall(generator, split), UNIT_SQUARE))
    lit = [Panel(corners, light * image, where) for corners, image, where in panels]
    return Backdrop(panels=lit, half=(half_x, half_z))


def photograph(generator, split, size):
    """Part of a photograph (size, size, 3), a little out of focus."""
    photo = photographs(split)[generator.integers(len(photographs(split)))]
    side = int(min(photo.shape[:2]) * generator.uniform(0.5, 1))
    top, left = (generator.integers(0, n - side + 1) for n in photo.shape[:2])
    part = photo[top : top + side, left : left + side]
    if generator.random() < 0.5:
        part = part[:, ::-1]
    part = cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(part, (0, 0), generator.uniform(0.5, 2.5))


def background(generator, split, size, rooms):
    """A random stage.Backdrop, for images of `size` px: one of the rooms, or a photograph."""
    if generator.random() < ROOM_SHARE or not photographs(split):
        return rooms[generator.integers(len(rooms))]
    return Backdrop(picture=photograph(generator, split, size))


def light(generator):
    """A stage.Light from somewhere above, from soft to hard, warm to cold."""
    around, up = generator.uniform(0, 2 * np.pi), np.radians(generator.uniform(30, 75))
    direction = np.array([np.cos(up) * np.cos(around), np.sin(up), np.cos(up) * np.sin(around)])
    warmth = generator.normal(0, 0.06)
    hard, soft = generator.uniform(0.3, 1.0), generator.uniform(0.35, 0.6)
    return Light(direction, hard * np.array([1 + warmth, 1, 1 - warmth]), soft)
