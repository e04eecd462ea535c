"""How a demo ends that could not be given, or showed something that must not be."""


class DemoFailed(Exception):
    """The demo could not be given. Nothing of it is left; the message says what to do."""
