"""Draw a posed person in a room with VTK: no display, and Mesa's OpenGL needs no graphics card.

One window has two parts, drawn by the same camera: the picture, in several samples per pixel, and
the shadow on the floor. The room does not move, so it is drawn once and then is a background.
"""

import ctypes
import os
from typing import NamedTuple

import cv2
import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import (
    vtkFloatArray,
    vtkLogger,
    vtkPoints,
    vtkUnsignedCharArray,
)
from vtkmodules.vtkCommonDataModel import (
    vtkCellArray,
    vtkImageData,
    vtkPlane,
    vtkPlaneCollection,
    vtkPolyData,
)
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkFiltersModeling import vtkAdaptiveSubdivisionFilter
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkCamera,
    vtkLight,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkTexture,
)
from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow

from tools.rendered.makehuman import NotInstalled

SUPERSAMPLE = 2  # samples per pixel and axis
NEAR_MM, FAR_MM = 100.0, 30000.0  # only what is between is drawn; rooms are smaller
SHADOW_MM = 2.0  # the floor's shadow is drawn so high above it
SHADOW_BLUR = 1.2  # standard deviation of the shadow's edge, px
SKY_SHARE = 0.25  # of the light from all around, what comes straight from above


class Light(NamedTuple):
    """direction (3,): unit, towards the light; colour (3,) of its light; soft: strength of the
    light from all around, 1 is white on white."""

    direction: np.ndarray
    colour: np.ndarray
    soft: float


class Panel(NamedTuple):
    """A textured rectangle: corners (4, 3) mm, in turn; texture (h, w, 3) 0 .. 1, RGB; where (4, 2)
    in it, across and down, the corners are. It covers 0 .. 1 and is mirrored beyond."""

    corners: np.ndarray
    texture: np.ndarray
    where: np.ndarray


class Backdrop(NamedTuple):
    """What is behind the person: a room of panels, a list of Panel, and half (2,) of its floor's
    sides along x and z, mm; or a picture (h, w, 3) 0 .. 1, without a floor."""

    panels: list | None = None
    half: tuple | None = None
    picture: np.ndarray | None = None


class Drawing(NamedTuple):
    """colour (h, w, 3) 0 .. 1, RGB; cover (h, w) 0 .. 1, of the person; depth (h, w) mm along the
    optical axis, FAR_MM where there is nobody."""

    colour: np.ndarray
    cover: np.ndarray
    depth: np.ndarray


