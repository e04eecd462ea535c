"""Where a delivery slip may be fetched from."""

import pytest

from adapters.spartoo.slip import belongs_to

SITE = "https://sws.spartoo.com/mp"


@pytest.mark.parametrize(
    ("link", "base_url", "fetched"),
    [
        ("https://sws.spartoo.com/slips/1.pdf", SITE, True),
        ("https://www.spartoo.com/slips/1.pdf", SITE, True),
        ("https://spartoo.com/1.pdf", SITE, True),
        ("http://sws.spartoo.com/slips/1.pdf", SITE, False),
        ("https://user:pw@sws.spartoo.com/1.pdf", SITE, False),
        ("https://sws.spartoo.com:8443/1.pdf", SITE, False),
        ("https://notspartoo.com/1.pdf", SITE, False),
        ("https://127.0.0.1/1.pdf", SITE, False),
        ("https://[::1/1.pdf", SITE, False),
        ("http://127.0.0.1:9900/1.pdf", "http://127.0.0.1:9900/mp", True),
        ("http://127.0.0.1/1.pdf", "http://127.0.0.1:9900/mp", False),
        ("http://127.0.0.2:9900/1.pdf", "http://127.0.0.1:9900/mp", False),
        ("http://10.0.0.1/1.pdf", "http://simulator:9900/mp", False),
    ],
)
def test_a_slip_is_fetched_where_the_web_services_are(
    link: str, base_url: str, fetched: bool
) -> None:
    assert belongs_to(link, base_url) is fetched
