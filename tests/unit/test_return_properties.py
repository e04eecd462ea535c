"""Whatever comes in whatever order: a return follows its machine and asks for nothing twice."""

from hypothesis import given
from hypothesis import strategies as st

from statemachine.facts import Refused
from statemachine.model import ActionKind, ReturnState
from statemachine.return_facts import AcceptReturn, GivenLabel, LabelReturn, RefuseReturn
from statemachine.returns import RETURN_ACTIONS, ReturnTrigger, target
from tests.unit.builders import ReturnStory

LABELS = (GivenLabel("a", "https://label.example/a"), GivenLabel("b"))
KINDS = sorted(RETURN_ACTIONS)

seen = st.tuples(st.just("seen"), st.sampled_from([2, 3, 4, 5, 6, 7]))
commanded = st.tuples(st.just("asked"), st.sampled_from(["accept", "refuse", "label"]))
answered = st.tuples(st.sampled_from(["carried_out", "rejected"]), st.sampled_from(KINDS))
label = st.sampled_from(LABELS)
happenings = st.lists(st.tuples(st.one_of(seen, commanded, answered), label), max_size=25)


def happen(story: ReturnStory, what: tuple[str, object], label: GivenLabel) -> str | None:
    """Let it happen; the code of a refusal."""
    try:
        match what:
            case "seen", int(status):
                story.seen(status=status)
            case "asked", "accept":
                story.does(AcceptReturn("ada"))
            case "asked", "refuse":
                story.does(RefuseReturn("ada", label))
            case "asked", "label":
                story.does(LabelReturn("ada", label))
            case ("carried_out" | "rejected") as outcome, ActionKind() as kind:
                if story.returned.waits_for(kind):  # only what is stored is ever sent
                    sent = label if kind is ActionKind.RETURN_LABEL else None
                    getattr(story, outcome)(kind, sent)
    except Refused as refused:
        return refused.code
    return None


@given(st.sampled_from([2, 3, 4, 5, 7]), happenings)
def test_every_path_is_legal_and_every_action_queued_once(
    first: int, facts: list[tuple[tuple[str, object], GivenLabel]]
) -> None:
    story = ReturnStory().seen(status=first)
    for what, label in facts:
        before, steps = story.returned, len(story.steps)
        waiting = {kind for kind in KINDS if before.waits_for(kind)}
        refusal = happen(story, what, label)
        assert refusal in (None, "wrong_state")
        for step in story.steps[steps:]:
            assert not waiting & {action.kind for action in step.actions}
            assert step.touched or step.returned == before
            told = [event.type for event in step.events]
            assert told == [f"return.{move.to_state}" for move in step.history]
    check_path(story)


def check_path(story: ReturnStory) -> None:
    state: ReturnState | None = None
    for move in (move for step in story.steps for move in step.history):
        assert move.from_state is state
        if state is None:
            assert move.to_state is ReturnState.REQUESTED
        else:
            assert any(target(state, trigger) is move.to_state for trigger in ReturnTrigger)
        state = move.to_state
    assert state is story.returned.state
