"""The simulated delivery slip is a PDF that readers open: its table leads to its objects."""

import re
from datetime import UTC, datetime

from adapters.spartoo.simulator.config import SimulatorConfig
from adapters.spartoo.simulator.factory import Wishes, unknown_line
from adapters.spartoo.simulator.slips import slip_pdf
from adapters.spartoo.simulator.world import World

WORLD = World(SimulatorConfig(), lambda: datetime(2026, 11, 20, tzinfo=UTC))


def test_the_cross_reference_table_leads_to_each_object() -> None:
    pdf = slip_pdf(WORLD.create(Wishes()))
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    table = re.search(rb"startxref\n(\d+)\n", pdf)
    assert table is not None
    assert pdf[int(table[1]) :].startswith(b"xref\n0 6\n0000000000 65535 f \n")
    offsets = re.findall(rb"(\d{10}) 00000 n \n", pdf)
    for number, offset in enumerate(offsets, start=1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj\n" % number)
    assert len(offsets) == 5


def test_it_shows_the_order_and_its_items_in_a_stream_of_the_length_it_says() -> None:
    order = WORLD.create(Wishes(lines=(unknown_line("998_(38)\\"),)))
    pdf = slip_pdf(order)
    stream = re.search(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", pdf, re.DOTALL)
    assert stream is not None
    assert int(stream[1]) == len(stream[2])
    assert order.id.encode() in stream[2]
    assert b"1 x 998  Article d\xe9r\xe9f\xe9renc\xe9 \\(38\\)\\\\) Tj" in stream[2]
