"""Comparing names that people type."""

import unicodedata


def canonical_name(name: str) -> str:
    """The name without case, accents, spacing or punctuation: "Mondial-Relay" → "mondialrelay"."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(c for c in decomposed if c.isalnum()).casefold()
