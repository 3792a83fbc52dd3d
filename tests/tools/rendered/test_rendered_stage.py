"""The rendered dataset's drawing: tools.rendered.stage."""

import numpy as np
import pytest

from prior.camera import look_at, perspective
from prior.skeleton import LANDMARKS
from tests.rendered import needs_data
from tools.rendered.cameras import Camera

INDEX = {name: i for i, name in enumerate(LANDMARKS)}


def _sphere(centre, radius, rings=12):
    """Vertices and anticlockwise triangles of a sphere."""
    around, up = np.meshgrid(
        np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False),
        np.linspace(0, np.pi, rings + 1),
        indexing="ij",
    )
    points = np.stack([np.sin(up) * np.cos(around), np.cos(up), np.sin(up) * np.sin(around)], -1)
    index = np.arange(points.size // 3).reshape(around.shape)
    a, b = index[:, :-1], index[:, 1:]
    c, d = (np.roll(x, -1, axis=0) for x in (b, a))
    triangles = np.concatenate(
        [np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)]
    )
    return centre + radius * points.reshape(-1, 3), triangles


@pytest.fixture(scope="module")
def camera():
    position = np.array([1500.0, 1400.0, 3300.0])
    intrinsics = np.array([[230, 0, 101.3], [0, 230, 98.2], [0, 0, 1]])
    return Camera(look_at(position, [0, 900, 0]), position, intrinsics)


LIGHT = {"direction": np.array([0.6, 0.8, 0.0]), "colour": np.ones(3), "soft": 0.5}
SIZE = 200


@pytest.fixture(scope="module")
def stage():
    pytest.importorskip("vtkmodules", reason="make venv-demo installs VTK")
    from tools.rendered.stage import Stage

    return Stage(SIZE)


def _show(stage, camera, vertices, triangles, colour=(1, 1, 1), half=None):
    """The Drawing of a mesh that shines without light, on black or in a black room."""
    from tools.rendered.stage import Backdrop, Light

    light = Light(**LIGHT | {"soft": 1.0})
    stage.set(camera, Backdrop(half=half, picture=np.full((2, 2, 3), 0.5)), light)
    stage.dress(triangles, np.tile(colour, (len(vertices), 1)))
    return stage.draw(vertices, np.tile([0.0, -1.0, 0.0], (len(vertices), 1)))


def test_spheres_are_drawn_where_perspective_puts_them(stage, camera):
    random = np.random.default_rng(0)
    for centre in random.uniform([-500, 300, -500], [500, 1500, 500], (12, 3)):
        vertices, triangles = _sphere(centre, 40.0)
        drawn = _show(stage, camera, vertices, triangles)
        row, column = np.indices(drawn.cover.shape)
        middle = [np.average(x, weights=drawn.cover) for x in (column, row)]
        assert np.abs(middle - perspective(centre, *camera)).max() < 0.1
        # And only the near side is seen, about the radius in front of the centre.
        depth = (centre - camera.position) @ camera.rotation[2]
        depths = drawn.depth[drawn.cover > 0]
        assert depth - 41 < depths.min() < depths.max() < depth + 10
        assert drawn.depth[0, 0] > 5 * depth


def test_colours_and_background_are_exact(stage, camera):
    from tools.rendered.stage import SKY_SHARE

    vertices, triangles = _sphere(np.array([0.0, 900.0, 0.0]), 200.0)
    drawn = _show(stage, camera, vertices, triangles, (1, 0.6, 0.2))
    assert drawn.colour.shape == (SIZE, SIZE, 3)
    np.testing.assert_allclose(drawn.colour[drawn.cover == 0], 128 / 255, atol=1e-6)
    # Turned away from the lights: only what comes from all around.
    dim = 1 - SKY_SHARE
    inside = drawn.colour[drawn.cover == 1]
    np.testing.assert_allclose(
        inside, np.tile([dim, 0.6 * dim, 0.2 * dim], (len(inside), 1)), atol=0.01
    )


def test_seen_from_outside_only(stage, camera):
    vertices, triangles = _sphere(np.array([0.0, 900.0, 0.0]), 200.0)
    centre = (vertices.mean(axis=0) - camera.position) @ camera.rotation[2]
    drawn = _show(stage, camera, vertices, triangles[:, ::-1])
    assert drawn.depth[drawn.cover == 1].min() > centre - 100


