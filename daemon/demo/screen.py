"""What the person who watches the demo sees."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from daemon.cli.event_lines import told
from daemon.cli.output import console, plain
from daemon.demo.downstream import Event
from daemon.demo.stage import AUTOMATIC, BY_HAND, ORDERS_PER_SECOND, Stage
from daemon.demo.verdict import Finding

_STYLES = {
    "order.new": "blue",
    "order.pending_manual": "yellow",
    "order.accepted": "cyan",
    "order.synced": "green",
    "order.problem": "red",
    "order.quarantined": "red",
    "connection.suspended": "red",
}


class Screen:
    """Writes to stdout, a line each; the first numbers of the catalogue are only counted."""

    def __init__(self) -> None:
        self._out = console()
        self._uncounted = 0

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._out.print(Text(plain(text), style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something the daemon warned of."""
        self.say(f"daemon: {text}", "yellow")

    def introduce(self, stage: Stage, daemon_url: str) -> None:
        """Where everything is, and what will be seen."""
        self.say("")
        self.say(f"simulated Spartoo   {stage.simulator.url}, {ORDERS_PER_SECOND:g} order a second")
        self.say(f"catalogue           {stage.products} products imported, some out of stock")
        self.say(f"daemon              {daemon_url}/metrics, /healthz, /readyz")
        self.say(f"its settings, log   {stage.config}, {stage.directory / 'daemon.log'}")
        self.say(f"{AUTOMATIC} accepts orders automatically, {BY_HAND} leaves them to people; try:")
        self.say(f"  spartoo-sync orders list --state pending_manual --config {stage.config}")
        self.say("Events, as a consumer of the queue koongo.orders receives them:")
        self.say("")

    def event(self, routing_key: str, event: Event) -> None:
        """An event that arrived."""
        data = event["data"]
        if data.get("reason") == "catalog":
            self._uncounted += 1
            return
        if self._uncounted:
            self.say(f"{self._uncounted} × stock.changed: the catalogue's first numbers", "dim")
            self._uncounted = 0
        name = event["type"].removeprefix("spartoo.").removesuffix(".v1")
        time = datetime.fromisoformat(event["time"]).astimezone()
        line = Text(f"{time:%H:%M:%S} ", style="dim")
        line.append(plain(f"{routing_key:<31} "), style=_STYLES.get(name, "dim"))
        line.append(plain(f"{event['subject']:<16} #{event['sequence']:<2} {told(data)}"))
        self._out.print(line, soft_wrap=True)

    def offer(self, stage: Stage, order: Event) -> None:
        """Tell how a waiting order is accepted."""
        about = f"{order['connection']} {order['order_id']}"
        self.say("  ↳ waits for you; in another terminal:", "bold")
        self.say(f"    spartoo-sync orders why {about} --config {stage.config}", "bold")
        self.say(f"    spartoo-sync orders accept {about} --config {stage.config}", "bold")

    def judge(self, parts: Sequence[RenderableType], found: Sequence[Finding]) -> None:
        """The summary and what follows from it."""
        self.say("")
        for part in parts:
            self._out.print(part)
        self.say("")
        if all(finding.holds for finding in found):
            self.say("all as it must be", "bold green")
