"""Guards the daemon's token, for API and console alike: wrong ones are slow, logged and counted.

The right one always passes, so that nobody can lock anybody out: it is too long to be guessed.
"""

import hmac
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from aiohttp import web
from pydantic import SecretStr

from daemon.login_limit import LoginLimit
from daemon.metrics import Metrics

log = structlog.get_logger(__name__)

Network = IPv4Network | IPv6Network


class TokenGuard:
    """Compares what is given with the token; `proxies` are believed about whom they ask for."""

    def __init__(self, token: SecretStr | None, proxies: Sequence[Network], metrics: Metrics):
        self.token = token
        self._proxies = proxies
        self._metrics = metrics
        self._limit = LoginLimit()

    def fits(self, request: web.Request, given: str, part: str) -> bool:
        """True for the token; else it counts against the address. `part`: api or console."""
        if self.token is None:
            return False
        expected = self.token.get_secret_value().encode()
        address = self.address(request)
        if hmac.compare_digest(given.encode(errors="surrogateescape"), expected):
            self._limit.succeeded(address)
            return True
        self._limit.failed(address)
        self._metrics.auth_failures.labels(part).inc()
        log.warning("wrong token", part=part, address=address)
        return False

    def wait(self, request: web.Request) -> float:
        """Seconds that this address is told to wait after wrong tokens; 0 for none."""
        return self._limit.wait(self.address(request))

    def address(self, request: web.Request) -> str:
        """The address that asks: the last one that no trusted proxy has."""
        address = request.remote or ""
        told = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for before in reversed([each.strip() for each in told if each.strip()]):
            if not self._is_proxy(address):
                break
            address = before[:_LONGEST]
        return address

    def is_over_tls(self, request: web.Request) -> bool:
        """True where the browser's own connection is over TLS, here or at a trusted proxy."""
        if request.secure:
            return True
        told = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
        return told == "https" and (not self._proxies or self._is_proxy(request.remote or ""))

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)


_LONGEST = 45  # characters of an address
TOKEN_GUARD = web.AppKey("token_guard", TokenGuard)
