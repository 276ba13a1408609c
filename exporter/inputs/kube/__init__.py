"""The door to Kubernetes: what should be read, and the pod proxy as a way to read it.

The only place that knows the Kubernetes client; it lends its configuration, while requests, watches
and decoding are our own (ADR 5).
"""

from exporter.inputs.kube.collection import SourceState
from exporter.inputs.kube.config import KubeConfig, Timing
from exporter.inputs.kube.discovery import Kube, connect

__all__ = ["Kube", "KubeConfig", "SourceState", "Timing", "connect"]
