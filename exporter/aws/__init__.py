"""How AWS is asked: one service's client, its errors in our words, its requests counted.

What is asked of a service and what its answers mean is the business of that service's door.
"""

from exporter.aws.client import AwsConfig, Service
from exporter.aws.counts import Requests
from exporter.aws.threads import Threads

__all__ = ["AwsConfig", "Requests", "Service", "Threads"]
