"""The demo: a whole order pipeline on one machine, private and temporary."""

from daemon.demo.failed import DemoFailed
from daemon.demo.play import run_demo

__all__ = ["DemoFailed", "run_demo"]
