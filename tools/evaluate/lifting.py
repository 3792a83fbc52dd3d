"""Lifts landmarks of images whose cameras are known, for all that is compared with a truth."""

import dataclasses

import numpy as np

import prior
from prior.camera import toward
from prior.lifting.lifter import AS_PUBLISHED
from python_layers.data.lens import undistorted


class LandmarkLifter:
    """Lifts with a model, in full perspective; as_published: by weak perspective in cameras turned
    toward the people, with all landmarks alike, and otherwise to the letter of section 5.3."""

    def __init__(self, model, as_published=False):
        self.as_published = as_published
        self.lifter = prior.Lifter(model, **AS_PUBLISHED if as_published else {})

    def lift(
        self, points, rotations, intrinsics, distortions=None, *, confidence=None, covariance=None
    ):
        """The Lifted of landmarks (M, L, 2), px of the original images, NaN where missing.

        rotations (M, 3, 3), world to camera; intrinsics (M, 3, 3), px, NaN where they are not
        known: without all of them, weak perspective is taken; distortions (M, 14), OpenCV's, which
        are taken off, but as published; covariance (M, L, 2, 2), px^2, of the landmarks' noise.
        Nothing of the truth is used when the landmarks are predicted. Of a skeleton without a
        vertical too the poses are in the world's axes, as its camera is found.
        """
        if distortions is not None and not self.as_published:
            points = undistorted(points, intrinsics, distortions)
        cameras, known = rotations, {"intrinsics": intrinsics, "covariance": covariance}
        if self.as_published or not np.isfinite(intrinsics).all():
            cameras = cameras_toward(points, rotations, intrinsics)
            known = {} if self.as_published else {"covariance": covariance}
        known["confidence"] = confidence
        if self.lifter.model.skeleton.vertical:
            return self.lifter.lift(points, camera=cameras, **known)
        lifted = self.lifter.lift(points, **known)
        pose = np.einsum("nba,nbc,nlc->nla", cameras, lifted.camera, lifted.pose)
        return dataclasses.replace(lifted, pose=pose)


def cameras_toward(points, rotations, intrinsics):
    """The cameras (M, 3, 3) turned toward people at landmarks (M, L, 2) px, NaN where missing; as
    they are where the intrinsics are NaN, not known.

    Weak perspective holds about the ray to the person (prior.camera.toward).
    """
    there = np.isfinite(points).all(axis=2, keepdims=True)
    count = np.maximum(there.sum(axis=1), 1)
    centres = np.where(there, points, 0).sum(axis=1) / count
    known = np.isfinite(intrinsics).all(axis=(1, 2)) & there.any(axis=(1, 2))
    cameras = rotations.copy()
    cameras[known] = toward(rotations[known], intrinsics[known], centres[known])
    return cameras
