"""TLS of the daemon's own HTTP: a certificate from files, taken up again when they change."""

import asyncio
import ssl
from pathlib import Path

import structlog

from daemon.settings import PREFIX, Settings, SettingsError
from daemon.supervisor import wait_or_stop

log = structlog.get_logger(__name__)

LOOK_SECONDS = 30.0


class HttpTls:
    """The server's TLS context; TLS 1.2 at least."""

    def __init__(self, certificate: Path, key: Path | None):
        """Raises SettingsError, which names the file and what is wrong with it."""
        self._certificate, self._key = certificate, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._loaded = self._state()
        self._load()

    def reload(self) -> bool:
        """Take the files up again if they changed; a wrong pair is told, the old one stays."""
        try:
            state = self._state()
            if state == self._loaded:
                return False
            self._load()
        except SettingsError as error:
            log.warning("certificate kept as it was", error=str(error))
            return False
        self._loaded = state
        log.info("certificate loaded", file=str(self._certificate))
        return True

    async def run(self, stop: asyncio.Event, every_seconds: float = LOOK_SECONDS) -> None:
        """Look at the files until `stop`: who renews certificates need not tell us."""
        while not await wait_or_stop(stop, every_seconds):
            self.reload()

    def _files(self) -> list[Path]:
        return [self._certificate, *([self._key] if self._key else [])]

    def _state(self) -> list[tuple[int, int]]:
        found = []
        for path in self._files():
            try:
                with path.open("rb"):
                    stat = path.stat()
            except OSError as error:
                raise _fault(path, self._key, error.strerror or str(error)) from error
            found.append((stat.st_mtime_ns, stat.st_ino))
        return found

    def _load(self) -> None:
        """Try the pair apart first: a wrong one must not touch what is served."""
        try:
            trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trial.load_cert_chain(self._certificate, self._key, password=_no_password)
            self.context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except ssl.SSLError as error:
            words = (error.reason or str(error)).lower().replace("_", " ")
            message = f"no PEM certificate and key that belong together: {words}"
            raise _fault(self._certificate, self._key, message) from error


def _no_password() -> str:
    """OpenSSL would ask on the terminal."""
    return ""


def _fault(path: Path, key: Path | None, problem: str) -> SettingsError:
    name = "HTTP_TLS_KEY" if path == key else "HTTP_TLS_CERT"
    return SettingsError([f"{PREFIX}{name} = {path}: {problem}"])


def http_tls(settings: Settings) -> HttpTls | None:
    """The TLS the settings ask for, if any. Raises SettingsError."""
    if settings.http_tls_cert is None:
        return None
    return HttpTls(settings.http_tls_cert, settings.http_tls_key)
