"""A pose model and annotated frames with 3D truth, as files."""

import json

import pytest

import prior
from tests import annotated
from tests.poses import random_poses


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "prior.npz"
    fitted = prior.fit(random_poses(400), components=2, basis=6, solver="closed-form")
    fitted.save(path)
    return path


@pytest.fixture(scope="module")
def document():
    """The content of `data`."""
    return annotated.document()


@pytest.fixture
def data(document, tmp_path):
    path = tmp_path / "test.json"
    path.write_text(json.dumps(document))
    return path
