"""The door to EC2: subnets with their reservations, ENIs, and what instance types allow.

The only place that calls EC2.
"""

from exporter.inputs.ec2.door import Ec2
from exporter.inputs.ec2.instance_types import types_on_file

__all__ = ["Ec2", "types_on_file"]
