"""Where settings are written: the TOML file, the environment and systemd's credentials.

Each value keeps the name the person wrote it under, so that a wrong one can be named.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.logs import mask
from daemon.numbers import exact_number

PREFIX = "SPARTOO_SYNC_"

_TESTS = PREFIX + "TEST_"
_HTTP_PORT = PREFIX + "HTTP_PORT"
_KUBERNETES_NAME = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?$"
)
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_SHOWN = 200  # a path is of use only whole


class SettingsError(Exception):
    """Settings are wrong: one line each, naming the key, the value and what is allowed."""

    def __init__(self, faults: Sequence[str]):
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Given:
    """One value somebody wrote: `name` as they wrote it, `file` the TOML file it stands in.

    `names_file`: the value is the path of the file that holds it.
    """

    name: str
    value: Any
    file: Path | None = None
    names_file: bool = False

    def fault(self, problem: str, *, show: bool = False) -> str:
        """One line: the name, the value if it may be shown, the problem, the file."""
        shown = f" = {show_value(self.value)}" if show else ""
        where = f" (in {self.file})" if self.file else ""
        name = self.name if self.name.isprintable() else repr(self.name)[1:-1]
        return f"{name}{shown}: {problem}{where}"

    def path(self) -> Path:
        """The value as a path; in a TOML file it is relative to the file's folder.

        Raises SettingsError for the home of a user nobody knows.
        """
        try:
            path = Path(str(self.value)).expanduser()
        except RuntimeError:
            raise SettingsError([self.fault("~ names no home directory", show=True)]) from None
        return self.file.parent / path if self.file else path

    def file_content(self) -> str:
        """The stripped text of the file the value names; SettingsError when there is none."""
        show = "/" in str(self.value)  # else it may be the secret itself, put here by mistake
        try:
            content = self.path().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError([self.fault(f"file: {error.strerror}", show=show)]) from None
        except ValueError:
            raise SettingsError([self.fault("file: not text in UTF-8", show=show)]) from None
        if not content:
            raise SettingsError([self.fault("file: empty", show=show)])
        return content


def show_value(value: Any) -> str:
    """The value for an error line: short, credentials in URLs hidden."""
    text = mask(repr(value) if isinstance(value, str | list | dict) else str(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def read_document(path: Path) -> dict[str, Any]:
    """The TOML file, its decimals exact."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=exact_number)
    except OSError as error:
        raise SettingsError([f"settings file {path}: {error.strerror}"]) from error
    except ValueError as error:
        raise SettingsError([f"settings file {path}: not TOML in UTF-8: {error}"]) from error
    except RecursionError as error:
        raise SettingsError([f"settings file {path}: nested too deeply"]) from error


def from_document(document: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Given]]:
    """Settings of a TOML file; those of a table as `table.key`."""
    for key, value in document.items():
        if isinstance(value, Mapping):
            for inner, content in value.items():
                yield f"{key}.{inner}", Given(f"{key}.{inner}", content, path)
        else:
            yield key, Given(key, value, path)


def from_credentials(
    environ: Mapping[str, str], secrets: Iterable[str]
) -> Iterator[tuple[str, Given]]:
    """Those of the secrets that are files of their name in $CREDENTIALS_DIRECTORY."""
    for name in sorted(secrets):
        path = credential(environ, name)
        if path is not None:
            yield f"{name}_file", Given(f"credential {name}", path)


def credential(environ: Mapping[str, str], name: str) -> Path | None:
    """The file of that name in $CREDENTIALS_DIRECTORY, if there is one. Raises SettingsError."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory) / name if directory else None
    try:
        return path if path is not None and path.exists() else None
    except OSError as error:
        raise SettingsError([f"CREDENTIALS_DIRECTORY: {error.strerror}"]) from error


def from_environment(
    environ: Mapping[str, str], used: Collection[str]
) -> Iterator[tuple[str, Given]]:
    """Settings among the variables; empty ones, `used` ones and Kubernetes' are passed over."""
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name.startswith(_TESTS) or name in used or not value:
            continue
        if not _is_kubernetes(name, value, environ):
            yield name.removeprefix(PREFIX).lower().replace("__", "."), Given(name, value)


def _is_kubernetes(name: str, value: str, environ: Mapping[str, str]) -> bool:
    """True for what Kubernetes injects for a Service whose name begins like our prefix.

    For a Service `spartoo-sync-http` that includes SPARTOO_SYNC_HTTP_PORT=tcp://….
    """
    if _KUBERNETES_NAME.search(name):
        return True
    if not name.endswith("_PORT") or not _KUBERNETES_PORT.match(value):
        return False
    return name != _HTTP_PORT or PREFIX + "HTTP_SERVICE_HOST" in environ


def unknown_setting(key: str, known: Iterable[str], like: str) -> str:
    """Says that the key is unknown and which one was probably meant, in the spelling of `like`."""
    close = difflib.get_close_matches(key, [*known], n=1, cutoff=0.75)
    if not close:
        return "unknown setting"
    variable = like.startswith(PREFIX)
    meant = PREFIX + close[0].upper().replace(".", "__") if variable else close[0]
    return f"unknown setting; did you mean {meant}?"
