"""What is asked of EC2."""

SYSTEM = "ec2"
OPERATIONS = (
    "DescribeInstanceTypes",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
    "GetSubnetCidrReservations",
)
