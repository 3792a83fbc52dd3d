"""A camera's recording, and a page that shows its newest pose while it is made.

The page is a file that loads the picture beside it again and again: it needs no window of the
program's own and no network.
"""

import queue
import re
import shutil
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from prior.errors import InputError
from prior.files import replacing, scratch, write
from tools.lift import detecting, keypoints
from tools.lift.drawing import Panels

# So many of the newest poses are lifted together: they share the camera's tilt, which one pose
# alone says less surely. Our choice: more make a slow computer slower.
TOGETHER = 8
PAGE = Path(__file__).with_name("live.html")


class View:
    """The newest image of a recording, lifted and drawn by a thread of its own, in `folder`.

    detector: a process that detecting.opened gives; lift(Keypoints): (lifted.Poses, the LeftOut).
    `error`: what ended the thread, an InputError or OSError, which `close` raises; else None.
    """

    def __init__(self, folder, detector, lift):
        self._folder, self._detector, self._lift = folder, detector, lift
        self._next, self._recent = queue.Queue(1), deque(maxlen=TOGETHER)
        self.error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, image):
        """Let an image (H, W, 3) uint8 BGR be lifted, in the place of one that still waits: a
        recording never waits for the detector, which therefore sees fewer images than the video
        has."""
        with suppress(queue.Empty):
            self._next.get_nowait()
        self._next.put_nowait(image)  # nobody else puts one there

    def close(self):
        """End the thread and the detector. Raises `error`."""
        self._detector.kill()
        self.show(None)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self):
        try:
            self._follow()
        except (InputError, OSError) as error:
            self.error = error

    def _follow(self):
        file = self._folder / "image.bmp"
        while (image := self._next.get()) is not None:
            with replacing(file) as temporary:
                cv2.imwrite(str(temporary), image)
            try:
                print(file, file=self._detector.stdin, flush=True)
            except BrokenPipeError:
                return
            answer = self._detector.stdout.readline()
            if not answer:
                return
            picture = cv2.imencode(".jpg", self._drawn(image, answer))[1]
            write(self._folder / "live.jpg", picture.tobytes())

    def _drawn(self, image, answer):
        """The image with its landmarks, beside the pose; alone, if nobody is there."""
        file = self._folder / "image.json"
        write(file, answer)
        try:
            people = keypoints.read(file)
        except InputError:
            return image
        if not len(people.frame):
            return image
        self._recent.append(people)
        count = len(self._recent)
        poses, _ = self._lift(
            people._replace(
                points=np.concatenate([one.points for one in self._recent]),
                confidence=np.concatenate([one.confidence for one in self._recent]),
                frame=np.arange(count),
                person=np.zeros(count, dtype=int),
                frames=("live",) * count,
                first=0,
            )
        )
        if count - 1 not in poses.frame:
            return image
        return Panels(poses, _Only(image)).frame(count - 1)


class _Only:
    """As drawing.Photos: one image for every frame."""

    def __init__(self, image):
        self._image = image

    def read(self, _):
        """The image."""
        return self._image


@contextmanager
def view(near, name, lift):
    """A View by the detector of this name, and its page, opened; gone when the block ends.

    near: the folder in which it has its own. Raises InputError where no detector is installed.
    """
    near.mkdir(parents=True, exist_ok=True)
    with detecting.opened(name) as detector, scratch(near, "live-") as folder:
        page = folder.absolute() / PAGE.name
        shutil.copyfile(PAGE, page)
        detecting.show(page)
        result = View(page.parent, detector, lift)
        try:
            yield result
        finally:
            result.close()


def record(camera, seconds, out, view):
    """Record a webcam into the video `out`; returns its rate, frames a second.

    camera: its number, its device's path or a stream's address; a video file is played at its rate.
    view: a context manager, whose View gets each image. Ctrl-C ends the recording early, and so
    does an error of the View, which is raised; the video is written even then. Raises InputError
    where there is no camera.
    """
    # As a path an address has lost one of its slashes.
    camera = re.sub(r"^(\w\w+):/(?=[^/])", r"\1://", str(camera))
    source = cv2.VideoCapture(int(camera) if camera.isdigit() else camera)
    there, image = source.read() if source.isOpened() else (False, None)
    if not there:
        raise InputError(f"--live: no camera {camera}; expected its number, 0 for the first")
    count, (height, width) = 0, image.shape[:2]
    # What a camera really gives is known at the end; players go by this rate.
    nominal = source.get(cv2.CAP_PROP_FPS) or 30.0
    # A file knows how many frames it has, a camera does not.
    is_file = source.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    with (
        view as seen,
        replacing(out) as temporary,
        tqdm(total=seconds, desc="record, Ctrl-C ends", unit="s", disable=None) as bar,
    ):
        code = cv2.VideoWriter_fourcc(*"mp4v")
        video = cv2.VideoWriter(str(temporary), code, nominal, (width, height))
        if not video.isOpened():
            raise InputError(f"{out}: this OpenCV has no encoder for MP4")
        start = time.monotonic()
        try:
            while there and not seen.error and (passed := time.monotonic() - start) < seconds:
                video.write(image)
                count += 1
                seen.show(image)
                bar.update(passed - bar.n)
                if is_file:
                    time.sleep(max(0.0, count / nominal - passed))
                there, image = source.read()
        except KeyboardInterrupt:
            pass
        rate = nominal if is_file else max(count, 1) / max(time.monotonic() - start, 1e-3)
        video.release()
        source.release()
    print(f"recorded {count} frames, {rate:.1f} a second")
    return rate