class Stage:
    """The window, for square images of `size` px. One for each process, made in the process that
    uses it. Raises NotInstalled where there is no OpenGL."""

    def __init__(self, size):
        self._size, self._fine = size, SUPERSAMPLE * size
        self._window = _window(self._fine + size, self._fine)
        self._camera = vtkCamera()
        share = self._fine / (self._fine + size)
        self._picture = self._renderer(0, 0, share, 1)
        shadows = self._renderer(share, 0, 1, 1 / SUPERSAMPLE)
        self._sun, self._sky = vtkLight(), vtkLight()
        self._sky.SetPosition(0, 1, 0)
        for light in (self._sun, self._sky):  # directional, from the position to the origin
            light.SetLightTypeToSceneLight()
            self._picture.AddLight(light)
        self._mesh = vtkPolyData()
        self._person, self._shadow = _actor(self._mesh), _actor(self._mesh)
        self._person.GetProperty().BackfaceCullingOn()
        self._picture.AddActor(self._person)
        self._shadow.GetMapper().ScalarVisibilityOff()  # white
        self._shadow.GetProperty().LightingOff()
        shadows.AddActor(self._shadow)
        self._loss = 0.0

    def _renderer(self, *viewport):
        renderer = vtkRenderer()
        renderer.SetViewport(*viewport)
        renderer.AutomaticLightCreationOff()
        renderer.SetActiveCamera(self._camera)
        self._window.AddRenderer(renderer)
        return renderer

    def set(self, camera, backdrop, light):
        """Draw with this cameras.Camera, Backdrop and Light from now on."""
        backdrop = self.pictured(camera, backdrop)
        self._picture.TexturedBackgroundOn()
        background = _texture(backdrop.picture)
        background.MipmapOff()  # its size is the window's
        self._picture.SetBackgroundTexture(background)
        self._sun.SetPosition(light.direction)
        self._sun.SetColor(light.colour)
        self._sky.SetColor([SKY_SHARE * light.soft] * 3)
        self._person.GetProperty().SetAmbient((1 - SKY_SHARE) * light.soft)
        self._set_shadow(backdrop.half, light)

    def pictured(self, camera, backdrop):
        """The Backdrop with its picture by a cameras.Camera, which `set` need not draw again."""
        _set_camera(self._camera, camera, self._size)
        if backdrop.picture is not None:
            return backdrop
        return backdrop._replace(picture=self._empty(backdrop.panels))

    def _empty(self, panels):
        """The picture of the panels without the person."""
        actors = [_panel(panel) for panel in panels]
        self._picture.TexturedBackgroundOff()
        for actor in actors:
            self._picture.AddActor(actor)
        for actor in (self._person, self._shadow):
            actor.VisibilityOff()
        pixels = self._pixels()[:, : self._fine] / np.float32(255)
        for actor in actors:
            self._picture.RemoveActor(actor)
        self._person.VisibilityOn()
        return pixels

    def _pixels(self):
        """Render; what the window shows (h, w, 3) uint8, RGB."""
        self._window.Render()
        width, height = self._window.GetSize()
        pixels = vtkUnsignedCharArray()
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, pixels)
        # OpenGL's first row is the lowest.
        return vtk_to_numpy(pixels).reshape(height, width, 4)[::-1, :, :3]

    def _set_shadow(self, half, light):
        self._shadow.SetVisibility(half is not None)
        if half is None:
            return
        # What the floor loses in the shadow: the sun's part of all that falls on it.
        sun = light.colour.mean() * light.direction[1]
        self._loss = sun / (sun + light.soft)
        # Along the light down to the floor.
        flat = np.eye(4)
        flat[:3, 1] = -light.direction / light.direction[1]
        flat[1, 1], flat[1, 3] = 0, SHADOW_MM
        self._shadow.SetUserMatrix(_matrix(flat))
        walls = vtkPlaneCollection()
        for axis, distance in zip((0, 2), half, strict=True):
            for sign in (-1, 1):
                wall = vtkPlane()
                inwards = np.eye(3)[axis] * -sign
                wall.SetOrigin(-distance * inwards)
                wall.SetNormal(inwards)
                walls.AddItem(wall)
        self._shadow.GetMapper().SetClippingPlanes(walls)

    def dress(self, triangles, colours):
        """The person's mesh: triangles (T, 3), anticlockwise seen from outside, and the colour
        (n, 3), 0 .. 1, of each vertex."""
        self._mesh.SetPolys(_cells(triangles))
        self._mesh.GetPointData().SetScalars(_array(_bytes(colours)))

    def draw(self, vertices, normals):
        """The Drawing of the person with vertices at (n, 3) mm, world, and unit normals (n, 3)."""
        points = vtkPoints()
        points.SetData(_array(vertices))
        self._mesh.SetPoints(points)
        self._mesh.GetPointData().SetNormals(_array(normals))
        pixels, fine, size = self._pixels(), self._fine, self._size
        picture = _shrink(pixels[:, :fine], size)
        depth = vtkFloatArray()
        self._window.GetZbufferData(0, 0, fine - 1, fine - 1, depth)
        depth = vtk_to_numpy(depth).reshape(fine, fine)[::-1]
        cover = _shrink(np.where(depth < 1, np.uint8(255), np.uint8(0)), size)
        if self._shadow.GetVisibility():
            shadow = pixels[-size:, fine:, 0] / np.float32(255)
            shadow = cv2.GaussianBlur(shadow, (0, 0), SHADOW_BLUR) * (1 - cover)
            picture *= 1 - np.float32(self._loss) * shadow[..., None]
        each = range(SUPERSAMPLE)
        nearest = np.minimum.reduce(
            [depth[i::SUPERSAMPLE, j::SUPERSAMPLE] for i in each for j in each]
        )
        nearest = NEAR_MM * FAR_MM / (FAR_MM - nearest * (FAR_MM - NEAR_MM))
        return Drawing(picture, cover, nearest)


