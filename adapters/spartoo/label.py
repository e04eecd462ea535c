"""Return labels: what may be sent as one."""

from urllib.parse import urlsplit

from adapters.ports import Label

LARGEST_LABEL = 5 << 20  # bytes
_PDF = b"%PDF-"


def check_label(label: Label) -> None:
    """Raises ValueError that says what is wrong with the label."""
    if (label.link is None) is (label.pdf is None):
        raise ValueError("a label is either a link or a PDF file: give one of them")
    if label.link is not None:
        _check_link(label.link)
    if label.pdf is not None:
        _check_pdf(label.pdf)


def _check_link(link: str) -> None:
    try:
        parts = urlsplit(link)
    except ValueError:
        raise ValueError("the label link is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or len(link.split()) != 1:
        raise ValueError("the label link must be an address that starts with https:// or http://")


def _check_pdf(pdf: bytes) -> None:
    if len(pdf) > LARGEST_LABEL:
        size = f"{len(pdf) / (1 << 20):.1f} MiB"
        raise ValueError(f"the label file has {size}; at most {LARGEST_LABEL >> 20} MiB are sent")
    if not pdf.startswith(_PDF):
        raise ValueError("the label file is no PDF: it does not begin with %PDF-")
