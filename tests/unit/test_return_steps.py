"""What facts and commands do to a return."""

from datetime import timedelta

import orjson
import pytest
from jsonschema import Draft202012Validator

from adapters.postgres.codec import dump
from adapters.rabbitmq.envelope import cloud_event
from adapters.rabbitmq.schemas import schema_for_event
from statemachine.changes import EventType
from statemachine.facts import Refused
from statemachine.model import ActionKind, ActionStatus, ReturnState
from statemachine.return_facts import (
    AcceptReturn,
    GivenLabel,
    LabelReturn,
    RefuseReturn,
    ReturnCommand,
    ReturnSeen,
    UnknownReturnStatus,
)
from tests.fixtures.events import logged_event
from tests.unit.builders import ORDER_ID, RETURN_ID, ReturnStory, marketplace_return

S = ReturnState
E = EventType
ACCEPT, REFUSE = ActionKind.RETURN_ACCEPT, ActionKind.RETURN_REFUSE
LABEL = ActionKind.RETURN_LABEL
PENDING, DONE = ActionStatus.PENDING, ActionStatus.DONE
FAILED, SUPERSEDED = ActionStatus.FAILED, ActionStatus.SUPERSEDED

LINK = GivenLabel("d1", "https://label.example/1")
FILE = GivenLabel("d2")
STATUS = {S.REQUESTED: 2, S.REFUSED: 3, S.ACCEPTED: 4, S.PAID: 5, S.REFUNDED: 7}


def reached(state: ReturnState) -> ReturnStory:
    return ReturnStory().seen(status=STATUS[state])


def accept(label: GivenLabel | None = None) -> AcceptReturn:
    return AcceptReturn("ada", label)


def refuse(label: GivenLabel | None = None) -> RefuseReturn:
    return RefuseReturn("ada", label)


# --- what the marketplace says -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "path"),
    [
        (2, [S.REQUESTED]),
        (3, [S.REQUESTED, S.REFUSED]),
        (4, [S.REQUESTED, S.ACCEPTED]),
        (5, [S.REQUESTED, S.ACCEPTED, S.PAID]),
        (7, [S.REQUESTED, S.ACCEPTED, S.PAID, S.REFUNDED]),
    ],
)
def test_first_sight_walks_every_state(status: int, path: list[ReturnState]) -> None:
    story = ReturnStory().seen(status=status)
    assert story.path == path
    assert story.told == [f"return.{state}" for state in path]
    assert story.last.created
    assert story.last.history[0].from_state is None
    assert {move.by for move in story.last.history} == {"marketplace"}


def test_an_unknown_status_at_first_sight_is_not_guessed() -> None:
    with pytest.raises(UnknownReturnStatus, match="return_status is 6; known are 2, 3, 4, 5, 7"):
        ReturnStory().seen(status=6)


def test_steps_nobody_saw_are_walked_through() -> None:
    story = reached(S.REFUSED).seen(status=7)
    assert story.path == [S.REQUESTED, S.REFUSED, S.ACCEPTED, S.PAID, S.REFUNDED]
    assert story.told == [E.RETURN_ACCEPTED, E.RETURN_PAID, E.RETURN_REFUNDED]


def test_the_same_again_changes_nothing() -> None:
    story = reached(S.ACCEPTED).seen()
    assert not story.last.touched
    assert not story.last.stale


def test_a_reading_from_before_tells_nothing() -> None:
    story = reached(S.REQUESTED)
    before = story.returned.changed_at - timedelta(seconds=1)
    story.does(ReturnSeen(marketplace_return(status=4), before))
    assert (story.last.stale, story.last.touched) == (True, False)
    assert story.returned.state is S.REQUESTED


def test_a_new_reason_is_kept_and_no_event() -> None:
    story = reached(S.REQUESTED).seen(reason="too large")
    assert story.returned.facts.reason == "too large"
    assert (story.last.touched, story.told) == (True, [])


@pytest.mark.parametrize("status", [2, 6])
def test_what_cannot_be_followed_is_a_problem_once_and_then_solved(status: int) -> None:
    story = reached(S.PAID).seen(status=status)
    problem = story.returned.problem
    assert problem is not None
    assert problem.code == "unexpected_status"
    assert str(status) in problem.message
    assert story.path[-1] is S.PAID
    assert not story.seen(status=status).last.touched
    assert story.seen(status=7).returned.problem is None
    assert story.returned.state is S.REFUNDED


