"""ipamd's five-second loop as pure functions: the pool step, the reconcile and a start.

Time, choice and EC2's answers are arguments. Figures are those of ipamd v1.23.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.core.pool.choice import Choose, drawn
from exporter.core.pool.ec2 import (
    ENI_FULL,
    SUBNET_FULL,
    AssignPrivateIpAddresses,
    AttachNetworkInterface,
    CountedEc2,
    CreateNetworkInterface,
    DeleteNetworkInterface,
    DescribeNetworkInterfaces,
    DetachNetworkInterface,
    Ec2,
    Granted,
    ModifyNetworkInterfaceAttribute,
    Refused,
    UnassignPrivateIpAddresses,
)
from exporter.core.pool.settings import Rules
from exporter.core.pool.sizing import excess, is_low, is_needed, may_spare_eni, wanted
from exporter.core.pool.state import Cidr, Eni, Pool, Stray

# Seconds.
BACK_OFF = 120
SHRINK_SPACING = 30
ENI_MIN_AGE = 60
RECONCILE_INTERVAL = 60
READOPTION_AFTER = 60


@dataclass(frozen=True, slots=True)
class _Turn:
    rules: Rules
    now: float
    ec2: CountedEc2
    choose: Choose


def step(pool: Pool, rules: Rules, *, now: float, ec2: Ec2, choose: Choose) -> Pool:
    """Let ipamd see to its pool once, with at most one allocation; nothing to do returns `pool`."""
    if not rules.provisions:
        return pool
    turn = _Turn(rules, now, CountedEc2(ec2, pool.tally), choose)
    stock = pool.stock(rules.size)
    after = pool
    if is_low(stock, rules):
        after = _grow(pool, turn)
    elif excess(stock, rules) > 0 and now - pool.shrunk_at >= SHRINK_SPACING:
        after = _shrink(pool, turn)
    if may_spare_eni(stock, rules) and _may_move_enis(pool, rules):
        after = _spare_eni(after, turn)
    return _tallied(after, turn)


def reconcile(pool: Pool, rules: Rules, *, now: float) -> Pool:
    """Adopt what EC2 holds unknown to ipamd, once that last did something over 60 s ago.

    At once while a wanted trunk is missing. CIDRs given up 60 s ago or less stay out.
    """
    trunk_is_due = rules.wants_trunk and not pool.has_trunk
    if not rules.reconciles or (now - pool.acted_at <= RECONCILE_INTERVAL and not trunk_is_due):
        return pool
    known = tuple(_with_strays(eni, now) if eni.strays else eni for eni in pool.enis)
    adopted = tuple(_adopted(eni, now) for eni in pool.unadopted)
    return replace(pool, enis=(*known, *adopted), unadopted=(), acted_at=now)


def start(pool: Pool, rules: Rules, *, now: float, ec2: Ec2, choose: Choose) -> Pool:
    """Adopt all that is attached, as a starting ipamd does: ages, cooldowns and timers begin anew.

    Unused CIDRs of the other mode and on excluded ENIs are given back, then a low pool grows once.
    With custom networking ipamd does not start while the result has no addresses.
    """
    everything = tuple(_adopted(eni, now) for eni in (*pool.enis, *pool.unadopted))
    begun = Pool(
        enis=everything,
        unmanaged=pool.unmanaged,
        terminating=pool.terminating,
        unschedulable=pool.unschedulable,
        leaked=pool.leaked,
    )
    if not rules.provisions:
        return begun
    turn = _Turn(rules, now, CountedEc2(ec2, begun.tally), choose)
    for eni in everything:
        useless = [c for c in eni.cidrs if eni.excluded or c.size != rules.size]
        begun = begun.with_eni(_give_back(eni, _unused(useless), turn=turn))
    if is_low(begun.stock(rules.size), rules):
        begun = _grow(begun, turn)
    return _tallied(begun, turn)


def _tallied(pool: Pool, turn: _Turn) -> Pool:
    tally = turn.ec2.tally()
    return pool if tally is pool.tally else replace(pool, tally=tally)


def _may_move_enis(pool: Pool, rules: Rules) -> bool:
    return not pool.terminating and (not pool.unschedulable or rules.manages_unschedulable)


def _grow(pool: Pool, turn: _Turn) -> Pool:
    rules = turn.rules
    if not _may_move_enis(pool, rules) or turn.now - pool.backed_off_at <= BACK_OFF:
        return pool
    count = wanted(pool.stock(rules.size), rules)
    left = [eni for eni in pool.enis if _takes_cidrs(eni, rules)]
    while left:
        eni = turn.choose(left)
        left.remove(eni)
        answer = _cidrs_for(eni, min(count, rules.slots - len(eni.cidrs)), turn=turn)
        if isinstance(answer, Granted):
            grown = eni.with_cidrs(_new_cidrs(answer, rules))
            return replace(pool.with_eni(grown), acted_at=turn.now)
        # Subnet discovery may find another ENI, old or new, a subnet with room.
        if not (rules.subnet_discovery and answer.error in SUBNET_FULL):
            return _backed_off(pool, answer, turn=turn)
    if _has_room(pool, rules):
        return _with_new_eni(pool, min(count, rules.slots), turn=turn)
    return pool


def _takes_cidrs(eni: Eni, rules: Rules) -> bool:
    kept_free = eni.trunk or eni.excluded or (eni.primary and rules.custom_networking)
    return len(eni.cidrs) < rules.slots and not kept_free


def _has_room(pool: Pool, rules: Rules) -> bool:
    kept_for_trunk = rules.wants_trunk and not pool.has_trunk
    return len(pool.enis) < rules.max_enis - pool.unmanaged - kept_for_trunk


def _cidrs_for(eni: Eni, count: int, *, turn: _Turn) -> Granted | Refused:
    size = turn.rules.size
    answer = turn.ec2(AssignPrivateIpAddresses(eni.id, count, size))
    if isinstance(answer, Refused) and answer.error != ENI_FULL:
        answer = turn.ec2(AssignPrivateIpAddresses(eni.id, 1, size))
    if not isinstance(answer, Refused):
        return answer
    if answer.error != ENI_FULL:
        turn.ec2.failed("increaseIPPoolAllocIPAddressesFailed")
        return answer
    # The ENI holds more than ipamd knows of.
    answer = turn.ec2(DescribeNetworkInterfaces(eni.id, size))
    if isinstance(answer, Refused):
        turn.ec2.failed("increaseIPPoolGetENIaddressesFailed")
    return answer


def _with_new_eni(pool: Pool, count: int, *, turn: _Turn) -> Pool:
    made = turn.ec2(CreateNetworkInterface(count, turn.rules.size))
    if isinstance(made, Refused):
        turn.ec2.failed("increaseIPPoolAllocENI")
        if made.error in SUBNET_FULL:
            turn.ec2.failed("increaseIPPoolAllocIPAddressesFailed")
        return _backed_off(pool, made, turn=turn)
    cidrs = _new_cidrs(made, turn.rules)
    eni = Eni(made.eni, subnet=made.subnet, created_at=turn.now, cidrs=cidrs)
    attached = turn.ec2(AttachNetworkInterface(eni.id))
    if isinstance(attached, Refused):
        turn.ec2.failed("increaseIPPoolAllocENI")
        return _deleted(pool, eni, turn=turn)
    eni = replace(eni, device=attached.device)
    if isinstance(turn.ec2(ModifyNetworkInterfaceAttribute(eni.id)), Refused):
        turn.ec2.failed("increaseIPPoolAllocENI")
        return _detached(pool, eni, turn=turn)
    return replace(pool, enis=(*pool.enis, eni), acted_at=turn.now)


def _backed_off(pool: Pool, refusal: Refused, *, turn: _Turn) -> Pool:
    return replace(pool, backed_off_at=turn.now) if refusal.error in SUBNET_FULL else pool


def _shrink(pool: Pool, turn: _Turn) -> Pool:
    left = excess(pool.stock(turn.rules.size), turn.rules)
    for eni in drawn(pool.enis, len(pool.enis), choose=turn.choose):
        given = drawn(_unused(eni.cidrs), left, choose=turn.choose)
        pool = pool.with_eni(_give_back(eni, given, turn=turn))
        left -= len(given)
    return replace(pool, shrunk_at=turn.now, acted_at=turn.now)


def _unused(cidrs: Iterable[Cidr]) -> tuple[Cidr, ...]:
    return tuple(cidr for cidr in cidrs if not cidr.assigned)


def _give_back(eni: Eni, cidrs: Sequence[Cidr], *, turn: _Turn) -> Eni:
    for size in sorted({cidr.size for cidr in cidrs}):
        bases = tuple(cidr.base for cidr in cidrs if cidr.size == size)
        kept = tuple(cidr for cidr in eni.cidrs if cidr.base not in bases)
        answer = turn.ec2(UnassignPrivateIpAddresses(eni.id, bases, size))
        refused = bases if isinstance(answer, Refused) else ()
        strays = tuple(Stray(Cidr(base, size), turn.now) for base in refused)
        eni = replace(eni, cidrs=kept, strays=(*eni.strays, *strays))
    return eni


def _spare_eni(pool: Pool, turn: _Turn) -> Pool:
    idle = [eni for eni in pool.enis if _is_idle(eni, turn)]
    spare = [eni for eni in idle if not is_needed(eni, pool, rules=turn.rules)]
    if not spare:
        return pool
    eni = turn.choose(spare)
    without = replace(pool, enis=tuple(other for other in pool.enis if other.id != eni.id))
    after = _detached(without, eni, turn=turn)
    if after is not without:
        turn.ec2.failed("decreaseIPPoolFreeENIFailed")
    return after


def _is_idle(eni: Eni, turn: _Turn) -> bool:
    return (
        not (eni.assigned or eni.primary or eni.trunk or eni.efa)
        and turn.now - eni.created_at > ENI_MIN_AGE
        and turn.now - eni.freed_at > turn.rules.cooldown
    )


def _detached(pool: Pool, eni: Eni, *, turn: _Turn) -> Pool:
    if isinstance(turn.ec2(DetachNetworkInterface(eni.id)), Refused):
        return replace(pool, unadopted=(*pool.unadopted, eni))
    return _deleted(pool, eni, turn=turn)


def _deleted(pool: Pool, eni: Eni, *, turn: _Turn) -> Pool:
    if isinstance(turn.ec2(DeleteNetworkInterface(eni.id)), Refused):
        return replace(pool, leaked=(*pool.leaked, eni))
    return pool


def _new_cidrs(answer: Granted, rules: Rules) -> tuple[Cidr, ...]:
    return tuple(Cidr(base, rules.size) for base in answer.cidrs)


def _with_strays(eni: Eni, now: float) -> Eni:
    return eni.with_cidrs(s.cidr for s in eni.strays if now - s.since > READOPTION_AFTER)


def _adopted(eni: Eni, now: float) -> Eni:
    eni = eni.with_cidrs(stray.cidr for stray in eni.strays)
    return replace(eni, cidrs=tuple(_with_pods_only(c) for c in eni.cidrs), created_at=now)


def _with_pods_only(cidr: Cidr) -> Cidr:
    in_use = tuple(address for address in cidr.addresses if address.pod is not None)
    return replace(cidr, addresses=in_use)
