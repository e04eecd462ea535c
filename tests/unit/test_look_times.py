"""When deep looks are due: at night, and not those of all connections at once."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from daemon.poller import next_deep
from tests.unit.builders import settings

PARIS = ZoneInfo("Europe/Paris")


def test_deep_looks_are_spread_over_the_night() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    due = [next_deep(settings(id=f"shop-{n}"), noon).astimezone(PARIS) for n in range(100)]
    assert all(2 <= moment.hour < 5 for moment in due)
    assert all(timedelta(0) < moment - noon < timedelta(hours=30) for moment in due)
    per_quarter = {(moment.hour, moment.minute // 15) for moment in due}
    assert len(per_quarter) == 12


def test_deep_looks_less_than_a_day_apart_keep_to_their_interval() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert next_deep(settings(deep_look_interval="6h"), noon) == noon + timedelta(hours=6)
