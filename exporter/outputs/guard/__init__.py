"""What stands before the pages: TLS, client certificates, passwords and tokens; health beside it.

Knows no figures. Everything fails closed: what cannot be read, decided or asked lets nobody in.
"""

from exporter.outputs.guard.document import WebConfigError
from exporter.outputs.guard.front import Front, FrontConfig, serving
from exporter.outputs.guard.tokens import Review

__all__ = ["Front", "FrontConfig", "Review", "WebConfigError", "serving"]
