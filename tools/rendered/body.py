"""One person: a shaped MakeHuman body on its rig, posed by linear blend skinning."""

import numpy as np

from prior.skeleton import LANDMARKS
from tools.rendered import makehuman

# The landmarks that are joints of the rig: landmark -> bone whose head it is. "spine" is the
# middle one of the rig's joints between hips and neck, where Human3.6M has its spine.
LANDMARK_BONES = {
    "right hip": "RightUpLeg",
    "right knee": "RightLeg",
    "right foot": "RightFoot",
    "left hip": "LeftUpLeg",
    "left knee": "LeftLeg",
    "left foot": "LeftFoot",
    "spine": "Spine",
    "left shoulder": "LeftArm",
    "left elbow": "LeftForeArm",
    "left wrist": "LeftHand",
    "right shoulder": "RightArm",
    "right elbow": "RightForeArm",
    "right wrist": "RightHand",
}
# Vertices of base.obj that are landmarks: the tip of the nose and the top of the skull. They move
# with the head alone.
LANDMARK_VERTICES = {"nose": 297, "head top": 881}
BODY_VERTICES = 13380  # base.obj: the body comes first, then helpers and the cubes of joints
CONTACT_STRIDE = 7  # every 7th vertex is enough for the height of the body's lowest point


class Body:
    """A person of one shape.

    Attributes: vertices (V, 3) at rest, mm, y up, facing +z, the soles at y = 0; heads and tails
    (B, 3) of the bones at rest; bones, parents, weights (V, B) as in makehuman.Template.
    """

    def __init__(self, shape):
        """shape: keyword arguments of makehuman.shape."""
        template = makehuman.template()
        self.vertices = makehuman.shape(**shape)
        self.vertices[:, 1] -= self.vertices[:BODY_VERTICES, 1].min()
        self.heads = np.array([self.vertices[index].mean(axis=0) for index in template.heads])
        self.tails = np.array([self.vertices[index].mean(axis=0) for index in template.tails])
        self.bones, self.parents = template.bones, template.parents
        self.weights = template.weights.astype(np.float32)
        self.bone = {name: i for i, name in enumerate(self.bones)}
        self._contact = np.arange(0, BODY_VERTICES, CONTACT_STRIDE)
        self._contact_bone = self.weights[self._contact].argmax(axis=1)

    @property
    def hip_centre(self):
        """Midpoint of the hip joints at rest, (3,) mm."""
        return (self.heads[self.bone["LeftUpLeg"]] + self.heads[self.bone["RightUpLeg"]]) / 2

    @property
    def leg_length(self):
        """Hip to knee to ankle, mm."""
        hip, knee, ankle = (self.heads[self.bone[b]] for b in ("LeftUpLeg", "LeftLeg", "LeftFoot"))
        return np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)

    def joints(self, rotations, hips):
        """Posed heads of the bones.

        rotations: (F, B, 3, 3), world, of each bone from its rest; hips: (F, 3) mm, where the
        midpoint of the hip joints goes. Returns (F, B, 3) mm.
        """
        heads = np.empty(rotations.shape[:-1])
        for b, parent in enumerate(self.parents):
            if parent < 0:
                heads[:, b] = hips + rotations[:, b] @ (self.heads[b] - self.hip_centre)
            else:
                offset = self.heads[b] - self.heads[parent]
                heads[:, b] = heads[:, parent] + rotations[:, parent] @ offset
        return heads

    def landmarks(self, rotations, heads):
        """The 17 landmarks (F, 17, 3), mm, of bones at those rotations and posed heads."""
        points = {name: heads[:, self.bone[bone]] for name, bone in LANDMARK_BONES.items()}
        points["hip"] = (points["left hip"] + points["right hip"]) / 2
        # Halfway from the line of the shoulders to the joint where the neck begins.
        shoulders = (points["left shoulder"] + points["right shoulder"]) / 2
        points["neck"] = (shoulders + heads[:, self.bone["Neck"]]) / 2
        head = self.bone["Head"]
        for name, vertex in LANDMARK_VERTICES.items():
            offset = self.vertices[vertex] - self.heads[head]
            points[name] = heads[:, head] + rotations[:, head] @ offset
        return np.stack([points[name] for name in LANDMARKS], axis=1)

    def lowest(self, rotations, heads):
        """Height (F,) of the body's lowest point, mm; each point moved with its main bone."""
        offsets = self.vertices[self._contact] - self.heads[self._contact_bone]
        up = rotations[:, :, 1, :]
        heights = np.einsum("fsi,si->fs", up[:, self._contact_bone], offsets)
        return (heights + heads[:, self._contact_bone, 1]).min(axis=1)

    def skin(self, rotations, heads, vertices, weights):
        """Posed vertices (n, 3) float32 of one frame: linear blend skinning.

        rotations (B, 3, 3), heads (B, 3): the frame's; vertices (n, 3) at rest; weights (n, B).
        """
        offsets = heads - np.einsum("bij,bj->bi", rotations, self.heads)
        transforms = np.concatenate([rotations, offsets[..., None]], axis=2).reshape(-1, 12)
        blended = (weights @ transforms.astype(np.float32)).reshape(-1, 3, 4)
        return np.einsum("nij,nj->ni", blended[..., :3], vertices) + blended[..., 3]
