"""What an order is found by: folded words, and what a person types as a query on them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.words import fold, found_whole, name_query, order_words, query
from statemachine.model import ConnectionId, Customer, OrderId
from tests.unit.builders import Story, product

FR = ConnectionId("shoes-fr")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Zoé  Müller\n", "zoe muller"),
        ("STRASSE Straße", "strasse strasse"),
        ("ﬁne", "fine"),
        ("\0 \u0301", ""),
    ],
)
def test_case_accents_and_space_do_not_matter(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_an_order_is_found_by_names_and_by_ids_as_they_are() -> None:
    order = Story(product()).seen(customer=Customer("Zoé", "O'Neil-Dupont", "", "z@a.fr")).order
    found = order_words(replace(order, store_order_id="S 1/2"), ["98_38", "98"])
    assert found == [
        *("@shoes-fr", "zoe", "o", "neil", "dupont", str(order.id).lower()),
        *("s 1/2", "98_38", "98", "a.fr", "email:z@a.fr"),
    ]


def test_words_are_bounded() -> None:
    customer = Customer(company=" ".join(f"w{n}" for n in range(5000)), last_name="x" * 5000)
    found = order_words(Story(product()).seen(customer=customer).order, [])
    assert len(found) == 1001
    assert max(map(len, found)) == 100


@pytest.mark.parametrize(
    ("text", "connection", "wanted"),
    [
        ("Zoé", None, "'zoe':*"),
        ("Li", None, "'li' | 'li'"),
        ("Z@a", None, "'z@a' | 'email:z@a':*"),
        ("a.fr", None, "'a.fr' | 'a' & 'fr'"),
        ("98_38", None, "'98_38' | '98' & '38'"),
        ("li wei", FR, "('li wei' | 'li' & 'wei':*) & '@shoes-fr'"),
        ("zoe dup", None, "'zoe dup' | 'zoe' & 'dup':*"),
        ("!!!", None, "'!!!'"),
        ("a'b\\c", None, "'a''b\\\\c' | 'a' & 'b' & 'c'"),
    ],
)
def test_the_last_word_of_a_query_may_be_a_beginning(
    text: str, connection: ConnectionId | None, wanted: str
) -> None:
    assert query(text, connection) == wanted


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Li", "li"),
        ("zoe d", "d"),
        ("zoe dup", ""),
        ("a@", ""),
        ("", ""),
        ("!!!", ""),
        ("li wei", ""),
    ],
)
def test_a_word_too_short_to_be_a_beginning_is_named(text: str, whole: str) -> None:
    assert found_whole(text) == whole


def test_a_products_name_is_found_by_the_beginnings_of_its_words() -> None:
    assert name_query("Derby, noir 38") == "'derby' & 'noir' & '38'"
    assert name_query("Derby noi") == "'derby' & 'noi':*"
    assert name_query("…") == ""


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_word_of_a_name_is_found_by_itself(first: str, last: str) -> None:
    customer = Customer(first_name=first, last_name=last)
    order = Story(product()).seen(customer=customer, order_id=OrderId("A1")).order
    found = order_words(order, [])
    assert all(found)
    assert all("\n" not in word for word in found)
    assert len(found) == len(set(found))


def test_a_text_of_marks_alone_finds_nothing() -> None:
    assert query("\u0301", None) == query("\u0301", ConnectionId("shoes-fr")) == "'@'"
