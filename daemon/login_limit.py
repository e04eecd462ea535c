"""How often a password may be tried: slower with every failure, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

FREE_TRIES = 5  # of one address, before it has to wait
FIRST_WAIT = 2.0  # seconds, doubling
LONGEST_WAIT = 900.0
FORGET_AFTER = 3600.0
ADDRESSES = 1024
WINDOW = 60.0
FAILURES_IN_WINDOW = 60  # of all addresses together


class LoginLimit:
    """Failures per address, and of all together: guessing from many addresses is slow too."""

    def __init__(self, clock: Callable[[], float] = monotonic):
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._window = (0.0, 0)  # its start, failures in it

    def wait(self, address: str) -> float:
        """Seconds this address must wait before it may try; 0 when it may."""
        now = self._clock()
        count, last = self._failures.get(address, (0, now))
        wait = 0.0
        if count >= FREE_TRIES:
            pause = min(FIRST_WAIT * 2 ** min(count - FREE_TRIES, 30), LONGEST_WAIT)
            wait = last + pause - now
        start, failures = self._window
        if failures >= FAILURES_IN_WINDOW:
            wait = max(wait, start + WINDOW - now)
        return max(wait, 0.0)

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        now = self._clock()
        count, last = self._failures.pop(address, (0, now))
        if now - last > FORGET_AFTER:
            count = 0
        self._failures[address] = (count + 1, now)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        start, failures = self._window
        self._window = (start, failures + 1) if now - start < WINDOW and failures else (now, 1)

    def succeeded(self, address: str) -> None:
        """The right one: this address starts anew."""
        self._failures.pop(address, None)
