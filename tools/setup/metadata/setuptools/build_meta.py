"""A build backend that reads the metadata in a source archive instead of running its setup.py."""

import shutil
from pathlib import Path


class __legacy__:  # the name that pip asks for where there is no pyproject.toml
    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        folder = Path(metadata_directory, "archive.dist-info")
        folder.mkdir()
        shutil.copy("PKG-INFO", folder / "METADATA")
        return folder.name