# --- commands ------------------------------------------------------------------------------------


def test_accepting_queues_and_moves_only_when_spartoo_has_said_so() -> None:
    story = reached(S.REQUESTED).does(accept())
    assert story.last.answer == "queued"
    assert [(a.kind, a.by) for a in story.last.actions] == [(ACCEPT, "ada")]
    assert (story.returned.state, story.told) == (S.REQUESTED, [])
    story.carried_out(ACCEPT)
    assert (story.returned.state, story.told) == (S.ACCEPTED, [E.RETURN_ACCEPTED])
    assert story.last.settled == {ACCEPT: DONE}
    assert story.returned.facts.status == 4
    assert story.returned.touched_by == "ada"


def test_refusing_and_accepting_after_all() -> None:
    story = reached(S.REQUESTED).does(refuse()).carried_out(REFUSE)
    assert (story.returned.state, story.told) == (S.REFUSED, [E.RETURN_REFUSED])
    story.does(accept()).carried_out(ACCEPT)
    assert story.path == [S.REQUESTED, S.REFUSED, S.ACCEPTED]


@pytest.mark.parametrize("command", [accept(), refuse(), LabelReturn("ada", LINK)])
def test_the_same_command_while_it_waits_adds_nothing(command: ReturnCommand) -> None:
    story = reached(S.REQUESTED).does(command).does(command)
    assert story.last.answer == "queued"
    assert not story.last.touched


@pytest.mark.parametrize(
    ("state", "command", "possible"),
    [
        (S.ACCEPTED, accept(), "label"),
        (S.PAID, accept(), "nothing"),
        (S.REFUNDED, accept(), "nothing"),
        (S.REFUSED, refuse(), "accept, label"),
        (S.ACCEPTED, refuse(), "label"),
        (S.PAID, LabelReturn("ada", LINK), "nothing"),
        (S.REFUNDED, LabelReturn("ada", FILE), "nothing"),
    ],
)
def test_the_wrong_state_is_named_with_what_is_possible(
    state: ReturnState, command: ReturnCommand, possible: str
) -> None:
    story = reached(state)
    with pytest.raises(Refused) as refused:
        story.does(command)
    assert refused.value.code == "wrong_state"
    assert f"return {RETURN_ID} is {state}" in refused.value.message
    assert refused.value.message.endswith(f"possible: {possible}")


@pytest.mark.parametrize(
    ("given", "code"),
    [({"active": False}, "connection_disabled"), ({"sync_level": "stock_only"}, "stock_only")],
)
def test_connections_that_do_not_obey(given: dict[str, object], code: str) -> None:
    story = ReturnStory(**given).seen()
    for command in (accept(), refuse(), LabelReturn("ada", LINK)):
        with pytest.raises(Refused) as refused:
            story.does(command)
        assert refused.value.code == code


def test_the_other_decision_takes_the_first_ones_place() -> None:
    story = reached(S.REQUESTED).does(refuse()).does(accept())
    assert story.last.settled == {REFUSE: SUPERSEDED}
    assert story.returned.actions == {REFUSE: SUPERSEDED, ACCEPT: PENDING}
    story = reached(S.REQUESTED).does(accept()).does(refuse())
    assert story.returned.actions == {ACCEPT: SUPERSEDED, REFUSE: PENDING}


def test_an_acceptance_on_its_way_leaves_the_refusal_too_late() -> None:
    story = reached(S.REQUESTED).does(accept()).does(refuse()).carried_out(ACCEPT)
    assert story.returned.state is S.ACCEPTED
    assert story.last.settled == {ACCEPT: DONE, REFUSE: FAILED}
    assert story.returned.problem is not None
    assert "too late to refuse" in story.returned.problem.message


def test_the_back_office_accepting_settles_our_acceptance() -> None:
    story = reached(S.REQUESTED).does(accept()).seen(status=5)
    assert story.path == [S.REQUESTED, S.ACCEPTED, S.PAID]
    assert story.last.settled == {ACCEPT: DONE}
    assert not story.carried_out(ACCEPT).told


