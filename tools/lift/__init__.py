"""2D landmarks of other programs in, 3D poses out: files, cameras, tracks, drawings, the viewer."""
