"""`spartoo-sync orders ship`: one parcel with all that is left, or several with their items."""

import re
from typing import Annotated

import typer

from daemon.cli.asking import asked_by, command_id, find_order, tell
from daemon.cli.command import Invocation
from daemon.cli.order_names import OrderName
from daemon.command_messages import OrderParcel, OrderShip, ParcelItem

PARCEL = "TRACKING[:SERVICE]:LINE[xUNITS],…"
_ITEM = re.compile(r"([1-9]\d{0,8})(?:x([1-9]\d{0,8}))?", re.ASCII)


def parcel(text: str) -> OrderParcel:
    """A parcel as it is typed: `8R00123:Colissimo:1x2,3`. Raises typer.BadParameter."""
    rest, colon, listed = text.rpartition(":")
    tracking, _, service = rest.partition(":")
    items = [_ITEM.fullmatch(item.strip()) for item in listed.split(",")]
    if not colon or not tracking.strip():
        raise typer.BadParameter(f"{text!r} is no {PARCEL}, like 8R00123:Colissimo:1x2,3")
    return OrderParcel(
        tracking_number=tracking.strip(),
        shipping_service=service.strip(),
        items=[_item(match, typed) for match, typed in zip(items, listed.split(","), strict=True)],
    )


def _item(match: re.Match[str] | None, typed: str) -> ParcelItem:
    if match is None:
        wanted = "a line's number, or with its units like 1x2"
        raise typer.BadParameter(f"{typed!r} is not {wanted}")
    return ParcelItem(line=int(match[1]), quantity=int(match[2] or 1))


async def ship_order(
    invocation: Invocation,
    name: OrderName,
    *,
    tracking: Annotated[str | None, typer.Option(help="The carrier's tracking number.")] = None,
    service: Annotated[
        str, typer.Option(help="The shipping service; none, or one unknown: the default.")
    ] = "",
    parcels: Annotated[
        list[OrderParcel] | None,
        typer.Option(
            "--parcel",
            metavar=PARCEL,
            parser=parcel,
            help="One of several parcels and its items, by the order's line numbers; repeatable.",
        ),
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Close it with what has left: the rest never will.")
    ] = False,
) -> None:
    """Ship an order: Spartoo mails the customer the tracking number.

    All that is left in one parcel: --tracking 8R00123 --service Colissimo.
    In several, each with its lines and units:
    --parcel 8R00123:Colissimo:1x2,3 --parcel 8R00124:Colissimo:2
    What is in no parcel will never leave: --complete, with or without a last parcel.
    """
    if (tracking is not None and parcels) or not (tracking or parcels or complete):
        raise typer.BadParameter("give --tracking, or --parcel for each of several, not both")
    async with invocation.parts() as parts:
        async with parts.database.connection() as conn:
            order = await find_order(conn, name)
        asked = OrderShip(
            command="order.ship",
            id=command_id(),
            by=asked_by(),
            connection=order.connection,
            order_id=order.id,
            tracking_number=tracking,
            shipping_service=service,
            complete=complete,
            parcels=parcels and [_with_service(each, service) for each in parcels],
        )
        reply = await parts.desk.carry_out(asked)
        about = f"{order.connection} {order.id}"
        queued = f"ship {about}: stored, Spartoo is told next; `spartoo-sync orders show {about}`"
        note = reply.changes.note if reply.changes else None
        await tell(invocation, parts, reply, f"ship {about}: {note or 'done'}", queued)


def _with_service(parcel: OrderParcel, service: str) -> OrderParcel:
    """A parcel that names no service goes by that of --service."""
    return (
        parcel
        if parcel.shipping_service
        else parcel.model_copy(update={"shipping_service": service})
    )
