"""What the command line prints: values as they are, never as commands to a terminal."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import typer

from daemon.cli.event_lines import told
from daemon.cli.output import console, plain, print_json, table
from daemon.cli.times import end, moment


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (Decimal("64.90"), "64.90"),
        (timedelta(seconds=90), "90 s"),
        ("Zoé 鞋", "Zoé 鞋"),
        ("\x1b[31mred\x07\x00", "�[31mred��"),
        ("one\r\ntwo", "one�\ntwo"),
        ("\u202eright to left", "�right to left"),
    ],
)
def test_plain(value: object, shown: str) -> None:
    assert plain(value) == shown


def test_tables_take_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table(["name"], [["[bold]Eve[/bold]"], ["[link=x]y"]]))
    out = capsys.readouterr().out
    assert "[bold]Eve[/bold]" in out
    assert "[link=x]y" in out


def test_json_keeps_decimals_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"price": Decimal("5.10"), "at": datetime(2026, 11, 20, tzinfo=UTC)})
    out = capsys.readouterr().out
    assert '"5.10"' in out
    assert '"2026-11-20T00:00:00+00:00"' in out


TRANSITION = {"from": "new", "to": "pending_manual", "trigger": "hold", "by": "automatic"}
ORDER = {"total": "64.99", "currency": "EUR"}


@pytest.mark.parametrize(
    ("data", "gist"),
    [
        (
            {"order": ORDER, "transition": TRANSITION, "decision": {"reasons": ["out_of_stock"]}},
            "new → pending_manual by automatic  64.99 EUR  out_of_stock",
        ),
        (
            {
                "order": {},
                "transition": TRANSITION | {"from": None, "to": "new", "by": "system"},
                "decision": {"reasons": ["out_of_stock"]},
            },
            "new  ",
        ),
        ({"order": ORDER, "changes": [{"field": "a"}, {"field": "b"}]}, "changed: a, b"),
        (
            {"order": ORDER, "problem": {"code": "-7", "message": "wrong", "action": "accept"}},
            "-7: wrong",
        ),
        ({"quarantine": {"error": "no id"}}, "no id"),
        ({"delta": 3, "available": 4, "reason": "catalog"}, "+3, 4 available (catalog)"),
        ({"connection": "a", "reason": "bad_key", "message": "-2"}, "bad_key: -2"),
        ({}, ""),
    ],
)
def test_the_gist_of_an_event(data: dict[str, Any], gist: str) -> None:
    assert told(data) == gist


def test_moments() -> None:
    assert moment("2026-11-20T09:00:00+01:00") == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert moment("2026-11-20") == datetime(2026, 11, 20).astimezone()
    assert end("2026-11-20") - moment("2026-11-20") == timedelta(days=1)
    assert end("2026-11-20T09:00Z") == moment("2026-11-20T09:00Z")
    for wrong in ("", "soon", "2026-13-01", "20.11.2026"):
        with pytest.raises(typer.BadParameter):
            moment(wrong)
