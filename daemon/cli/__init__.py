"""The command line `spartoo-sync`."""


def main() -> int:
    """The entry point; the exit status."""
    from daemon.cli.app import main as run  # noqa: PLC0415 - the demo uses single modules of this package

    return run()
