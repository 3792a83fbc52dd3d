"""What several of these tests use."""

from tests.tools.lift.detector import detector  # noqa: F401
