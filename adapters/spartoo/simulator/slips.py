"""Delivery slips: one page of PDF an order, small and valid."""

from collections.abc import Sequence

from adapters.spartoo.simulator.orders import SimulatedOrder

_TOP, _LINE_HEIGHT = 780, 18  # points
_A4, _FONTS = b"/MediaBox [0 0 595 842]", b"<< /Font << /F1 5 0 R >> >>"


def slip_pdf(order: SimulatedOrder) -> bytes:
    """The slip that belongs into the order's parcel."""
    items = [f"{line.quantity} x {line.reference}  {line.name} {line.size}" for line in order.lines]
    name = f"{order.delivery.first_name} {order.delivery.last_name}"
    return _document(["Bon de livraison", f"Commande {order.id}", name, "", *items])


def _document(lines: Sequence[str]) -> bytes:
    shown = b"\n".join(b"(%s) Tj T*" % _escaped(line) for line in lines)
    text = b"BT /F1 12 Tf %d TL 50 %d Td\n%s\nET" % (_LINE_HEIGHT, _TOP, shown)
    return _with_table(
        (
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R %s /Resources %s /Contents 4 0 R >>" % (_A4, _FONTS),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        )
    )


def _with_table(objects: Sequence[bytes]) -> bytes:
    """The objects with header, cross-reference table and trailer."""
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, len(body))
    )


def _escaped(text: str) -> bytes:
    plain = text.encode("cp1252", "replace")
    return plain.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
