"""What every answer of the web services has: XML that can be trusted, and a result code."""

import re
from dataclasses import dataclass

from lxml import etree

from adapters.ports import TransportFault
from adapters.spartoo.text import AnswerText

KEPT_FOR_DIAGNOSIS = 2048  # bytes of the answer's start
_LONGEST_PROLOG = 1 << 16
_SLICE = 1 << 16  # bytes cleaned at once; other threads wait meanwhile
_MOST_TAGS = 100_000  # of an answer that is read whole; one about 5,000 sizes has fewer
_MOST_NAMESPACES = 64

_PROLOG = re.compile(rb"(?>\s+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
_OPENING = re.compile(rb"<(?:(!doctype\s+html|html)|(!doctype)|([a-z_]))", re.IGNORECASE)
_UNFINISHED = re.compile(rb"<(?:!.{0,13}|\?.*)?", re.DOTALL)
_CODE = re.compile(r"-?[0-9]{1,9}")
_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    remove_comments=True,
    remove_pis=True,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result code of an answer (None: it has none) and the description beside it."""

    code: int | None
    description: str = ""


class BadAnswer(Exception):
    """What came is not the XML of an answer; the message says what it is."""


def transport_fault(error: BadAnswer, start: bytes) -> TransportFault:
    """The fault as the port knows it, with the start of what came."""
    received = start[:KEPT_FOR_DIAGNOSIS].decode("utf-8", "replace")
    return TransportFault(str(error), received=received)


def find_root(text: bytes) -> int | None:
    """Where the root element begins, None while it has not come; raises BadAnswer.

    A document type is refused: no answer has one, and it could name entities and files.
    """
    prolog = _PROLOG.match(text)
    start = prolog.end() if prolog else 0
    opening = _OPENING.match(text, start)
    if opening is not None and opening[3]:
        return start
    if opening is not None:
        raise BadAnswer(
            "HTML instead of XML" if opening[1] else "a document type, which is refused"
        )
    unfinished = start == len(text) or _UNFINISHED.fullmatch(text, start)
    if not unfinished or len(text) > _LONGEST_PROLOG:
        raise BadAnswer("no XML")
    return None


def _clean(body: bytes) -> bytes:
    text = AnswerText()
    slices = (body[start : start + _SLICE] for start in range(0, len(body), _SLICE))
    return b"".join([*map(text.feed, slices), text.finish()])


def answers_in(element: etree._Element) -> list[Answer]:
    """Every result code inside the element, in its order."""
    found = map(_answer_in, element.iter("errors", "error", "statut"))
    return [answer for answer in found if answer is not None]


def find_result(root: etree._Element) -> Answer:
    """The code that counts: the first negative one, else the first."""
    answers = answers_in(root)
    negative = (answer for answer in answers if answer.code is not None and answer.code < 0)
    return next(negative, answers[0] if answers else Answer(None))


def _answer_in(element: etree._Element) -> Answer | None:
    """The code in `errors` as a bare integer, or in the `id` of `statut` or `error`."""
    for text in (element.findtext("id"), element.text):
        if text is not None and _CODE.fullmatch(text.strip()):
            description = element.findtext("description") or ""
            return Answer(int(text), " ".join(description.split()))
    return None


def read_answer(body: bytes) -> Answer:
    """The result of a call that changes something; raises TransportFault where it is unknown."""
    answer = find_result(read_root(body))
    if answer.code is None:
        raise transport_fault(BadAnswer("XML without a result code"), body)
    return answer


def read_root(body: bytes) -> etree._Element:
    """The root element of an answer; raises TransportFault where that is no XML."""
    try:
        return _parse(body)
    except BadAnswer as error:
        raise transport_fault(error, body) from None


def read_root_and_result(body: bytes) -> tuple[etree._Element, Answer]:
    """The root element and the code that counts; raises TransportFault where that is no XML."""
    root = read_root(body)
    return root, find_result(root)


def _parse(body: bytes) -> etree._Element:
    if not body.strip():
        raise BadAnswer("an empty answer")
    clean = _clean(body)
    start = find_root(clean[: _LONGEST_PROLOG + 1])
    if start is None:
        raise BadAnswer("no XML")
    if clean.count(b"<") > _MOST_TAGS or clean.count(b"xmlns") > _MOST_NAMESPACES:
        raise BadAnswer(f"XML with over {_MOST_TAGS} tags or {_MOST_NAMESPACES} namespaces")
    try:
        return etree.fromstring(clean[start:], _PARSER)
    except etree.XMLSyntaxError:
        raise BadAnswer("cut-off or malformed XML") from None
