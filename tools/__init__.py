"""Programs that people run, a folder for each job."""

from prior import program

program.still_imports(__name__)
