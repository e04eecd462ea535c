"""What is wrong with TLS to a neighbour, in words: whose certificate or file, and why."""

import ssl
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_OWN_REFUSED = ("CERTIFICATE", "UNKNOWN_CA", "DECRYPT", "ACCESS_DENIED")
_OWN_WRONG = ("KEY_VALUES_MISMATCH", "NO_START_LINE", "BAD_DECRYPT", "NO_CERTIFICATE_OR_CRL_FOUND")


def check_files(url: str, parameters: Iterable[str]) -> None:
    """Raise OSError, naming parameter and file, unless the files the URL names can be read."""
    query = parse_qs(urlsplit(url).query)
    for parameter in parameters:
        for name in query.get(parameter, ()):
            if name == "system":  # the system's authorities (sslrootcert)
                continue
            try:
                with Path(name).open("rb"):
                    pass
            except OSError as error:
                raise OSError(f"{parameter}={name}: {error.strerror}") from error


def tls_fault(error: BaseException, peer: str) -> str | None:
    """What an error while connecting with TLS means; None where it has nothing to do with it.

    `peer` names the other side. The alert that says why it left may be lost with the connection.
    """
    causes = _causes(error)
    found = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if found is not None:
        return _explained(found, peer)
    if any(isinstance(cause, ConnectionResetError | BrokenPipeError) for cause in causes):
        return f"{peer} left while TLS began; perhaps it does not accept our own certificate"
    return None


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it came from; libraries may have tied them into a ring."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _explained(error: ssl.SSLError, peer: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return f"the certificate of {peer} is not accepted here: {why}"
    reason = error.reason or str(error)
    words = reason.lower().replace("_", " ")
    if "_ALERT_" in reason:
        if any(sign in reason for sign in _OWN_REFUSED):
            return f"{peer} does not accept our own certificate: {words}"
        return f"{peer} broke TLS off: {words}"
    if reason in _OWN_WRONG:
        return f"the certificate, key or authority file given for {peer} cannot be used: {words}"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return f"{peer} does not speak TLS at this address"
    return f"TLS with {peer} failed: {words}"
