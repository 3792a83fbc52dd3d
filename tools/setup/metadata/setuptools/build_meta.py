"""A build backend that reads the metadata in a source archive instead of running its setup.py."""

import email
from pathlib import Path


class __legacy__:  # the name that pip asks for where there is no pyproject.toml
    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        text = Path("PKG-INFO").read_text()
        fields = email.message_from_string(text)
        name = fields["Name"].replace("-", "_")
        folder = Path(metadata_directory, f"{name}-{fields['Version']}.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text(text)
        return folder.name