def test_shadow_falls_along_the_light(stage, camera):
    centre = np.array([0.0, 700.0, 0.0])
    vertices, triangles = _sphere(centre, 120.0)
    drawn = _show(stage, camera, vertices, triangles, half=(3000, 3000))
    floor = centre - LIGHT["direction"] * centre[1] / LIGHT["direction"][1]
    dark = (drawn.colour[..., 0] < 0.35) & (drawn.cover == 0)
    row, column = np.nonzero(dark)
    assert np.abs([column.mean(), row.mean()] - perspective(floor, *camera)).max() < 1
    beyond_the_wall = _show(stage, camera, vertices, triangles, half=(300, 300))
    assert not ((beyond_the_wall.colour[..., 0] < 0.45) & (beyond_the_wall.cover == 0)).any()


def test_panels_are_drawn_where_perspective_puts_them(stage, camera):
    from tools.rendered.stage import Backdrop, Light, Panel

    corners = np.array([[-300.0, 1300, 0], [300, 1300, 0], [300, 700, 0], [-300, 700, 0]])
    texture = np.zeros((2, 2, 3))
    texture[0, 0] = texture[1, 1] = [1, 0, 0]  # top left and bottom right, as the camera sees it
    texture[0, 1] = texture[1, 0] = [0, 1, 0]
    panel = Panel(corners, texture, [[0, 0], [1, 0], [1, 1], [0, 1]])
    stage.set(camera, Backdrop(panels=[panel]), Light(**LIGHT))
    stage.dress(np.array([[0, 1, 2]]), np.ones((3, 3)))
    nobody = stage.draw(np.full((3, 3), -9000.0), np.ones((3, 3)))
    assert not nobody.cover.any()
    for share, channel in (((0.2, 0.2), 0), ((0.8, 0.2), 1), ((0.2, 0.8), 1), ((0.8, 0.8), 0)):
        point = corners[0] + share[0] * (corners[1] - corners[0])
        point = point + share[1] * (corners[3] - corners[0])
        x, y = np.round(perspective(point, *camera)).astype(int)
        assert nobody.colour[y, x, channel] > 0.9, share
    row, column = np.nonzero(nobody.colour.max(axis=-1) > 0.25)
    edge = perspective(corners, *camera)
    for drawn_edge, expected in ((column, edge[:, 0]), (row, edge[:, 1])):
        assert (
            abs(drawn_edge.min() - expected.min()) < 1
            and abs(drawn_edge.max() - expected.max()) < 1
        )


def test_refined_mesh_is_the_same_surface():
    from tools.rendered.stage import refine

    vertices, triangles = _sphere(np.zeros(3), 100.0)
    fine, finer, values = refine(vertices, triangles, 2 * vertices, 15.0)
    edges = fine[finer] - fine[np.roll(finer, 1, axis=1)]
    assert np.linalg.norm(edges, axis=-1).max() <= 15.001
    np.testing.assert_allclose(values, 2 * fine, atol=1e-3)

    def volume(points, corners):
        return np.linalg.det(points[corners].astype(float)).sum() / 6

    np.testing.assert_allclose(volume(fine, finer), volume(vertices, triangles), rtol=1e-5)


def test_without_opengl_is_one_line(monkeypatch):
    import ctypes

    from tools.rendered import makehuman, stage

    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(makehuman.NotInstalled, match="apt-get install libegl1 libgl1-mesa-dri$"):
        stage.Stage(64)


@needs_data
def test_person_is_drawn_at_the_landmarks(stage):
    """By the very functions that draw the dataset."""
    from tools.rendered import plan
    from tools.rendered.look import Mesh
    from tools.rendered.subjects import STYLES

    settings = {"seed": 3, "size": SIZE}
    body, mesh = plan.body("S6"), Mesh(plan.body("S6"), STYLES["S6"])
    job = next(job for job in plan.assign() if job["kind"] == "walk" and job["subject"] == "S6")
    posed, _ = plan.motion(settings, job)
    for camera in plan.subject_cameras(settings, "S6").values():
        vertices = body.skin(posed.rotations[4], posed.heads[4], mesh.vertices, mesh.weights)
        cover = _show(stage, camera, vertices, mesh.triangles).cover
        points = perspective(posed.landmarks[4], *camera)
        for name in ("hip", "left knee", "right knee", "left elbow", "spine", "neck"):
            x, y = np.round(points[INDEX[name]]).astype(int)
            assert cover[y, x] == 1, name
        # The silhouette ends where the projected mesh ends, to a fraction of a pixel, or where the
        # image ends.
        edge = perspective(vertices[np.unique(mesh.triangles)], *camera)
        rows = np.flatnonzero((cover > 0).any(axis=1))
        lowest = min(edge[:, 1].max(), len(cover) - 1)
        assert abs(rows[0] - edge[:, 1].min()) < 1 and abs(rows[-1] - lowest) < 1
        # The top of the skull is under at most some hair.
        assert 0 <= points[INDEX["head top"], 1] - edge[:, 1].min() < 6
