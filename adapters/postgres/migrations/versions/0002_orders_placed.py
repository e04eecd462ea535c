"""Orders are also counted by the day they were placed."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count what comes from now on by triggers, and what is stored once."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
