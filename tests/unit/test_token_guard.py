"""Whom a request is counted against, and whether it came over TLS, behind proxies and without."""

from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from daemon.metrics import Metrics
from daemon.token_guard import TokenGuard

PROXIES = (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("remote", "told", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.2", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.2", "203.0.113.9, 198.51.100.7, 10.1.1.1", "198.51.100.7"),
        ("10.0.0.2", " , ", "10.0.0.2"),
        ("10.0.0.2", "x" * 99, "x" * 45),
    ],
)
def test_a_trusted_proxy_alone_is_believed(remote: str, told: str | None, address: str) -> None:
    headers = {} if told is None else {"X-Forwarded-For": told}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    assert TokenGuard(SecretStr("token"), PROXIES, Metrics()).address(request) == address


@pytest.mark.parametrize(
    ("remote", "told", "secure"),
    [
        ("10.0.0.2", "https", True),
        ("10.0.0.2", "https, http", True),
        ("10.0.0.2", "http", False),
        ("192.0.2.1", "https", False),
    ],
)
def test_tls_at_a_trusted_proxy_counts(remote: str, told: str, secure: bool) -> None:
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-Proto": told})
    guard = TokenGuard(SecretStr("token"), PROXIES, Metrics())
    assert guard.is_over_tls(request.clone(remote=remote)) is secure