def test_a_rejection_needs_a_person_and_the_same_command_tries_again() -> None:
    story = reached(S.REQUESTED).does(accept()).rejected(ACCEPT)
    assert story.returned.state is S.REQUESTED
    assert story.returned.actions == {ACCEPT: FAILED}
    problem = story.returned.problem
    assert problem is not None
    assert (problem.code, problem.action) == ("rejected", ACCEPT)
    story.does(accept())
    assert story.returned.problem is None
    assert [a.kind for a in story.last.actions] == [ACCEPT]


def test_a_rejected_action_that_was_fulfilled_elsewhere_is_no_problem() -> None:
    story = reached(S.REQUESTED).does(accept()).rejected(ACCEPT).seen(status=4)
    assert story.returned.actions == {ACCEPT: DONE}
    assert story.returned.problem is None


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "link"), [(LINK, LINK.link), (FILE, None)])
def test_a_label_is_kept_sent_and_shown(label: GivenLabel, link: str | None) -> None:
    story = reached(S.REQUESTED).does(LabelReturn("ada", label))
    assert (story.last.answer, story.last.keeps_label) == ("queued", True)
    assert not story.returned.has_label
    story.carried_out(LABEL, label)
    assert (story.returned.has_label, story.returned.label_link) == (True, link)
    assert (story.returned.state, story.told) == (S.REQUESTED, [])
    again = story.does(LabelReturn("bob", label)).last
    assert (again.answer, again.touched) == ("done", False)


def test_another_label_given_meanwhile_is_sent_next() -> None:
    story = reached(S.REQUESTED).does(LabelReturn("ada", LINK)).does(LabelReturn("ada", FILE))
    assert (story.last.keeps_label, story.last.actions) == (True, ())
    story.carried_out(LABEL, LINK)
    assert story.returned.waits_for(LABEL)
    assert story.returned.label_link == LINK.link
    story.carried_out(LABEL, FILE)
    assert not story.returned.waits_for(LABEL)
    assert (story.returned.has_label, story.returned.label_link) == (True, None)


def test_another_label_after_the_first_was_taken_or_rejected_is_sent() -> None:
    for outcome in ("carried_out", "rejected"):
        story = reached(S.ACCEPTED).does(LabelReturn("ada", LINK))
        getattr(story, outcome)(LABEL, LINK)
        story.does(LabelReturn("ada", FILE))
        assert [a.kind for a in story.last.actions] == [LABEL]


def test_a_label_rejected_after_another_was_given_leaves_that_waiting() -> None:
    story = reached(S.REQUESTED).does(LabelReturn("ada", LINK)).does(LabelReturn("ada", FILE))
    story.rejected(LABEL, LINK)
    assert story.returned.waits_for(LABEL)
    assert story.returned.problem is None


def test_a_label_given_with_a_decision_goes_first() -> None:
    story = reached(S.REQUESTED).does(accept(LINK))
    assert [a.kind for a in story.last.actions] == [LABEL, ACCEPT]
    assert story.last.keeps_label


# --- events --------------------------------------------------------------------------------------


def test_the_event_has_the_shape_of_the_interface() -> None:
    story = reached(S.REQUESTED).does(LabelReturn("ada", LINK)).carried_out(LABEL, LINK)
    story.does(accept()).carried_out(ACCEPT)
    (event,) = story.last.events
    assert (event.source, event.subject, event.order_id) == (
        "/spartoo/shoes-fr",
        RETURN_ID,
        ORDER_ID,
    )
    message = logged_event(kind=event.type, subject=event.subject, data=dump(event.data))
    body = orjson.loads(cloud_event(message))
    Draft202012Validator(schema_for_event("return.accepted")).validate(body)
    assert body["data"]["return"]["label_link"] == LINK.link
    assert body["data"]["return"]["requested_at"] == "2026-11-20T10:00:00+01:00"
    assert body["data"]["transition"]["from"] == "requested"


def test_a_return_of_no_order_says_so() -> None:
    story = ReturnStory().seen(order_id="")
    (event,) = story.last.events
    assert event.order_id is None
    assert event.data["return"]["order_id"] is None


