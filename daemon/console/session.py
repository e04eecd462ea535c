"""The session: a sealed cookie, good for half a day or until logout.

Without a token to log in with (loopback only) every browser has one too: it carries the CSRF
token.
"""

import hmac
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Self

from aiohttp import web
from cryptography.fernet import MultiFernet
from pydantic import SecretStr

from daemon.console.seal import Seal
from daemon.token_guard import TOKEN_GUARD

COOKIE = "spartoo_sync_session"
FLASH = "spartoo_sync_told"
LIFETIME = timedelta(hours=12)
_FLASH_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's session; `password` names the token it logged in with, None before that."""

    id: str
    csrf: str
    password: str | None

    @classmethod
    def begin(cls, token: SecretStr | None = None) -> Self:
        """A new session, logged in with this token."""
        return cls(token_urlsafe(16), token_urlsafe(32), _name(token) if token else None)

    def logged_in(self, token: SecretStr | None) -> bool:
        """True when it may see pages: another token than that of its login ends it."""
        if token is None:
            return True
        return self.password is not None and hmac.compare_digest(self.password, _name(token))

    def expects(self, csrf: str) -> bool:
        """True for the CSRF token of this session's own pages."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode(errors="surrogateescape"))


def _name(token: SecretStr) -> str:
    return sha256(token.get_secret_value().encode()).hexdigest()


def read(request: web.Request, cipher: MultiFernet) -> Session | None:
    """The session of a request; None when it has none or it is over."""
    sealed = request.cookies.get(COOKIE, "")
    fields = Seal(cipher, COOKIE).open(sealed, int(LIFETIME.total_seconds()))
    return None if fields is None else Session(**fields)


def give(
    request: web.Request, response: web.StreamResponse, cipher: MultiFernet, session: Session
) -> None:
    """Have the browser keep the session."""
    sealed = Seal(cipher, COOKIE).close(asdict(session))
    _set(request, response, COOKIE, sealed, LIFETIME)


def take(request: web.Request, response: web.StreamResponse) -> None:
    """Have the browser forget the session."""
    response.del_cookie(COOKIE, path="/", secure=is_https(request), httponly=True)


def until(now: datetime) -> datetime:
    """When every session that exists now is over by itself."""
    return now + LIFETIME


def tell_later(
    request: web.Request, response: web.StreamResponse, cipher: MultiFernet, told: Any
) -> None:
    """Keep a message for the page that comes next."""
    sealed = Seal(cipher, FLASH).close(told)
    _set(request, response, FLASH, sealed, timedelta(seconds=_FLASH_SECONDS))


def told_before(request: web.Request, cipher: MultiFernet) -> Any:
    """The message kept for this page, or None."""
    return Seal(cipher, FLASH).open(request.cookies.get(FLASH, ""), _FLASH_SECONDS)


def is_https(request: web.Request) -> bool:
    """True when the browser speaks TLS, to us or to the proxy before us."""
    return request.config_dict[TOKEN_GUARD].is_over_tls(request)


def _set(
    request: web.Request, response: web.StreamResponse, name: str, value: str, life: timedelta
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(life.total_seconds()),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_https(request),
    )
