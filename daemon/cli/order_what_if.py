"""`spartoo-sync orders what-if`: kept orders under other settings, as numbers, bars and a list."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from daemon.cli.asking import known_connection
from daemon.cli.command import Invocation
from daemon.cli.connection_names import ConnectionName
from daemon.cli.order_list import state_cell
from daemon.cli.output import cell, console, facts, show, table
from daemon.cli.times import end, moment
from daemon.what_if import what_if, what_if_document
from statemachine.connection import PriceAttribute
from statemachine.model import Decision
from statemachine.what_if import NOTES, Outcomes, ReasonCount, Supposed, WhatIf

_BAR = 40
_MOST_DAYS = 62  # more are shown by month


def _threshold(text: str) -> Decimal:
    try:
        return Supposed(price_threshold=Decimal(text)).price_threshold or Decimal(0)
    except (InvalidOperation, ValueError):
        raise typer.BadParameter(f"{text!r} is no decimal over 0 and at most 2") from None


Since = Annotated[
    datetime | None,
    typer.Option(metavar="TIME", parser=moment, help="Placed from this day or ISO 8601 time on."),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        metavar="TIME", parser=end, help="Placed before this time, or until this day's end."
    ),
]


async def what_if_orders(
    invocation: Invocation,
    connection: ConnectionName,
    *,
    since: Since = None,
    until: Until = None,
    threshold: Annotated[
        Decimal | None,
        typer.Option(metavar="DECIMAL", parser=_threshold, help="Price Attribute Threshold."),
    ] = None,
    price_attribute: Annotated[PriceAttribute | None, typer.Option(help="Price Attribute.")] = None,
    auto_accept: Annotated[bool | None, typer.Option(help="Accept Orders Automatically.")] = None,
) -> None:
    """Decide kept orders again under other settings; nothing is changed.

    Product, stock and currency checks stand as they were decided.
    Stock that orders accepted instead would have taken is not followed.
    Prices are those compared then, unless another price attribute is given:
    it is read from the catalogue as it is now.
    Settings not given are those that each decision used.
    """
    supposed = Supposed(
        auto_accept=auto_accept, price_attribute=price_attribute, price_threshold=threshold
    )
    if supposed == Supposed():
        raise typer.BadParameter("give --threshold, --price-attribute or --auto-accept")
    async with invocation.parts() as parts, parts.database.connection() as conn:
        settings = (await known_connection(conn, connection)).settings
        with _progress() as told:
            found = await what_if(conn, settings, since, until, supposed, told)
    document = what_if_document(found, settings.id, (since, until))
    show(document, as_json=invocation.as_json, render=lambda: _render(found))


@contextmanager
def _progress() -> Iterator[Callable[[WhatIf], None]]:
    """How many orders were read, on a terminal only."""
    err = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} orders"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("what if", total=None)
        yield lambda found: progress.update(task, completed=found.orders)


def _render(found: WhatIf) -> Iterator[RenderableType]:
    if not found.orders:
        yield "no orders in this period"
        return
    yield _summary(found)
    if found.by_reason:
        yield ""
        yield _reasons(found.by_reason)
    if found.by_day:
        yield ""
        yield from _days(found.by_day)
    if found.differing:
        yield ""
        yield _differing(found)
    if found.differ > len(found.differing):
        yield f"the {len(found.differing)} newest of {found.differ} that differ are shown"
    yield ""
    for note in NOTES:
        yield Text(f"• {note}", style="dim")


def _summary(found: WhatIf) -> RenderableType:
    outcomes = found.outcomes
    states = ", ".join(
        f"{count} {state}" for state, count in found.newly_accepted_by_state.most_common()
    )
    newly = f"{found.newly_accepted}" + (f" (now {states})" if states else "")
    pairs: list[tuple[str, object]] = [
        ("orders", f"{found.orders}, {found.undecided} without a decision"),
        ("accepted", f"{outcomes.accepted} → {outcomes.would_accept}"),
        ("held", f"{outcomes.decided - outcomes.accepted} → {_would_hold(outcomes)}"),
        ("accepted instead of held", cell(newly, "green" if found.newly_accepted else "")),
        ("held instead of accepted", cell(found.newly_held, "yellow" if found.newly_held else "")),
    ]
    if found.at_present_prices:
        pairs.append(("measured by present prices", found.at_present_prices))
    return facts(pairs)


def _would_hold(outcomes: Outcomes) -> int:
    return outcomes.decided - outcomes.would_accept


def _reasons(by_reason: Mapping[str, ReasonCount]) -> RenderableType:
    most = max(max(count.was, count.would_be) for count in by_reason.values())
    return table(
        ("held because", "was", "would be", ""),
        [
            (reason, count.was, count.would_be, bar([(count.would_be, "yellow")], most))
            for reason, count in sorted(by_reason.items(), key=lambda item: -item[1].was)
        ],
    )


def _days(by_day: Mapping[date, Outcomes]) -> Iterator[RenderableType]:
    months = len(by_day) > _MOST_DAYS
    periods: dict[str, Outcomes] = {}
    for day, outcomes in sorted(by_day.items()):
        total = periods.setdefault(f"{day:%Y-%m}" if months else f"{day}", Outcomes())
        total.decided += outcomes.decided
        total.accepted += outcomes.accepted
        total.would_accept += outcomes.would_accept
    most = max(outcomes.decided for outcomes in periods.values())
    yield table(
        ("month" if months else "day", "decided", "accepted", "would be", ""),
        [
            (period, o.decided, o.accepted, o.would_accept, bar(_parts(o), most))
            for period, o in periods.items()
        ],
    )
    legend = [("█ accepted ", "green"), ("█ accepted then only ", "red")]
    yield Text.assemble(*legend, ("█ accepted now only ", "cyan"), ("█ held", "yellow"))


def _parts(outcomes: Outcomes) -> Sequence[tuple[int, str]]:
    both = min(outcomes.accepted, outcomes.would_accept)
    more = max(outcomes.accepted, outcomes.would_accept)
    colour = "red" if outcomes.accepted > outcomes.would_accept else "cyan"
    return [(both, "green"), (more - both, colour), (outcomes.decided - more, "yellow")]


def bar(parts: Sequence[tuple[int, str]], most: int) -> Text:
    """One bar of coloured parts; `most` fills its width, anything at all is seen."""
    made, position, drawn = Text(), 0, 0
    for count, style in parts:
        position += count
        end_at = max(round(position * _BAR / most), drawn + (count > 0))
        made.append("█" * (end_at - drawn), style=style)
        drawn = end_at
    return made


def _differing(found: WhatIf) -> RenderableType:
    return table(
        ("order", "placed", "now", "was", "would be", "prices"),
        [
            (
                one.order_id,
                one.purchased_at,
                state_cell(one.state),
                _outcome(one.was),
                _outcome(one.would_be),
                "\n".join(c.detail for c in one.would_be.checks if c.check == "price"),
            )
            for one in found.differing
        ],
    )


def _outcome(decision: Decision) -> Text:
    return cell("\n".join(decision.reasons) or decision.outcome)
