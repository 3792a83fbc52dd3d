"""CPM's LMDB (python_layers.data.cpm_lmdb), with its images as JPEGs."""

import cv2
import numpy as np

from python_layers.data import cpm_lmdb
from tools.convert.entries import Entry
from tools.convert.h36m_frames import QUALITY


def read(folder):
    """Yields the Entry of each record. Raises AnnotationError."""
    for record in cpm_lmdb.records(folder):
        pixels = np.ascontiguousarray(record.pixels)
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        image = record.image | {"file_name": f"{record.image['file_name']}.jpg"}
        yield Entry(image, record.people, encoded.tobytes())
