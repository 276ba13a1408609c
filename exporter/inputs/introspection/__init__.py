"""The door to ipamd's introspection: which node is asked when, and what its answer says."""

from exporter.inputs.introspection.asking import PORT, AskingConfig, Introspections, Visit
from exporter.inputs.introspection.counting import MAX_BODY_BYTES, parse_enis
from exporter.inputs.introspection.shapes import decode_eniconfig

__all__ = [
    "MAX_BODY_BYTES",
    "PORT",
    "AskingConfig",
    "Introspections",
    "Visit",
    "decode_eniconfig",
    "parse_enis",
]
