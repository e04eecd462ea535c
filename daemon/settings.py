"""Settings: environment over TOML file over systemd credentials over defaults, checked whole.

Values of secrets and of URLs (they may hold passwords) are never shown.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, MultiFernet
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from daemon.settings_connections import DeclaredConnection, declared_connections, key_variables
from daemon.settings_sources import (
    PREFIX,
    Given,
    SettingsError,
    from_credentials,
    from_document,
    from_environment,
    read_document,
    unknown_setting,
)
from daemon.wrong_values import problem

__all__ = [
    "PREFIX",
    "DeclaredConnection",
    "Plan",
    "Settings",
    "SettingsError",
    "ensure_secret_key",
    "load_settings",
    "setting_origins",
    "shown_settings",
]

_CONFIG = PREFIX + "CONFIG"
_SECRET = frozenset({"database_url", "amqp_url", "http_token", "secret_key"})
_SHORTEST_TOKEN = 16  # characters, where others than this machine reach it
_PATHS = frozenset({"state_dir", "http_tls_cert", "http_tls_key"})
_FERNET_KEYS = "must be 32 bytes in URL-safe base64 (a Fernet key), or several between commas"


def _url(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        scheme, _, rest = value.get_secret_value().partition("://")
        if scheme not in schemes or not rest or not _can_be_split(value.get_secret_value()):
            raise ValueError("must be a URL like " + " or ".join(f"{s}://…" for s in schemes))
        return value

    return AfterValidator(check)


def _can_be_split(url: str) -> bool:
    try:
        return urlsplit(url).port != 0  # reading it checks it
    except ValueError:
        return False


def _multi_fernet(keys: SecretStr) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.get_secret_value().split(",")])
    except ValueError:
        raise ValueError(_FERNET_KEYS) from None


def _fernet_keys(keys: SecretStr) -> SecretStr:
    _multi_fernet(keys)
    return keys


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _networks(value: Any) -> Any:
    given = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(ip_network(str(each).strip()) for each in given)
    except (TypeError, ValueError):
        raise ValueError("must be networks like 10.0.0.0/8, with commas between") from None


def _days(value: Any) -> Any:
    return 0 if isinstance(value, str) and value.strip().lower() == "none" else value


class Plan(BaseModel):
    """How much the plan includes; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_connections: int | None = Field(None, ge=0, description="Active order connections")
    orders_per_connection: int = Field(100, ge=1, description="Orders a month included for each")


class Settings(BaseModel):
    """The daemon's settings; `http_port` 0 is any free port."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[SecretStr, _url("postgresql", "postgres")] | None = Field(
        None, description="PostgreSQL (none: embedded, in the state directory)"
    )
    amqp_url: Annotated[SecretStr, _url("amqp", "amqps")] | None = Field(
        None, description="RabbitMQ (none: events stay in the event log)"
    )
    state_dir: Path = Field(description="Embedded database, demo files, secret key")
    http_host: str = Field("127.0.0.1", min_length=1, description="Health, metrics, API, console")
    http_port: int = Field(8080, ge=0, le=65535, description="Health, metrics, API, console")
    http_token: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        None, description="Bearer token and console password"
    )
    http_trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)
    ] = Field((), description="Networks whose X-Forwarded-For and -Proto are believed")
    http_tls_cert: Path | None = Field(
        None, description="PEM file with the certificate and its chain (none: plain HTTP)"
    )
    http_tls_key: Path | None = Field(
        None, description="PEM file with its key (none: in the certificate's file)"
    )
    secret_key: Annotated[SecretStr, AfterValidator(_fernet_keys)] | None = Field(
        None, description="Encrypts API keys at rest (none: made in the state directory)"
    )
    retention: Annotated[int, Field(ge=0, le=36500), BeforeValidator(_days)] = Field(
        180, description="Days after an order's end that its customer is kept (0 or none: for good)"
    )
    log_format: Annotated[Literal["console", "json"] | None, BeforeValidator(_lower)] = Field(
        None, description="How logs are written (none: console on a terminal, else json)"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)
    ] = Field("info", description="The least severe log written")
    plan: Plan = Plan()
    connections: tuple[DeclaredConnection, ...] = ()

    @model_validator(mode="after")
    def _reachable_only_with_token(self) -> Self:
        if self.http_token is None and not is_loopback(self.http_host):
            raise ValueError(
                f"not a loopback address: set {PREFIX}HTTP_TOKEN too, or listen on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _token_is_long_enough(self) -> Self:
        token = self.http_token.get_secret_value() if self.http_token else None
        if token and len(token) < _SHORTEST_TOKEN and not is_loopback(self.http_host):
            raise ValueError(
                f"not a loopback address: {PREFIX}HTTP_TOKEN must have {_SHORTEST_TOKEN} characters"
                " or more, as `openssl rand -base64 24` makes"
            )
        return self

    @model_validator(mode="after")
    def _key_with_its_certificate(self) -> Self:
        if self.http_tls_key is not None and self.http_tls_cert is None:
            raise PydanticCustomError("http_tls_key", f"set {PREFIX}HTTP_TLS_CERT too")
        return self


def is_loopback(host: str) -> bool:
    """True for an address or name that only this machine reaches."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _plain_keys() -> frozenset[str]:
    tables = {"plan": Plan.model_fields}
    plain = Settings.model_fields.keys() - tables.keys() - {"connections"}
    return frozenset(plain | {f"{table}.{key}" for table, keys in tables.items() for key in keys})


