"""A simulated EKS cluster on loopback: Kubernetes API, aws-node pods, faults, and its own books.

The real exporter is run against it in tests, demo and benchmarks; it shares no code with it.
"""

from exporter.sim.options import Options
from exporter.sim.simulation import Simulation

__all__ = ["Options", "Simulation"]
