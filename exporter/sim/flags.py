"""Booleans of aws-node's environment, as Go's ParseBool takes them; another value is none."""

from collections.abc import Mapping

_VALUES = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def is_on(env: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return whether a variable is true."""
    return _VALUES.get(env.get(name, ""), default)
