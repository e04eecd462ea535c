"""What went wrong, as the person who typed the command is told: exit status, code, one message."""

import re
from typing import NamedTuple

import typer

from adapters.catalog import UnreadableCatalog
from adapters.ports import AccountRejected, BrokerUnavailable, MarketplaceError
from adapters.postgres.errors import PostgresError, UnusableUrl
from adapters.rabbitmq.node import RabbitMQFailed, RabbitMQMissing
from adapters.registry import UnknownMarketplace
from daemon.accounts import BudgetSpent
from daemon.demo import DemoFailed
from daemon.settings import SettingsError
from daemon.supervisor import TaskEnded
from statemachine.facts import Refused

REFUSED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TOLD_AS_THEY_ARE = (
    AccountRejected,
    BrokerUnavailable,
    BudgetSpent,
    DemoFailed,
    MarketplaceError,
    PostgresError,
    RabbitMQFailed,
    RabbitMQMissing,
    TaskEnded,
    UnreadableCatalog,
)


class Failure(NamedTuple):
    """How a command ends that did not do what was asked."""

    status: int
    code: str
    message: str


def failure_of(error: Exception) -> Failure | None:
    """What to say of an error; None for one that nobody foresaw."""
    match error:
        case Refused():
            return Failure(REFUSED, error.code, error.message)
        case SettingsError() | UnknownMarketplace() | UnusableUrl():
            return Failure(WRONG_USAGE, "bad_settings", str(error))
        case typer.TyperException():
            return Failure(error.exit_code, "bad_usage", _usage(error))
        case OSError():
            return Failure(REFUSED, "system_error", _system(error))
    if isinstance(error, _TOLD_AS_THEY_ARE):
        return Failure(REFUSED, _code(error), str(error) or type(error).__doc__ or "")
    return None


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the command line, and which help tells how it should be."""
    message = error.format_message().replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    if context is None or not message:
        return message
    return f"{message.rstrip('.')}; see `{context.command_path} --help`"


def _code(error: Exception) -> str:
    return _CAPITAL.sub("_", type(error).__name__).lower()


def _system(error: OSError) -> str:
    """What the system said, with the file where there is one."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