def refine(vertices, triangles, attributes, longest):
    """Split triangles until no edge is longer than `longest`, mm.

    vertices (n, 3), triangles (T, 3), attributes (n, C): whatever else a vertex has, interpolated.
    Returns the three of the finer mesh, float32, int and float32.
    """
    mesh, points = vtkPolyData(), vtkPoints()
    points.SetData(_array(vertices))
    mesh.SetPoints(points)
    mesh.SetPolys(_cells(triangles))
    values = _array(attributes)
    values.SetName("attributes")
    mesh.GetPointData().AddArray(values)
    split = vtkAdaptiveSubdivisionFilter()
    split.SetInputData(mesh)
    split.SetMaximumEdgeLength(longest)
    split.SetMaximumTriangleArea(longest**2)
    split.Update()
    fine = split.GetOutput()
    return (
        vtk_to_numpy(fine.GetPoints().GetData()).copy(),
        vtk_to_numpy(fine.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(int),
        vtk_to_numpy(fine.GetPointData().GetArray("attributes")).copy(),
    )


def _window(width, height):
    missing = NotInstalled(
        "OpenGL: not found; expected EGL and Mesa's drivers for VTK: "
        "apt-get install libegl1 libgl1-mesa-dri"
    )
    os.environ.setdefault("EGL_LOG_LEVEL", "fatal")
    try:
        ctypes.CDLL("libEGL.so.1")  # VTK itself would fill the screen, or end the process
    except OSError:
        raise missing from None
    window = vtkEGLRenderWindow()
    window.SetMultiSamples(0)
    window.SetFrameBlitModeToNoBlit()  # nobody looks at it: spares a copy
    window.SetSize(width, height)
    verbosity = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)  # we say it in one line
    window.Initialize()
    vtkLogger.SetStderrVerbosity(verbosity)
    if not window.GetInitialized():
        raise missing
    return window


def _set_camera(drawing_camera, camera, size):
    """Give a vtkCamera the place and intrinsics of a cameras.Camera."""
    right, down, forward = camera.rotation
    drawing_camera.SetPosition(camera.position)
    drawing_camera.SetFocalPoint(camera.position + 1000 * forward)
    drawing_camera.SetViewUp(-down)
    # OpenGL's image goes from -1 to 1 between the outer edges of the outer pixels, whose centres
    # are at 0 and size - 1; its y points up, and its camera looks along -z.
    (focal_x, skew, x), (_, focal_y, y), _ = camera.intrinsics
    depth = FAR_MM - NEAR_MM
    projection = np.array(
        [
            [2 * focal_x / size, -2 * skew / size, 1 - (2 * x + 1) / size, 0],
            [0, 2 * focal_y / size, (2 * y + 1) / size - 1, 0],
            [0, 0, -(FAR_MM + NEAR_MM) / depth, -2 * FAR_MM * NEAR_MM / depth],
            [0, 0, -1, 0],
        ]
    )
    drawing_camera.SetExplicitProjectionTransformMatrix(_matrix(projection))
    drawing_camera.UseExplicitProjectionTransformMatrixOn()
    drawing_camera.SetClippingRange(NEAR_MM, FAR_MM)


def _panel(panel):
    """The actor of a Panel."""
    mesh, points = vtkPolyData(), vtkPoints()
    points.SetData(_array(np.asarray(panel.corners, dtype=np.float32)))
    mesh.SetPoints(points)
    mesh.SetPolys(_cells(np.array([[0, 1, 2], [0, 2, 3]])))
    across, down = np.asarray(panel.where, dtype=np.float32).T
    mesh.GetPointData().SetTCoords(_array(np.stack([across, 1 - down], axis=1)))
    actor = _actor(mesh)
    actor.SetTexture(_texture(panel.texture))
    actor.GetProperty().LightingOff()
    return actor


def _actor(mesh):
    actor, mapper = vtkActor(), vtkPolyDataMapper()
    mapper.SetInputData(mesh)
    actor.SetMapper(mapper)
    return actor


def _texture(image):
    texture, data = vtkTexture(), vtkImageData()
    height, width = image.shape[:2]
    data.SetDimensions(width, height, 1)
    data.GetPointData().SetScalars(_array(_bytes(image[::-1].reshape(-1, 3))))
    texture.SetInputData(data)
    texture.InterpolateOn()
    texture.MipmapOn()
    texture.SetMaximumAnisotropicFiltering(1)  # slow in software
    texture.SetWrap(vtkTexture.MirroredRepeat)
    return texture


def _shrink(image, size):
    """Mean over the samples of uint8 pixels: float32 0 .. 1."""
    small = cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=cv2.INTER_AREA)
    return small / np.float32(255)


def _cells(triangles):
    cells = vtkCellArray()
    cells.SetData(3, _array(triangles.ravel().astype(np.int64)))
    return cells


def _matrix(values):
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(values.ravel())
    return matrix


def _bytes(colours):
    return np.round(255 * np.clip(colours, 0, 1)).astype(np.uint8)


def _array(values):
    """A copy of the values, whose memory is VTK's own."""
    return numpy_to_vtk(np.ascontiguousarray(values), deep=True)
