"""The demo (placeholder to be replaced at once)."""


class DemoFailed(Exception):
    """x"""


async def run_demo(settings: object, seconds: float | None) -> None:
    """X"""
