"""`spartoo-sync privacy`: what is kept about one person, and its erasure."""

import sys
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
import typer

from adapters.postgres import privacy
from adapters.postgres.database import Database, Tx
from adapters.postgres.privacy import OrderKey
from daemon.cli.command import Invocation, command
from daemon.cli.output import note, print_json
from daemon.holdings import alive
from daemon.transactions import in_transaction
from statemachine.facts import Refused

group = typer.Typer(
    name="privacy", help="One customer's data: see it whole, erase it.", no_args_is_help=True
)

_AT_ONCE = 50
_STDIN = "-"


def _email(given: str) -> str:
    """The address; `-` reads it from standard input, where no list of processes shows it."""
    email = (sys.stdin.readline() if given == _STDIN else given).strip()
    if "@" not in email:
        raise typer.BadParameter("write an e-mail address, or - to read it from standard input")
    return email


Email = Annotated[
    str,
    typer.Argument(
        metavar="EMAIL",
        callback=_email,
        help="The customer's e-mail address; - reads it from standard input.",
        show_default=False,
    ),
]


@command(group, "export", json=False)
async def export(invocation: Invocation, email: Email) -> None:
    """Write everything kept about a customer as JSON: orders with all that belongs to them.

    What was erased is not kept, so it is not found either.
    """
    orders: list[object] = []
    async with invocation.parts() as parts:
        async for keys in _pieces(parts.database, email):
            async with parts.database.connection() as conn:
                orders += map(orjson.loads, await privacy.export(conn, keys))
        unread = [
            {
                "connection": entry.key.connection,
                "order_id": entry.key.order_id,
                "error": entry.error,
                "first_seen_at": entry.first_seen_at,
                "xml": entry.xml,
            }
            async for entry in privacy.quarantined(parts.database, email)
        ]
    print_json({"email": email, "orders": orders, "quarantine": unread})


@command(group, "erase")
async def erase(invocation: Invocation, email: Email) -> None:
    """Erase a customer from every order that has ended, and from all that belongs to it.

    Figures, products and countries stay. Orders that are still needed (not shipped or cancelled
    yet, with an open return, with events the broker does not have) are kept whole and named; ask
    again once they have ended. Copies elsewhere, in Koongo, Spartoo and backups, are not reached.
    """
    done: list[OrderKey] = []
    kept: dict[OrderKey, str] = {}
    async with invocation.parts() as parts, alive(parts.database):
        async for keys in _pieces(parts.database, email):

            async def work(tx: Tx, keys: list[OrderKey] = keys) -> dict[OrderKey, str | None]:
                found = await privacy.lock(tx, keys)
                free = [key for key, needed in found.items() if needed is None]
                await privacy.erase(tx, free, parts.clock())
                return found

            for key, needed in (await in_transaction(parts.database, work)).items():
                if needed is None:
                    done.append(key)
                else:
                    kept[key] = needed
        unread = [entry.key async for entry in privacy.quarantined(parts.database, email)]
        unread = [key for key in unread if key not in kept]
        async with parts.database.transaction() as tx:
            await privacy.forget_quarantined(tx, unread)
    _tell(invocation, done, kept, unread)


async def _pieces(database: Database, email: str) -> AsyncIterator[list[OrderKey]]:
    """The person's orders, a few at a time."""
    async for found in privacy.of_person(database, email):
        for start in range(0, len(found), _AT_ONCE):
            yield found[start : start + _AT_ONCE]


def _tell(
    invocation: Invocation, done: list[OrderKey], kept: dict[OrderKey, str], unread: list[OrderKey]
) -> None:
    """What was done; Refused where something is still needed."""
    if invocation.as_json:
        document = {
            "erased": [_named(key) for key in done],
            "kept": [_named(key) | {"reason": reason} for key, reason in kept.items()],
            "quarantine": [_named(key) for key in unread],
        }
        print_json(document)
    else:
        note(f"erased from {len(done)} orders and {len(unread)} entries in quarantine")
    if kept:
        which = "; ".join(f"{key.connection} {key.order_id}: {why}" for key, why in kept.items())
        raise Refused("still_needed", f"{len(kept)} orders are still needed and were kept: {which}")


def _named(key: OrderKey) -> dict[str, str]:
    return {"connection": key.connection, "order_id": key.order_id}
