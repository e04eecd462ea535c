"""Withdrawn actions, and what else the corrections of this version keep beside the rows."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns and indexes; daemons of the version before go on working beside them."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
