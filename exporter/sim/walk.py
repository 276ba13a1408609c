"""Moves one ipamd's counts by a seeded random walk, as half a minute of an ordinary cluster would.

Totals never fall below what is assigned, ENIs stay within the type's limit, and the counters that
such movement would leave behind are counted.
"""

import random

from exporter.sim.ipamd import Eni, Ipamd, size

_READS = "GetMetadata"
_PER_CIDR_SERIES = 200
_REFUSALS = (
    ("AssignPrivateIpAddresses", "InsufficientCidrBlocks"),
    ("AssignPrivateIpAddresses", "PrivateIpAddressLimitExceeded"),
    ("CreateNetworkInterface", "InsufficientFreeAddressesInSubnet"),
    ("CreateNetworkInterface", "RequestLimitExceeded"),
    ("AttachNetworkInterface", "AttachmentLimitExceeded"),
    ("AttachNetworkInterface", "SimulatedUnheardOfError"),
)
_ROUTINE = ("DescribeNetworkInterfaces", "DescribeInstances", "ModifyNetworkInterfaceAttribute")


def settle(ipamd: Ipamd, rng: random.Random, *, trunk: bool) -> None:
    """Give a new ipamd its ENIs and a number of pods."""
    ipamd.enis.append(Eni(_eni_id(rng)))
    if trunk:
        ipamd.enis.append(Eni(_eni_id(rng), trunk=True))
    _hold(ipamd, rng, pods=rng.randint(1, min(_most_pods(ipamd) * 2 // 3, 90)))


def remember(ipamd: Ipamd, rng: random.Random) -> None:
    """Give a new ipamd the counters of a life of some days, and CIDRs that it once had."""
    gauges = ipamd.gauges()
    calls = rng.randint(50, 5000)
    ipamd.count("awscni_add_ip_req_count", calls + gauges.assigned)
    ipamd.count("awscni_del_ip_req_count", calls, reason="PodDeleted")
    ipamd.count("awscni_ipamd_error_count", rng.randint(1, 9), fn="decreaseIPPool")
    ipamd.count("awscni_reconcile_count", calls * 30, fn="eniDataStorePoolReconcileAdd")
    for api in ("AssignPrivateIpAddresses", "CreateNetworkInterface", *_ROUTINE):
        _call(ipamd, rng, api=api, times=rng.randint(3, 60))
    _metadata_reads(ipamd, rng, times=calls * 9)
    wanted = _PER_CIDR_SERIES - sum(len(eni.cidrs) for eni in ipamd.enis)
    ipamd.given_back = {_new_cidr(ipamd, rng) for _ in range(max(0, wanted))}


def live(ipamd: Ipamd, rng: random.Random) -> None:
    """Let some pods come and go, and let ipamd do and suffer what goes with it."""
    gauges = ipamd.gauges()
    came, went = rng.randint(0, 6), min(gauges.assigned, rng.randint(0, 6))
    pods = min(gauges.assigned - went + came, _most_pods(ipamd))
    refused = gauges.assigned - went + came - pods
    ipamd.count("awscni_add_ip_req_count", came)
    if refused:
        ipamd.count("awscni_no_available_ip_addresses", refused)
    if went:
        reason = "SetupNSFailed" if rng.random() < 0.05 else "PodDeleted"
        ipamd.count("awscni_del_ip_req_count", went, reason=reason)
    _hold(ipamd, rng, pods=pods)
    ipamd.cooling = min(went, _room(ipamd) - pods)
    _metadata_reads(ipamd, rng, times=9)
    ipamd.count("awscni_reconcile_count", len(ipamd.enis), fn="eniDataStorePoolReconcileAdd")
    if rng.random() < 0.15:
        _suffer(ipamd, rng)
    ipamd.touch()


def _suffer(ipamd: Ipamd, rng: random.Random) -> None:
    api, error = rng.choice(_REFUSALS)
    _refuse(ipamd, rng, api=api, error=error)
    troubles = (
        lambda: ipamd.count("awscni_ipamd_error_count", fn="increaseIPPoolAllocIPAddressesFailed"),
        lambda: ipamd.count("awscni_ipamd_error_count", fn="simulatedUnheardOfFunction"),
        lambda: ipamd.count("awscni_no_available_ip_addresses", rng.randint(1, 3)),
        lambda: ipamd.count("awscni_reconcile_count", fn="eniReconcileAdd"),
        lambda: ipamd.count("awscni_force_removed_ips", rng.randint(1, 3)),
        lambda: ipamd.count("awscni_force_removed_enis"),
        lambda: ipamd.count("awscni_pod_eni_error_count", fn="tryEnableSecurityGroupsForPods"),
        lambda: ipamd.count(
            "awscni_aws_utils_error_count",
            fn="simulatedUtilsFunction",
            error=f'operation error EC2: "RequestID: {rng.getrandbits(64):016x}"\nfailed',
        ),
    )
    rng.choice(troubles)()


def _refuse(ipamd: Ipamd, rng: random.Random, *, api: str, error: str) -> None:
    ipamd.count("awscni_aws_api_error_count", api=api, error=error)
    ipamd.count("awscni_ec2api_req_count", fn=api)
    ipamd.count("awscni_ec2api_error_count", fn=api)
    _latency(ipamd, rng, api=api, status=error)


def _call(ipamd: Ipamd, rng: random.Random, *, api: str, times: int) -> None:
    ipamd.count("awscni_ec2api_req_count", times, fn=api)
    labels = {"api": api, "error": "false", "status": "200"}
    ipamd.count("awscni_aws_api_latency_ms_sum", times * rng.randint(80, 900), **labels)
    ipamd.count("awscni_aws_api_latency_ms_count", times, **labels)


def _latency(ipamd: Ipamd, rng: random.Random, *, api: str, status: str) -> None:
    labels = {"api": api, "error": "true", "status": status}
    ipamd.count("awscni_aws_api_latency_ms_sum", rng.randint(80, 900), **labels)
    ipamd.count("awscni_aws_api_latency_ms_count", 1, **labels)


def _metadata_reads(ipamd: Ipamd, rng: random.Random, *, times: int) -> None:
    labels = {"api": _READS, "error": "false", "status": "200"}
    ipamd.count("awscni_aws_api_latency_ms_sum", times * rng.randint(1, 4), **labels)
    ipamd.count("awscni_aws_api_latency_ms_count", times, **labels)


def _hold(ipamd: Ipamd, rng: random.Random, *, pods: int) -> None:
    """Have room for so many pods and a spare CIDR, then seat them on the first addresses."""
    while _room(ipamd) <= pods and (eni := _free_slot(ipamd, rng)) is not None:
        api = "AssignPrivateIpAddresses" if eni.cidrs else "CreateNetworkInterface"
        _call(ipamd, rng, api=api, times=1)
        for _ in range(1 if ipamd.prefix else ipamd.slots):
            eni.cidrs[_new_cidr(ipamd, rng)] = 0
    for eni in ipamd.usable:
        for cidr in eni.cidrs:
            eni.cidrs[cidr] = min(pods, size(cidr))
            pods -= eni.cidrs[cidr]


def _free_slot(ipamd: Ipamd, rng: random.Random) -> Eni | None:
    for eni in ipamd.usable:
        if len(eni.cidrs) < ipamd.slots:
            return eni
    if len(ipamd.enis) >= ipamd.eni_max:
        return None
    ipamd.enis.append(Eni(_eni_id(rng)))
    return ipamd.enis[-1]


def _most_pods(ipamd: Ipamd) -> int:
    trunks = sum(eni.trunk for eni in ipamd.enis)
    return ipamd.ip_max // ipamd.eni_max * (ipamd.eni_max - trunks)


def _room(ipamd: Ipamd) -> int:
    return sum(size(cidr) for eni in ipamd.usable for cidr in eni.cidrs)


def _eni_id(rng: random.Random) -> str:
    return f"eni-{rng.getrandbits(68):017x}"


def _new_cidr(ipamd: Ipamd, rng: random.Random) -> str:
    second, third, fourth = rng.getrandbits(6), rng.getrandbits(8), rng.getrandbits(8)
    last = f"{fourth & 240}/28" if ipamd.prefix else f"{fourth}/32"
    return f"10.{second}.{third}.{last}"
