"""From the original files of public data sets to one packed file: python -m tools.convert."""
