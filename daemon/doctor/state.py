"""The state directory and the secret key, on this machine."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography.fernet import MultiFernet

from daemon.doctor.finding import Finding, failed, ok, warning
from daemon.settings import Settings, ensure_secret_key

_MIB = 1 << 20
_ROOM, _LEAST = 1024 * _MIB, 100 * _MIB
_OTHERS = 0o077

STATE, KEY = "state directory", "secret key"


async def check_state(settings: Settings) -> AsyncIterator[Finding]:
    """Whether it is there, ours alone, writable, with room for what is kept in it."""
    directory = settings.state_dir
    if not directory.exists():
        yield _to_be_made(directory)
        return
    for finding in (_access(directory), _room(directory)):
        yield finding
    if directory.stat().st_mode & _OTHERS:
        message = f"{directory}: other users of this machine can look into it"
        yield warning(STATE, message, f"chmod 700 {directory}")


def _to_be_made(directory: Path) -> Finding:
    parent = next(p for p in directory.absolute().parents if p.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return ok(STATE, f"{directory}: not there yet, made at the first start")
    remedy = "set SPARTOO_SYNC_STATE_DIR, or make it and give it to the daemon's user"
    return failed(STATE, f"{directory}: cannot be made in {parent}", remedy)


def _access(directory: Path) -> Finding:
    if directory.is_dir() and os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return ok(STATE, f"{directory}: readable and writable")
    remedy = f"give it to the daemon's user: chown -R USER {directory}"
    return failed(STATE, f"{directory}: no folder this user can write to", remedy)


def _room(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    message = f"{free // _MIB} MiB free"
    if free < _LEAST:
        return failed(STATE, message, "make room: the database stops when the disk is full")
    if free < _ROOM:
        return warning(STATE, message, "make room before it is full")
    return ok(STATE, message)


async def check_key_file(settings: Settings) -> AsyncIterator[Finding]:
    """Whether there is a secret key that nobody else can read."""
    path = settings.state_dir / "secret.key"
    if settings.secret_key is not None:
        yield ok(KEY, "set by settings")
    elif not path.exists():
        yield ok(KEY, f"{path}: not there yet, made at the first start")
    else:
        ensure_secret_key(settings)
        yield ok(KEY, f"{path}: readable")
        if path.stat().st_mode & _OTHERS:
            yield failed(KEY, f"{path}: other users can read it", f"chmod 600 {path}")


def known_cipher(settings: Settings) -> MultiFernet | None:
    """The secret key; None where there is none yet, for looking makes nothing."""
    if settings.secret_key is None and not (settings.state_dir / "secret.key").exists():
        return None
    return ensure_secret_key(settings)
