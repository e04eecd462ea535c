"""The command line `spartoo-sync`."""

from daemon.cli.app import main

__all__ = ["main"]
