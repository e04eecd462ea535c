"""From the bytes of an answer to UTF-8 that a strict XML parser takes.

Encodings are taken as declared or as they are, characters illegal in XML are dropped, references
XML does not know are mended. Text leaves only up to a `>`, so no tag or reference is ever split.
"""

import codecs
import html.entities
import re
import sys
from collections.abc import Iterator

_CONTROLS = bytes(sorted(set(range(0x20)) - {0x09, 0x0A, 0x0D}))
_NONCHARACTERS = re.compile(b"\xef\xbf[\xbe\xbf]")
_REFERENCE = rb"(?:#0*([0-9]{1,7});|#[xX]0*([0-9a-fA-F]{1,6});|([A-Za-z][A-Za-z0-9]{1,31});)"
_BARE_AMPERSAND = re.compile(rb"&(?!%s)" % _REFERENCE)
_UNKNOWN_REFERENCE = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)%s" % _REFERENCE)
_CHARACTER = (
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2}"
    rb"|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
# Three bytes more must be there: what is cut may be a character all the same.
_NOT_UTF8 = re.compile(rb"(?:(?!%s)[\x80-\xff](?=[\x00-\xff]{3}))*+" % _CHARACTER)
_XML_CHARACTER = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CDATA_OPEN, _CDATA_CLOSE = b"<![CDATA[", b"]]>"

_MARKS = (
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})""")
_NATIONAL = re.compile(r"iso8859-\d+|cp125\d|koi8-r")
_LONGEST_DECLARATION = 1024
_LONGEST_WITHOUT_TAG = 1 << 17


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: the bytes that are not UTF-8 are read as Windows-1252, a run at once."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    run = _NOT_UTF8.match(error.object, error.end)
    end = run.end() if run else error.end
    return error.object[error.start : end].decode("cp1252", "replace"), end


codecs.register_error("spartoo-windows", _as_windows)


def _is_xml_character(point: int) -> bool:
    return point <= sys.maxunicode and _XML_CHARACTER.match(chr(point)) is not None


def _mended(match: re.Match[bytes]) -> bytes:
    """The XML reference for one that XML does not have; illegal characters become nothing."""
    decimal, hexadecimal, name = match.groups()
    if name is not None:
        text = html.entities.html5.get(f"{name.decode()};", f"&{name.decode()};")
        return html.escape(text, quote=True).encode()
    point = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return b"&#%d;" % point if _is_xml_character(point) else b""


def _mend(text: bytes) -> bytes:
    if b"&" not in text:
        return text
    return _UNKNOWN_REFERENCE.sub(_mended, _BARE_AMPERSAND.sub(b"&amp;", text))


def _decoder(start: bytes) -> codecs.IncrementalDecoder:
    """The decoder for a document that begins so.

    UTF-8 with Windows-1252 for what is not UTF-8 serves those declaring ISO-8859-1 as well.
    """
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace")
    declared = _DECLARED.match(_head(start[:_LONGEST_DECLARATION]))
    if declared is not None:
        try:
            name = codecs.lookup(declared[1].decode()).name
        except LookupError:
            name = "utf-8"
        if _NATIONAL.fullmatch(name) and name not in ("iso8859-1", "cp1252"):
            return codecs.getincrementaldecoder(name)("replace")
    return codecs.getincrementaldecoder("utf-8-sig")("spartoo-windows")


def _head(start: bytes) -> bytes:
    """Where the declaration stands if there is one; further on it is text."""
    return start.removeprefix(codecs.BOM_UTF8).lstrip()


def _is_decided(start: bytes) -> bool:
    """True once enough has come to know the encoding."""
    if len(start) < len(codecs.BOM_UTF8):
        return False
    head = _head(start)
    declares = head.startswith(b"<?xml") or b"<?xml".startswith(head)
    return not declares or b"?>" in head or len(start) >= _LONGEST_DECLARATION


class AnswerText:
    """Feed it the answer's bytes in any chunks; it hands back the clean text piece by piece."""

    def __init__(self) -> None:
        self._start = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held: list[bytes] = []
        self._held_size = 0
        self._in_cdata = False

    def feed(self, chunk: bytes) -> bytes:
        """The text that is complete now."""
        if self._decoder is None:
            self._start += chunk
            if not _is_decided(self._start):
                return b""
            chunk, self._start = self._start, b""
            self._decoder = _decoder(chunk)
        return self._complete(self._decoder.decode(chunk))

    def finish(self) -> bytes:
        """The rest, when the answer has ended."""
        decoder = self._decoder or _decoder(self._start)
        self._hold(decoder.decode(self._start, final=True))
        return self._release()

    def _complete(self, text: str) -> bytes:
        """What is held and the new text up to its last `>`; the rest is held, if not too much."""
        cut = text.rfind(">") + 1
        if cut == 0 and self._held_size < _LONGEST_WITHOUT_TAG:
            self._hold(text)
            return b""
        self._hold(text[:cut])
        released = self._release()
        self._hold(text[cut:])
        return released

    def _hold(self, text: str) -> None:
        # A UTF-16 document may hold a lone half of a pair, which UTF-8 cannot say.
        self._held.append(text.encode("utf-8", "replace"))
        self._held_size += len(text)

    def _release(self) -> bytes:
        text = b"".join(self._held).translate(None, _CONTROLS)
        self._held.clear()
        self._held_size = 0
        if b"\xef\xbf" in text:
            text = _NONCHARACTERS.sub(b"", text)
        if not self._in_cdata and _CDATA_OPEN not in text:
            return _mend(text)
        return b"".join(self._mended_around_cdata(text))

    def _mended_around_cdata(self, text: bytes) -> Iterator[bytes]:
        """References inside CDATA are plain text and stay as they are."""
        start = 0
        while start < len(text):
            mark = _CDATA_CLOSE if self._in_cdata else _CDATA_OPEN
            found = text.find(mark, start)
            end = len(text) if found < 0 else found + len(mark)
            yield text[start:end] if self._in_cdata else _mend(text[start:end])
            self._in_cdata ^= found >= 0
            start = end
