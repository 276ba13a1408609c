"""How AWS is asked: as whom, one client a service, errors in our words, requests counted.

What is asked of a service and what its answers mean is the business of that service's door.
"""

from exporter.aws.account import Account, AwsConfig, Use
from exporter.aws.client import Service
from exporter.aws.counts import Requests
from exporter.aws.threads import Threads, UnderWay

__all__ = ["Account", "AwsConfig", "Requests", "Service", "Threads", "UnderWay", "Use"]
