"""What the browser keeps for us and must neither read nor forge: sealed with the secret key."""

from typing import Any

import orjson
from cryptography.fernet import InvalidToken, MultiFernet


class Seal:
    """Seals JSON values for one purpose; what was sealed for another does not open here."""

    def __init__(self, cipher: MultiFernet, purpose: str):
        self._cipher = cipher
        self._purpose = purpose

    def close(self, value: Any) -> str:
        """The value as text that is safe in a cookie or URL."""
        return self._cipher.encrypt(orjson.dumps([self._purpose, value])).decode()

    def open(self, sealed: str, seconds: int | None = None) -> Any:
        """The value; None when it is not ours, is for another purpose, or older than `seconds`."""
        try:
            purpose, value = orjson.loads(self._cipher.decrypt(sealed.encode(), ttl=seconds))
        except (InvalidToken, ValueError, TypeError):
            return None
        return value if purpose == self._purpose else None
