"""Cursors and days that no page of ours has given."""

import pytest

from adapters.postgres import paging
from adapters.postgres.paging import BadCursor
from daemon.console.order_filters import Filters
from daemon.console.visit import Complaint


@pytest.mark.parametrize("forged", [{"a": 1}, ["a"], 1, None, "a\0b"])
def test_a_cursor_of_another_kind_is_refused(forged: object) -> None:
    with pytest.raises(BadCursor):
        paging.decode(paging.encode((forged,)), paging.text)


@pytest.mark.parametrize(
    "filters",
    [Filters(since="0001-01-01", zone="Asia/Tokyo"), Filters(until="9999-12-31")],
)
def test_a_day_that_has_no_moment_in_utc_is_refused(filters: Filters) -> None:
    with pytest.raises(Complaint, match="is no day"):
        filters.criteria()
