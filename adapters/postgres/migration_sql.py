"""The SQL of migrations, by Alembic in its offline mode: they need no second driver."""

from io import StringIO
from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory


def script_directory() -> ScriptDirectory:
    """This program's migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def missing_steps(present: str | None, wanted: str) -> str:
    """The SQL from one revision to another, with Alembic's own bookkeeping."""
    script, output = script_directory(), StringIO()
    with EnvironmentContext(
        Config(),
        script,
        fn=lambda revision, _: script._upgrade_revs(wanted, revision),  # noqa: SLF001 - as Alembic's own commands do
        as_sql=True,
        starting_rev=present,
    ) as environment:
        environment.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},
            output_buffer=output,
        )
        environment.run_migrations()
    return output.getvalue()
