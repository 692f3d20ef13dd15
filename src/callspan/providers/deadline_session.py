# Copyright The Callspan Authors
# SPDX-License-Identifier: Apache-2.0

"""HTTP requests with a deadline for the whole of each, which ``requests`` does not have.

Its timeout is for each read of the socket: a receiver that answers with a byte a second keeps a
request for hours, and the thread that exports with it for good.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class DeadlineSession(requests.Session):
    """A session whose ``timeout`` is for the whole request; after it, the connection is cut."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request.

        Args:
            *args: As for ``requests.Session.request``.
            **kwargs: The same; ``timeout`` in seconds. Default: as long as it takes.

        Raises:
            requests.RequestException: If it fails, or is not answered whole in time.
        """
        timeout_s = kwargs.get("timeout")
        if not isinstance(timeout_s, int | float):
            return super().request(*args, **kwargs)
        deadline = _Deadline()
        # each read has its own timeout, which ends an idle request first
        timer = threading.Timer(timeout_s, deadline.pass_)
        timer.daemon = True
        _current.deadline = deadline
        timer.start()
        try:
            return super().request(*args, **kwargs)
        finally:
            timer.cancel()
            del _current.deadline


class _Deadline:
    """Cuts the connection that a request uses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._has_passed = False

    def use(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._connection = connection
            if self._has_passed:
                raise TimeoutError("the request's time is up")

    def pass_(self) -> None:
        with self._lock:
            self._has_passed = True
            sock = getattr(self._connection, "sock", None)
        if sock is not None:
            try:
                # of the plain socket: one of TLS would be torn from under whoever reads it
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return  # gone already


class _CurrentDeadline(threading.local):
    deadline: _Deadline | None = None


_current = _CurrentDeadline()


class _Cuttable:
    """Tells the deadline of the thread's request which connection it uses; new or kept alive."""

    def connect(self) -> None:
        self._use()
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._use()
        super().request(*args, **kwargs)  # type: ignore[misc]

    def _use(self) -> None:
        if _current.deadline is not None:
            _current.deadline.use(cast("HTTPConnection", self))


class _Connection(_Cuttable, HTTPConnection):
    pass


class _TlsConnection(_Cuttable, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """Sends over connections that can be cut."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
