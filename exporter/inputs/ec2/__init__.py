"""The door to EC2: subnets with their reservations, ENIs, and what instance types allow.

The only place that calls EC2, and that knows how boto3's engine is opened and what it raises.
"""

from exporter.inputs.ec2.config import Ec2Config
from exporter.inputs.ec2.counts import Requests
from exporter.inputs.ec2.door import Ec2
from exporter.inputs.ec2.instance_types import types_on_file

__all__ = ["Ec2", "Ec2Config", "Requests", "types_on_file"]
