"""Section 5.3: from 2D landmarks to 3D poses. Read reference.py first."""
