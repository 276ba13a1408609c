"""What people do to a node's ENIs in EC2, and ipamd does not know of."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from exporter.core.pool import SINGLE, Cidr, Eni, Stray
from exporter.sim.living.kubelets import LivingNode
from exporter.sim.living.world import World


def detach_in_use(world: World, living: LivingNode) -> str:
    """Detach and delete the ENI that has most pods, and return its id; the primary one stays."""
    held = [eni for eni in living.host.pool.enis if not (eni.primary or eni.trunk)]
    chosen = max(held, key=_assigned, default=None)
    if chosen is None or not chosen.assigned:
        return ""
    living.host.gone.add(chosen.id)
    world.vpc.detach(chosen.id)
    world.vpc.delete(chosen.id)
    return chosen.id


def take_slots(world: World, living: LivingNode) -> int:
    """Assign addresses to a node's ENIs by hand until they are full, and return how many."""
    ipamd, taken = living.ipamd, 0
    if ipamd is None:
        return 0
    for eni in living.host.pool.enis:
        left = 0 if eni.trunk else ipamd.rules.slots - len(eni.cidrs)
        cidrs = (Cidr(address, SINGLE) for address in world.vpc.assign(eni.id, left))
        # ipamd finds them with its next reconcile, unless it runs into them before.
        strays = tuple(Stray(cidr, world.time.now) for cidr in cidrs)
        found = replace(eni, strays=(*eni.strays, *strays))
        living.host.pool = living.host.pool.with_eni(found)
        taken += left
    return taken


def _assigned(eni: Eni) -> int:
    return eni.assigned


# By the names that the control knows them by.
MISHAPS: Mapping[str, Callable[[World, LivingNode], object]] = {
    "detach_in_use": detach_in_use,
    "take_slots": take_slots,
}
