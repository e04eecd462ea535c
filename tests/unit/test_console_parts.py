"""The console's parts that need no server."""

from itertools import pairwise

import pytest
from cryptography.fernet import Fernet, MultiFernet
from pydantic import SecretStr

from adapters.rabbitmq.schemas import definitions
from daemon.console.login import own_path
from daemon.console.order_diagram import BOX_HEIGHT, BOX_WIDTH, diagram
from daemon.console.rendering import age
from daemon.console.seal import Seal
from daemon.console.session import Session
from daemon.login_limit import (
    ADDRESSES,
    FAILURES_IN_WINDOW,
    FREE_TRIES,
    LONGEST_WAIT,
    LoginLimit,
)
from daemon.reasons import in_words
from statemachine.changes import Transition
from statemachine.model import OrderState
from statemachine.order import TRANSITIONS
from tests.unit.builders import NOW, SECOND

CIPHER = MultiFernet([Fernet(Fernet.generate_key())])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("target", ["/", "/orders?state=new&zone=Europe/Paris", "/orders/a/b%2Fc"])
def test_login_goes_on_to_a_page_of_ours(target: str) -> None:
    assert own_path(target) == target


@pytest.mark.parametrize(
    "target",
    ["", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)",
     "/\tx", "/a\\b", "/a\r\nSet-Cookie: x", "orders"],
)  # fmt: skip
def test_login_goes_nowhere_else(target: str) -> None:
    assert own_path(target) == "/"


def test_what_is_sealed_opens_for_its_purpose_only() -> None:
    sealed = Seal(CIPHER, "search").close("Ada Lovelace")
    assert "Lovelace" not in sealed
    assert Seal(CIPHER, "search").open(sealed) == "Ada Lovelace"
    assert Seal(CIPHER, "session").open(sealed) is None
    assert Seal(MultiFernet([Fernet(Fernet.generate_key())]), "search").open(sealed) is None
    assert Seal(CIPHER, "search").open(CIPHER.encrypt(b"0123456789abcdef").decode()) is None
    for forged in ("", "x", "é", sealed[:-4], sealed.replace(sealed[40:44], "AAAA")):
        assert Seal(CIPHER, "search").open(forged) is None


def test_what_was_sealed_long_ago_is_over() -> None:
    old = CIPHER.encrypt_at_time(b'["session", {"id": "a"}]', 1_000_000).decode()
    assert Seal(CIPHER, "session").open(old) == {"id": "a"}
    assert Seal(CIPHER, "session").open(old, 60) is None


def test_a_session_is_logged_in_with_the_present_token_only() -> None:
    token, other = SecretStr("the first"), SecretStr("the second")
    assert Session.begin().logged_in(None)
    assert not Session.begin().logged_in(token)
    session = Session.begin(token)
    assert session.logged_in(token)
    assert not session.logged_in(other)
    assert session.expects(session.csrf)
    assert not session.expects("")
    assert not session.expects(Session.begin(token).csrf)
    assert not session.expects("é")
    assert token.get_secret_value() not in repr(session)


def test_wrong_passwords_cost_more_and_more_time() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    for _ in range(FREE_TRIES):
        assert limit.wait("a") == 0
        limit.failed("a")
    waits = []
    for _ in range(12):
        waits.append(limit.wait("a"))
        clock.now += waits[-1]
        assert limit.wait("a") == 0
        limit.failed("a")
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert waits[-1] == LONGEST_WAIT
    assert limit.wait("b") == 0
    limit.succeeded("a")
    assert limit.wait("a") == 0


def test_guessing_from_many_addresses_is_slow_too_and_takes_no_memory() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    for number in range(FAILURES_IN_WINDOW):
        assert limit.wait(str(number)) == 0
        limit.failed(str(number))
    assert 0 < limit.wait("new") <= 60
    clock.now += 61
    assert limit.wait("new") == 0
    for number in range(ADDRESSES * 2):
        limit.failed(str(number))
    assert len(limit._failures) == ADDRESSES


def test_the_diagram_shows_every_state_and_transition_apart() -> None:
    way = (None, OrderState.NEW, OrderState.PENDING_MANUAL, OrderState.ACCEPTED)
    history = [Transition(origin, to, "t", "by", NOW) for origin, to in pairwise(way) if to]
    drawn = diagram(OrderState.ACCEPTED, history)
    assert {box.state for box in drawn.boxes} == set(OrderState)
    assert len(drawn.ways) == sum(len(sources) for _, sources, _ in TRANSITIONS)
    assert {box.state: box.mark for box in drawn.boxes if box.mark} == {
        OrderState.NEW: "was", OrderState.PENDING_MANUAL: "was", OrderState.ACCEPTED: "now",
    }  # fmt: skip
    assert [way.name for way in drawn.ways if way.mark] == [
        "hold: new → pending manual", "accept: pending manual → accepted",
    ]  # fmt: skip
    for box in drawn.boxes:
        assert 0 <= box.x <= drawn.width - BOX_WIDTH
        assert 0 <= box.y <= drawn.height - BOX_HEIGHT
        for other in drawn.boxes:
            apart = abs(box.x - other.x) >= BOX_WIDTH or abs(box.y - other.y) >= BOX_HEIGHT
            assert other is box or apart


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "now"), (0, "now"), (59, "59 s"), (61, "1 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_ages_are_said_in_their_largest_unit(seconds: int, said: str) -> None:
    assert age(NOW - seconds * SECOND, NOW) == said


def test_every_reason_that_is_published_has_its_words() -> None:
    codes = definitions()["decision"]["properties"]["reasons"]["items"]["enum"]
    assert all(" " in words for words in in_words(codes))
