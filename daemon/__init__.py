"""The long-running process: puts the core and the adapters together."""
