"""Fixtures shared by every test; servers are real, private and started once a session."""

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.rabbitmq"]
