"""Writes exporter/inputs/data/instance_limits.csv, as EC2's DescribeInstanceTypes tells it.

    python scripts/instance_limits.py [FILE]

asks the EC2 that botocore's variables name (region, credentials, AWS_ENDPOINT_URL). EC2 tells one
region's types and those it knows of others; a moto server knows those of all regions:

    moto_server -p 5000 &
    AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_REGION=us-east-1 \\
        AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any python scripts/instance_limits.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from exporter.aws import Account, AwsConfig, UnderWay
from exporter.core.model import Unavailable
from exporter.inputs.ec2.calls import Calls
from exporter.inputs.ec2.instance_types import OPERATION, instance_types, write_types

FILE = Path(__file__).parents[1] / "exporter" / "inputs" / "data" / "instance_limits.csv"


def main() -> int:
    """Write the file whole, or leave it as it was."""
    calls = Calls(Account(AwsConfig()))
    try:
        pages = calls.pages(UnderWay(), OPERATION, IncludeUnsupportedInRegion=True)
        types = [it for page in pages for it in instance_types(page)]
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        calls.close()
    file = Path(sys.argv[1]) if sys.argv[1:] else FILE
    file.write_text("\n".join([*write_types(types), ""]), encoding="utf-8")
    print(f"{len(types)} types", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
