"""How a catalogue is named on the command line."""

from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from statemachine.connection import Slug

_SLUG: TypeAdapter[str] = TypeAdapter(Slug)


def _slug(name: str) -> str:
    try:
        return _SLUG.validate_python(name)
    except ValidationError:
        raise typer.BadParameter(f"{name!r}: letters, digits and hyphens, at most 63") from None


CatalogName = Annotated[
    str,
    typer.Option(
        "--catalog", metavar="NAME", callback=_slug, help="The catalogue; connections name theirs."
    ),
]
