"""How many more pods and nodes fit, and what stops the next pod."""

from exporter.core.headroom.fresh import FreshNode, nodes_that_fit
from exporter.core.headroom.sharing import Headrooms, headrooms
from exporter.core.headroom.values import FreeSpace, Headroom, Limit, NodeRoom

__all__ = [
    "FreeSpace",
    "FreshNode",
    "Headroom",
    "Headrooms",
    "Limit",
    "NodeRoom",
    "headrooms",
    "nodes_that_fit",
]
