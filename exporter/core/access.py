"""What is known of somebody who asks to see the figures."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What whoever vouches for a token says of it."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"  # somebody who is known and may not
    UNKNOWN = "unknown"  # nobody's token, or one that has expired
