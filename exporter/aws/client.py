"""Keeps the client of one AWS service: its errors in our words, its requests counted.

Opening is slow and not safe between threads, so one client serves all, and is opened again only
where the account's session is another.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from botocore import xform_name

from exporter.aws.account import Account, Session, Use
from exporter.aws.counts import RequestCounts, Requests
from exporter.aws.errors import Malformed, Outcome, Untrusted, credentials_read, translated


class Service:
    """One service's operations; they block. Safe to use from several threads."""

    def __init__(self, account: Account, use: Use) -> None:
        self._account = account
        self._use = use
        self._counts = RequestCounts()
        self._lock = threading.Lock()
        self._client: Any = None
        self._session: Session | None = None

    def call(self, operation: str, **request: Any) -> Mapping[str, Any]:
        """Return the answer of an operation; raises `Unavailable` alone."""
        session, client = self._current()
        ask = getattr(client, xform_name(operation))
        try:
            with credentials_read(self._use.service):
                # Renewed here and not within the call, so that its failure says what failed.
                session.credentials.get_frozen_credentials()
            with translated(self._use.service, operation):
                answer: Mapping[str, Any] = ask(**request)
        except Untrusted:
            self._account.distrust(session)
            raise
        except Malformed:
            # botocore tells only of what it can read
            self._counts.add(self._use.service, operation, Outcome.FAILED)
            raise
        return answer

    def requests(self) -> Requests:
        """Return how many requests there were, by service, operation and outcome."""
        return self._counts.snapshot()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            self._close()

    def _current(self) -> tuple[Session, Any]:
        with self._lock:
            session = self._account.session(self._use.service)
            if self._client is None or self._session is not session:
                self._close()
                self._client = self._account.client(session, self._use)
                self._session = session
                self._counts.watch(self._client)
            return session, self._client

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
