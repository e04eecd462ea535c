"""Addresses of the console's pages: ids quoted on the way out, checked on the way in."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from daemon.console.visit import Complaint, Visit


def place(path: str, *ids: str) -> str:
    """The address of what these ids name, below `path`."""
    return "/".join((path, *(quote(part, safe="") for part in ids)))


def listed(path: str, filters: Mapping[str, str]) -> str:
    """The address of a list with the filters that are set."""
    query = urlencode({name: value for name, value in filters.items() if value})
    return f"{path}?{query}" if query else path


def named(visit: Visit, name: str) -> str:
    """An id out of the address. Raises Complaint for what no id can be."""
    value = visit.request.match_info[name]
    if not value.isprintable():
        raise Complaint(404, "There is nothing of that name.")
    return value
