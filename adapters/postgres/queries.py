"""Reads the named SQL blocks of `sql/*.sql` (`-- name: lock` and a line of purpose)."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(group: str) -> Mapping[str, LiteralString]:
    """The blocks of `sql/<group>.sql` by name; they ship with the package, so they are literals."""
    text = (files(__package__) / "sql" / f"{group}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    blocks = dict(zip(parts[::2], parts[1::2], strict=True))
    return {name: cast("LiteralString", block.strip()) for name, block in blocks.items()}
