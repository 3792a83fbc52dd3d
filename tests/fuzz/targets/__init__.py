"""What is tried: for each reader a good file, and how it is read."""

from tests.fuzz.targets import (
    cameras,
    evaluation,
    human36m,
    landmarks,
    models,
    motion,
    people,
    pictures,
    training,
)

TARGETS = (
    *motion.TARGETS,
    *models.TARGETS,
    *landmarks.TARGETS,
    *cameras.TARGETS,
    *people.TARGETS,
    *human36m.TARGETS,
    *evaluation.TARGETS,
    *training.TARGETS,
    *pictures.TARGETS,
)
