"""Builds the parts from the settings, runs them until told to stop, and stops them."""

from exporter.app.aws import Aws
from exporter.app.front import split_address
from exporter.app.running import Identified, run, selection

__all__ = ["Aws", "Identified", "run", "selection", "split_address"]
