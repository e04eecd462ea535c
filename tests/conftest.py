"""Fixtures shared by every test; servers are real, private and started once a session."""

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, however slow the machine is; `make fuzz` looks for others.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

pytest.register_assert_rewrite("tests.fixtures", "tests.chaos")

pytest_plugins = [
    "tests.fixtures.api",
    "tests.fixtures.browser",
    "tests.fixtures.cli",
    "tests.fixtures.console",
    "tests.fixtures.merchant",
    "tests.fixtures.postgres",
    "tests.fixtures.rabbitmq",
    "tests.fixtures.system",
]