# --- every field of what a step leaves -----------------------------------------------------------


def test_first_sight_is_dated_and_told_in_full() -> None:
    story = ReturnStory()
    began = story.now
    story.seen(status=4)
    assert (story.returned.first_seen_at, story.returned.changed_at) == (began, began)
    moves = [(move.from_state, move.to_state, move.trigger) for move in story.last.history]
    assert moves == [(None, S.REQUESTED, "see"), (S.REQUESTED, S.ACCEPTED, "accept")]
    assert {move.at for move in story.last.history} == {began}
    for event in story.last.events:
        assert (event.time, event.connection) == (began, story.returned.connection)
        assert (event.order_id, event.subject) == (ORDER_ID, RETURN_ID)
    assert not story.last.keeps_label


def test_a_new_reading_is_dated_and_one_of_the_same_moment_is_stale() -> None:
    story = reached(S.REQUESTED)
    moment = story.now
    story.seen(reason="too big")
    assert story.returned.changed_at == moment
    same = ReturnSeen(marketplace_return(reason="too late"), moment)
    assert story.does(same).last.stale
    assert story.returned.facts.reason == "too big"


def test_a_return_of_no_order_names_none_in_its_event() -> None:
    story = ReturnStory().seen(order_id="")
    assert [event.order_id for event in story.last.events] == [None]


def test_a_decision_is_by_whom_it_was_given_and_ends_an_old_problem() -> None:
    story = reached(S.REQUESTED).does(refuse())
    story.rejected(REFUSE)
    problem = story.returned.problem
    assert problem is not None
    assert (problem.code, problem.message, problem.action) == ("rejected", "no", REFUSE)
    assert problem.at == story.now - timedelta(seconds=1)
    decided = story.does(accept(LINK)).returned
    assert (decided.problem, decided.touched_by) == (None, "ada")
    assert [(action.kind, action.by) for action in story.last.actions] == [
        (LABEL, "ada"),
        (ACCEPT, "ada"),
    ]


def test_a_label_alone_is_by_whom_it_was_given_and_ends_an_old_problem() -> None:
    story = reached(S.ACCEPTED).does(LabelReturn("ada", LINK))
    story.rejected(LABEL, LINK)
    assert story.returned.problem is not None
    labelled = story.does(LabelReturn("bob", FILE)).returned
    assert (labelled.problem, labelled.touched_by) == (None, "bob")
    assert [(action.kind, action.by) for action in story.last.actions] == [(LABEL, "bob")]
    assert story.last.keeps_label


def test_a_decision_given_twice_is_queued_once() -> None:
    story = reached(S.REQUESTED).does(accept())
    before = story.returned
    assert story.does(AcceptReturn("bob")).last.actions == ()
    assert story.returned == before
    assert not story.last.touched


def test_what_was_carried_out_is_dated() -> None:
    story = reached(S.REQUESTED).does(accept())
    moment = story.now
    story.carried_out(ACCEPT)
    assert story.returned.changed_at == moment


def test_a_decision_that_came_too_late_is_a_problem_of_that_decision() -> None:
    story = reached(S.REQUESTED).does(refuse()).seen(status=4).seen(status=5)
    problem = story.returned.problem
    assert problem is not None
    assert (problem.code, problem.action) == ("wrong_chronology", REFUSE)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (accept(), "it cannot be accepted; possible: nothing"),
        (refuse(), "it cannot be refused; possible: nothing"),
        (LabelReturn("ada", LINK), "it cannot be labelled; possible: nothing"),
    ],
)
def test_a_wrong_state_says_what_cannot_be(command: ReturnCommand, message: str) -> None:
    with pytest.raises(Refused, match=f"return {RETURN_ID} is refunded: {message}$"):
        reached(S.REFUNDED).does(command)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"active": False}, "connection .+ is disabled; activate it first"),
        ({"sync_level": "stock_only"}, r"connection .+ synchronizes stock only \(sync_level\)"),
    ],
)
def test_a_connection_that_obeys_nothing_says_why(given: dict[str, object], message: str) -> None:
    with pytest.raises(Refused, match=f"^{message}$"):
        ReturnStory(**given).seen().does(accept())
