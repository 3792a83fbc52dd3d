"""Stands in for setuptools while fetch.sh downloads: see there."""
