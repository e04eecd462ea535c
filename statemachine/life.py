"""A life as a state machine: which moves are legal, and the way through steps nobody saw."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from transitions import Machine, State

S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)


class IllegalMove(Exception):
    """The state machine has no such transition; this is a fault of the caller."""


class Life(Generic[S, T]):
    """The life of `noun`, one machine for all of a kind: building one each costs a hundredfold."""

    def __init__(
        self,
        noun: str,
        triggers: type[T],
        transitions: Iterable[tuple[T, Sequence[S], S]],
        initial: S,
        final: Collection[S],
    ):
        self._noun = noun
        states = type(initial)
        self.machine = Machine(
            model=None,
            states=[State(str(state), final=state in final) for state in states],
            transitions=[
                {"trigger": str(trigger), "source": [str(s) for s in sources], "dest": str(there)}
                for trigger, sources, there in transitions
            ],
            initial=str(initial),
            auto_transitions=False,
        )
        self._targets = {
            (state, trigger): states(str(found[0].dest))
            for state in states
            for trigger in triggers
            if (found := self.machine.get_transitions(str(trigger), source=str(state)))
        }

    def target(self, state: S, trigger: T) -> S | None:
        """Where the trigger leads from that state; None where it is not allowed."""
        return self._targets.get((state, trigger))

    def move(self, state: S, trigger: T) -> S:
        """The state after the trigger. Raises IllegalMove."""
        after = self.target(state, trigger)
        if after is None:
            raise IllegalMove(f"{self._noun} that is {state} cannot {trigger}")
        return after

    def path(self, state: S, goals: Collection[S], triggers: Iterable[T]) -> Sequence[T] | None:
        """The shortest legal way to one of the goals by these triggers; None where none leads."""
        ways: deque[tuple[S, tuple[T, ...]]] = deque([(state, ())])
        seen = {state}
        while ways:
            here, way = ways.popleft()
            if here in goals:
                return way
            for trigger in triggers:
                there = self.target(here, trigger)
                if there is not None and there not in seen:
                    seen.add(there)
                    ways.append((there, (*way, trigger)))
        return None