_KNOWN = _plain_keys()


@dataclass(slots=True)
class _Reading:
    """One attempt to read the settings: what was found, and every fault on the way."""

    found: dict[str, Given] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def load_settings(config: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and check every setting; raises SettingsError.

    `config` goes before SPARTOO_SYNC_CONFIG. Empty variables count as not set. Paths in the
    TOML file are relative to its folder. A secret that neither gives is taken from the file of
    its name in $CREDENTIALS_DIRECTORY, where systemd puts what LoadCredential= names.
    """
    reading, tables = _read(config, environ)
    connections, faults = declared_connections(tables, environ)
    reading.faults.extend(faults)
    settings = _validated(reading, connections, environ)
    if reading.faults or settings is None:
        raise SettingsError(reading.faults)
    return settings


def setting_origins(config: Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Where each setting that was given was written, by key; raises SettingsError."""
    reading, _ = _read(config, environ)
    return {
        key: f"{given.name} in {given.file}" if given.file else given.name
        for key, given in reading.found.items()
    }


def shown_settings(settings: Settings) -> dict[str, str]:
    """Every plain setting by key, as it may be shown."""
    shown = {}
    for key in sorted(_KNOWN):
        table, _, inner = key.rpartition(".")
        value = getattr(getattr(settings, table) if table else settings, inner)
        hidden = key in _SECRET and value is not None
        shown[key] = "(set, not shown)" if hidden else "none" if value is None else str(value)
    return shown


def _read(config: Path | None, environ: Mapping[str, str]) -> tuple[_Reading, Given]:
    """What was given, environment over file, and the tables of connections."""
    path = config or (Path(environ[_CONFIG]) if environ.get(_CONFIG) else None)
    document = read_document(path) if path else {}
    tables = Given("connections", document.pop("connections", []), path)
    reading = _Reading()
    _take(reading, from_credentials(environ, _SECRET))
    if path:
        _take(reading, from_document(document, path))
    _take(reading, from_environment(environ, {_CONFIG, *key_variables(tables)}))
    return reading, tables


def _take(reading: _Reading, layer: Iterable[tuple[str, Given]]) -> None:
    """Lay these settings over what was found before."""
    taken: dict[str, Given] = {}
    for written, given in layer:
        key = written.removesuffix("_file") if written[:-5] in _SECRET else written
        if key not in _KNOWN:
            reading.faults.append(given.fault(unknown_setting(written, _KNOWN, like=given.name)))
        elif key in taken:
            reading.faults.append(given.fault(f"set this or {taken[key].name}, not both"))
        else:
            taken[key] = replace(given, names_file=key != written)
    reading.found |= taken


def _validated(
    reading: _Reading, connections: list[DeclaredConnection], environ: Mapping[str, str]
) -> Settings | None:
    values: dict[str, Any] = {"connections": connections, "state_dir": Path()}
    if "state_dir" not in reading.found:
        try:
            values["state_dir"] = _default_state_dir(environ)
        except RuntimeError:  # no HOME, and nobody of this number in the list of users
            reading.faults.append(f"state_dir: there is no home directory; set {PREFIX}STATE_DIR")
            return None
    for key, given in reading.found.items():
        table, _, inner = key.rpartition(".")
        try:
            (values.setdefault(table, {}) if table else values)[inner] = _value(key, given)
        except SettingsError as error:
            reading.faults.extend(error.faults)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        reading.faults.extend(_settings_fault(reading, details) for details in error.errors())
    return None


def _value(key: str, given: Given) -> Any:
    if given.names_file:
        return given.file_content()
    return given.path() if key in _PATHS else given.value


def _settings_fault(reading: _Reading, details: ErrorDetails) -> str:
    whole = "http_tls_key" if details["type"] == "http_tls_key" else "http_host"
    key = ".".join(str(part) for part in details["loc"]) or whole
    return reading.found[key].fault(problem(details), show=key not in _SECRET)


def _default_state_dir(environ: Mapping[str, str]) -> Path:
    base = Path(environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # as the XDG base directory specification asks
        base = Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return base / "spartoo-sync"


def ensure_secret_key(settings: Settings) -> MultiFernet:
    """The key that encrypts API keys; made as `state_dir/secret.key` when none is set.

    Two processes at once get the same one. Raises SettingsError.
    """
    if settings.secret_key is not None:
        return _multi_fernet(settings.secret_key)
    path = settings.state_dir / "secret.key"
    try:
        if not path.exists():
            _create_secret_key(path)
        return _multi_fernet(SecretStr(path.read_text(encoding="ascii").strip()))
    except OSError as error:
        raise SettingsError([f"secret key {path}: {error.strerror}"]) from error
    except ValueError:
        raise SettingsError(
            [f"secret key {path}: {_FERNET_KEYS}; put the file back from a backup"]
        ) from None


def _create_secret_key(path: Path) -> None:
    """Write a new key whole, then give it its name; the first of several processes wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret.key-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
