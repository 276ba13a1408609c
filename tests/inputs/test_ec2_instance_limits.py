"""The file of instance limits, the command that writes it, and the model it is asked with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from exporter.aws.service_model import ModelLoader
from exporter.core.model import InstanceType
from exporter.inputs.ec2 import types_on_file
from exporter.inputs.ec2.instance_types import read_types, write_types
from exporter.inputs.ec2.operations import OPERATIONS
from tests.inputs.aws_answers import aws
from tests.inputs.ec2_answers import FakeEc2, error, instance_type, serving

__all__ = ["aws"]

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "instance_limits.py"

# Of the tables in amazon-vpc-cni-k8s: ENIs of the default card, addresses of each, cards.
KNOWN = {
    "t3.nano": (2, 2, 1),
    "t3.small": (3, 4, 1),
    "t3.medium": (3, 6, 1),
    "m5.large": (3, 10, 1),
    "m5.xlarge": (4, 15, 1),
    "m4.4xlarge": (8, 30, 1),
    "c5.4xlarge": (8, 30, 1),
    "p3dn.24xlarge": (15, 50, 1),
    "c6in.32xlarge": (8, 50, 2),
    "p4d.24xlarge": (15, 50, 4),
    "p5.48xlarge": (2, 50, 32),
    "p5en.48xlarge": (4, 50, 16),
    "trn1.32xlarge": (5, 50, 8),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_file_has_the_figures_that_the_cni_has(name: str) -> None:
    it = types_on_file()[name]
    assert (it.enis, it.ipv4_per_eni, it.network_cards) == KNOWN[name]


@pytest.mark.parametrize(
    ("name", "prefixes", "attachment_limit"),
    [
        ("m5.large", True, 28),
        ("m4.large", False, 41),
        ("c5.metal", True, 32),
        ("m7i.large", True, None),
    ],
)
def test_the_file_tells_prefixes_and_shared_limits(
    name: str, prefixes: bool, attachment_limit: int | None
) -> None:
    it = types_on_file()[name]
    assert (it.prefixes, it.attachment_limit) == (prefixes, attachment_limit)


def test_the_file_is_one_line_a_type_in_order() -> None:
    text = (ROOT / "exporter/inputs/data/instance_limits.csv").read_text(encoding="utf-8")
    assert text == "\n".join([*write_types(types_on_file().values()), ""])
    assert len(types_on_file()) > 1_300


def test_what_is_written_is_read_again() -> None:
    types = [
        InstanceType(name="a.metal", enis=1, ipv4_per_eni=2, vcpus=3, bare_metal=True),
        InstanceType(
            name="b.large",
            enis=4,
            ipv4_per_eni=5,
            vcpus=6,
            network_cards=7,
            hypervisor="nitro",
            attachment_limit=8,
        ),
    ]
    assert list(read_types(write_types(reversed(types)))) == types


def run(ec2: FakeEc2, file: Path, aws: pytest.MonkeyPatch) -> tuple[int, str]:
    aws.setenv("AWS_ENDPOINT_URL", ec2.url)
    aws.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, str(SCRIPT), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_the_file_is_written_from_what_ec2_says(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ec2 = FakeEc2(types=[instance_type(f"m5.{number}") for number in range(3)], page_size=2)
    file = tmp_path / "limits.csv"
    with serving(ec2):
        assert run(ec2, file, aws) == (0, "3 types\n")
    assert file.read_text() == (
        "name,enis,ipv4_per_eni,vcpus,network_cards,hypervisor,bare_metal,attachment_limit\n"
        "m5.0,3,10,2,1,nitro,,28\n"
        "m5.1,3,10,2,1,nitro,,28\n"
        "m5.2,3,10,2,1,nitro,,28\n"
    )
    assert ec2.asked[0][1]["IncludeUnsupportedInRegion"] == "true"


def test_the_file_stays_where_ec2_refuses(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ec2 = FakeEc2(always={"DescribeInstanceTypes": error("UnauthorizedOperation", 403)})
    file = tmp_path / "limits.csv"
    with serving(ec2):
        code, told = run(ec2, file, aws)
    assert (code, file.exists()) == (1, False)
    assert told == "ec2: DescribeInstanceTypes is not allowed (UnauthorizedOperation)\n"


def loaders() -> tuple[Any, Any]:
    """botocore's way of loading models, and ours."""
    theirs = botocore.session.get_session().get_component("data_loader")
    ours = botocore.session.get_session().get_component("data_loader")
    models = ModelLoader()
    models.limit("ec2", OPERATIONS)
    ours.file_loader = models
    return theirs, ours


def test_the_model_of_ec2_is_the_part_that_is_used() -> None:
    whole, part = (it.load_service_model("ec2", "service-2") for it in loaders())
    assert part == {
        "metadata": whole["metadata"],
        "operations": {name: whole["operations"][name] for name in OPERATIONS},
        "shapes": {name: whole["shapes"][name] for name in part["shapes"]},
    }
    assert len(part["shapes"]) < len(whole["shapes"]) / 10


def test_other_models_are_read_as_botocore_reads_them() -> None:
    theirs, ours = (it.load_service_model("sts", "service-2") for it in loaders())
    assert ours == theirs
