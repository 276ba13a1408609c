"""Whether a pool is too low or too high, and by how much: ipamd's sizing as arithmetic.

Cooling addresses count as available here, although no pod can have them yet.
"""

from __future__ import annotations

from exporter.core.pool.settings import Rules
from exporter.core.pool.state import PREFIX, SINGLE, Eni, Pool, Stock


def is_low(stock: Stock, rules: Rules) -> bool:
    """Tell whether ipamd wants more; max pods ends its wanting, but makes it give nothing back."""
    total = stock.cidrs * rules.size
    if total >= rules.max_pods:
        return False
    if rules.by_address:
        return _shortage(stock, rules) > 0
    available = total - stock.assigned
    return available < rules.low_below or available == rules.low_below == 0


def wanted(stock: Stock, rules: Rules) -> int:
    """Count the CIDRs a low pool asks for, before any ENI's limit."""
    if rules.by_address:
        return _whole_cidrs(_shortage(stock, rules), rules)
    if rules.size == SINGLE:
        return rules.slots
    return max(1, rules.warm_prefixes - stock.unused)


def excess(stock: Stock, rules: Rules) -> int:
    """Count the CIDRs a pool can do without; a target in ENIs lets it keep every one."""
    if not rules.by_address:
        return max(0, stock.unused - rules.warm_prefixes) if rules.size == PREFIX else 0
    total = stock.cidrs * rules.size
    if rules.excess_in_addresses:
        return max(0, min(total - stock.assigned - rules.warm_ip, total - rules.minimum_ip))
    needed = max(stock.assigned + rules.warm_ip, rules.minimum_ip)
    return max(0, min(stock.unused, stock.cidrs - _whole_cidrs(needed, rules)))


def may_spare_eni(stock: Stock, rules: Rules) -> bool:
    """Tell whether ipamd looks for an ENI to release at all.

    With prefixes it looks whenever some ENI has no pods, and no other ENI could be released anyway.
    """
    return (
        rules.by_address or rules.size != SINGLE or stock.cidrs - stock.assigned >= rules.spare_from
    )


def is_needed(eni: Eni, pool: Pool, *, rules: Rules) -> bool:
    """Tell whether the other ENIs alone would miss a target that is set."""
    stock, own = pool.stock(rules.size), eni.stock(rules.size)
    cidrs = stock.cidrs - (0 if eni.excluded else own.cidrs)
    warm = cidrs * rules.size - stock.assigned
    return (
        warm < _whole_cidrs(rules.warm_ip, rules) * rules.size
        or cidrs < _whole_cidrs(rules.minimum_ip, rules)
        or stock.unused - own.unused < rules.warm_prefixes
    )


def _shortage(stock: Stock, rules: Rules) -> int:
    total = stock.cidrs * rules.size
    return max(rules.warm_ip - (total - stock.assigned), 0, rules.minimum_ip - total)


def _whole_cidrs(addresses: int, rules: Rules) -> int:
    return -(-addresses // rules.size)
