"""Fixtures shared by every test; servers are real, private and started once a session."""

import pytest

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
