"""One folder per outside system, each behind a Protocol of `adapters.ports`."""
