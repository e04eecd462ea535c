"""One target under atheris: python -m tests.fuzz.child TARGET [libFuzzer options] CORPUS…"""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["adapters", "daemon", "statemachine"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    logging.disable()  # aiohttp tells of every request it cannot read
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *options], target.try_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
