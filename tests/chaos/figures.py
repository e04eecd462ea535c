"""What a campaign did and saw, as RESULTS.md shows it."""

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.verdict import ZEROS

COUNTS = (
    "orders",
    "of them changed by customers",
    "returns",
    "calls to Spartoo",
    "of them answered badly",
    "events logged",
    "events seen",
    "messages seen",
    "commands",
    "command messages",
)


@dataclass
class Figures:
    """Grows round by round; a round is counted once it was judged and nothing was wrong."""

    seed: int
    daemons: int
    nodes: int = 1
    blows: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    clocks_off: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.blows.items() if "killed" in name)

    def __str__(self) -> str:
        head = ("seed", "daemons", "RabbitMQ nodes", "rounds", "blows", "kills", *COUNTS)
        row = (self.seed, self.daemons, self.nodes, self.rounds, self.blows.total(), self.kills)
        figures = [f"{figure:,}" for figure in (*row[1:], *map(self.counts.get, COUNTS))]
        blows = ", ".join(f"{count} {name}" for name, count in sorted(self.blows.items()))
        zeros = "\n".join(f"| {name} | 0 |" for name in ZEROS)
        kept = "\n".join(f"- {line}" for line in self.kept)
        return (
            f"\n| {' | '.join(head)} |\n{'|---' * len(head)}|\n"
            f"| {self.seed} | {' | '.join(figures)} |\n\n"
            f"Blows: {blows}; {self.clocks_off} daemons had a clock that was off.\n\n"
            f"| in {self.rounds} verdicts | count |\n|---|---|\n{zeros}\n\n{kept}\n"
        )
