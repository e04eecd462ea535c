"""The words an order is found by: folded, so that case, accents and punctuation do not matter.

`words` of an order are kept in `order_search`; `query` is what a person typed, as PostgreSQL's
tsquery. The last word typed may be the beginning of one once it is three characters long, those
before it are whole. References, store order ids and an e-mail address's domain are found whole, as
they are; an address from its beginning once an @ was typed.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from statemachine.model import ConnectionId, Order

PREFIX_LENGTH = 3  # shorter beginnings would match a large part of all orders
_NOTHING = "@"  # a word that no order has
_LONGEST = 100  # characters of a word that are compared
_MOST = 1000  # words of one order
_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Lower case, without accents, each run of white space one space."""
    plain = text.casefold() if text.isascii() else _without_accents(text)
    return " ".join(plain.replace("\0", "").split())


def _without_accents(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in plain if not unicodedata.combining(c))


def order_words(order: Order, identifiers: Iterable[str]) -> list[str]:
    """Everything one order is found by, and the mark of its connection."""
    customer = order.facts.customer
    names = fold(f"{customer.first_name} {customer.last_name} {customer.company}")
    email = fold(customer.email)
    whole = (order.id, order.store_order_id or "", *identifiers, email.partition("@")[2])
    found = (*_split(names), *_whole(whole), *((_email(email),) if email else ()))
    return _marked(order.connection, found)


def words_without_person(connection: ConnectionId, whole: Iterable[str]) -> list[str]:
    """What an order is still found by without its customer: its ids and references."""
    return _marked(connection, _whole(whole))


def _whole(texts: Iterable[str]) -> Iterator[str]:
    return filter(None, (fold(text)[:_LONGEST] for text in texts))


def _marked(connection: ConnectionId, found: Iterable[str]) -> list[str]:
    return [mark(connection), *list(dict.fromkeys(found))[:_MOST]]


def mark(connection: ConnectionId) -> str:
    """A word no text folds to, so that the index knows whose an order is."""
    return f"@{connection}"


def _email(folded: str) -> str:
    """Kept apart: where every customer has one, the beginnings of names would match too many."""
    return f"email:{folded}"[:_LONGEST]


def query(text: str, connection: ConnectionId | None) -> str:
    """A tsquery: all the words, the last begun, or the whole; of one connection, or of any."""
    whole = fold(text)[:_LONGEST]
    if not whole:
        return _quoted(_NOTHING)
    begun = _quoted(_email(whole)) + ":*" if "@" in whole else _begun(_split(whole))
    exact = "" if begun == f"{_quoted(whole)}:*" else _quoted(whole)
    either = " | ".join(filter(None, (exact, begun)))
    return f"({either}) & {_quoted(mark(connection))}" if connection else either


def found_whole(text: str) -> str:
    """The last word typed, where it is too short to find words that begin so; else ""."""
    whole = fold(text)
    last = "" if "@" in whole else "".join(_split(whole)[-1:])
    return last if len(last) < PREFIX_LENGTH else ""


def name_query(text: str) -> str:
    """A tsquery on a product's name: all the words, the last begun."""
    return _begun(_split(text.casefold().replace("\0", "")))


def _begun(words: Sequence[str]) -> str:
    """All of the words, the last of them perhaps not typed to its end."""
    quoted = [_quoted(word) for word in words]
    if words and len(words[-1]) >= PREFIX_LENGTH:
        quoted[-1] += ":*"
    return " & ".join(quoted)


def _split(folded: str) -> list[str]:
    return [word[:_LONGEST] for word in _WORD.findall(folded.replace("_", " "))]


def _quoted(word: str) -> str:
    """A lexeme in a tsquery, whatever characters it has."""
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
