"""Result codes, the answers they stand in, and the sites."""

import re

import pytest

from adapters.ports import (
    AccountRejected,
    MarketplaceError,
    NotFound,
    Rejected,
    Throttled,
    TransportFault,
    WrongChronology,
)
from adapters.spartoo.answer import Answer, read_answer
from adapters.spartoo.errors import code_label, error_for
from adapters.spartoo.sites import SITES, UnknownSite, base_url, find_site


@pytest.mark.parametrize("code", [1, -9, -18, -25])
def test_successes(code: int) -> None:
    assert error_for(code, "") is None


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (AccountRejected, [-1, -2, -428]),
        (Throttled, [-429]),
        (NotFound, [-6]),
        (WrongChronology, [-7]),
        (TransportFault, [-22, -23, 0, 2, 100]),
        (Rejected, [-3, -5, -11, -12, -13, -14, -15, -16, -20, -24, -8, -999]),
    ],
)
def test_errors(kind: type[MarketplaceError], codes: list[int]) -> None:
    for code in codes:
        error = error_for(code, "what they say")
        assert type(error) is kind
        assert error.code == code
        assert str(code) in error.message


def test_an_account_is_rejected_for_a_reason() -> None:
    for code, reason in ((-1, "bad_key"), (-2, "bad_key"), (-428, "deactivated")):
        error = error_for(code, "")
        assert isinstance(error, AccountRejected)
        assert error.reason == reason


def test_the_description_is_kept_shortened() -> None:
    error = error_for(-999, "x" * 300)
    assert error is not None
    assert error.message == f'-999: unknown result code ("{"x" * 200}")'


def test_our_faults_say_so() -> None:
    error = error_for(-3, "")
    assert error is not None
    assert "fault of ours" in error.message


def test_labels_are_bounded() -> None:
    labels = {code_label(code) for code in [None, *range(-1000, 1000)]}
    assert {"1", "-429", "-7", "none", "other"} <= labels
    assert len(labels) < 30


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("<root><errors>1</errors></root>", Answer(1)),
        ("<root><errors>\n -7 </errors></root>", Answer(-7)),
        ("<root><statut><id>-9</id></statut></root>", Answer(-9)),
        (
            "<root><statut><description> d\n e </description><id> 1 </id></statut></root>",
            Answer(1, "d e"),
        ),
        (
            "<root><errors><error><id>-6</id><description>no</description></error></errors></root>",
            Answer(-6, "no"),
        ),
        (
            "<root><orders><order><errors><error><id>-7</id></error></errors></order></orders></root>",
            Answer(-7),
        ),
        ("<root><errors>1</errors><statut><id>-7</id></statut></root>", Answer(-7)),
        ("<root><errors/><statut><id>1</id></statut></root>", Answer(1)),
        ("<root><statut>1</statut></root>", Answer(1)),
        ("\n<root><statut><id>1</id><description>a & b &eacute;</description></statut></root>",
         Answer(1, "a & b é")),
    ],
)  # fmt: skip
def test_where_the_code_stands(body: str, answer: Answer) -> None:
    assert read_answer(body.encode()) == answer


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "empty"),
        ("\n", "empty"),
        ("<html><p>", "HTML"),
        ("OK", "no XML"),
        ("1", "no XML"),
        ("<root><errors>1</errors>", "cut-off"),
        ("<root/>", "without a result code"),
        ("<root><errors/></root>", "without a result code"),
        ("<root><errors>none</errors></root>", "without a result code"),
        ('<!DOCTYPE root [<!ENTITY x "1">]><root><errors>&x;</errors></root>', "document type"),
    ],
)
def test_an_outcome_that_is_unknown(body: str, told: str) -> None:
    with pytest.raises(TransportFault, match=re.escape(told)) as caught:
        read_answer(body.encode())
    assert caught.value.received == body


def test_sites() -> None:
    assert base_url("fr") == "https://sws.spartoo.com/mp"
    assert base_url("hr") == "https://sws.spartoo.com.hr/mp"
    assert find_site("uk").currency == "GBP"
    assert find_site("bg").currency == find_site("at").currency == "EUR"
    assert len(SITES) == 23
    assert len({site.host for site in SITES.values()}) == len(SITES)


def test_an_unknown_site_lists_those_known() -> None:
    with pytest.raises(UnknownSite, match=r"site 'us' is not one of Spartoo's: use one of fr, uk,"):
        base_url("us")
