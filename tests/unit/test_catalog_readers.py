"""Catalogue files: what is read from them, and what is said of what cannot be read."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.catalog import LineError, UnreadableCatalog, product_update, read_catalog
from statemachine.model import ProductId, ProductUpdate

MIB = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def read(folder: Path, name: str, content: str | bytes) -> list[ProductUpdate | LineError]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_catalog(path))


def refusal(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(UnreadableCatalog) as refused:
        read(folder, name, content)
    assert str(refused.value).startswith(f"{folder / name}: ")
    return str(refused.value).removeprefix(f"{folder / name}: ")


def outline(items: list[ProductUpdate | LineError]) -> list[str | int]:
    """Ids of the products, line numbers of the errors."""
    return [item.line if isinstance(item, LineError) else item.id for item in items]


FULL = ProductUpdate(
    id=ProductId("10001"),
    sku="A-1",
    ean="3700000000012",
    name="Bottine, cuir",
    stock=5,
    price_final_incl_tax=Decimal("64.990"),
    price_original_incl_tax=Decimal("79.99"),
    currency="EUR",
    attributes={"color": "red", "Size EU": "38"},
    as_of=datetime(2026, 11, 20, 9, 12, tzinfo=timezone(timedelta(hours=1))),
)
FULL_CSV = """\
id,sku,ean,name,stock,price_final_incl_tax,price_original_incl_tax,currency,attributes.color,\
attributes.Size EU,as_of
10001,A-1,3700000000012,"Bottine, cuir",5,64.990,79.99,EUR,red,38,2026-11-20T09:12:00+01:00
"""
FULL_JSON = """\
{"id": "10001", "sku": "A-1", "ean": "3700000000012", "name": "Bottine, cuir", "stock": 5, \
"price_final_incl_tax": 64.990, "price_original_incl_tax": "79.99", "currency": "EUR", \
"attributes": {"color": "red", "Size EU": 38}, "as_of": "2026-11-20T09:12:00+01:00"}
"""
FULL_XML = """\
<?xml version="1.0" encoding="UTF-8"?>
<catalog>
  <!-- from the store -->
  <product>
    <id>10001</id><sku>A-1</sku><ean>3700000000012</ean><name>Bottine, cuir</name>
    <stock>5</stock><price_final_incl_tax>64.990</price_final_incl_tax>
    <price_original_incl_tax>79.99</price_original_incl_tax><currency>EUR</currency>
    <attributes><color>red</color></attributes><as_of>2026-11-20T09:12:00+01:00</as_of>
  </product>
</catalog>
"""


@pytest.mark.parametrize(("name", "content"), [("a.csv", FULL_CSV), ("a.jsonl", FULL_JSON)])
def test_every_field(folder: Path, name: str, content: str) -> None:
    assert read(folder, name, content) == [FULL]


def test_every_field_as_xml(folder: Path) -> None:
    (product,) = read(folder, "a.xml", FULL_XML)
    assert isinstance(product, ProductUpdate)
    assert product.attributes == {"color": "red"}
    assert product.price_final_incl_tax == FULL.price_final_incl_tax
    assert (product.name, product.as_of, product.stock) == (FULL.name, FULL.as_of, FULL.stock)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_line_ends(folder: Path, delimiter: str, end: str) -> None:
    rows = [("id", "stock", "name"), ("1", "5", '"a,b;c\td|e"'), ("2", "0", "")]
    content = end.join(delimiter.join(row) for row in rows)
    assert read(folder, "a.CSV", content) == [
        ProductUpdate(ProductId("1"), stock=5, name="a,b;c\td|e"),
        ProductUpdate(ProductId("2"), stock=0),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_encodings(folder: Path, encoding: str) -> None:
    content = "id,name\n1,Étoile à 5 €\n".encode(encoding)
    assert read(folder, "a.csv", content) == [ProductUpdate(ProductId("1"), name="Étoile à 5 €")]


def test_one_line_in_another_encoding_spoils_no_other(folder: Path) -> None:
    content = "id,name\n1,é\n".encode() + "2,é\n".encode("cp1252") + b"3,\x81\n" + "4,é".encode()
    items = read(folder, "a.csv", content)
    assert outline(items) == ["1", "2", 4, "4"]
    assert {item.name for item in items if isinstance(item, ProductUpdate)} == {"é"}


def test_empty_cells_and_elements_leave_fields_as_they_are(folder: Path) -> None:
    only_id = [ProductUpdate(ProductId("1"))]
    assert read(folder, "b.csv", "id,stock,attributes.a\n1,, \n,,\n\n") == only_id
    assert read(folder, "b.jsonl", '{"id": "1", "stock": null}\n\n') == only_id
    xml = products("<id>1</id><stock/><attributes><a> </a></attributes>")
    assert read(folder, "b.xml", xml) == only_id


def test_decimal_comma_in_csv_only(folder: Path) -> None:
    rows = "id;price_final_incl_tax\n1;64,99\n2;1.064,99\n3;64.99\n"
    items = read(folder, "a.csv", rows)
    assert outline(items) == ["1", 3, "3"]
    assert items[0] == ProductUpdate(ProductId("1"), price_final_incl_tax=Decimal("64.99"))
    assert outline(read(folder, "a.jsonl", '{"id": "1", "price_final_incl_tax": "64,99"}')) == [1]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("id,colour,x\n1,2,3", "unknown column 'colour', 'x'; known are id, sku,"),
        ("id,attributes\n", "unknown column 'attributes'; known are id, sku,"),
        ("id,attributes.\n", "unknown column 'attributes.'"),
        ("sku,stock\n1,2", "column id is missing"),
        ("id,stock,ID\n", "column id stands there twice"),
        ("id,attributes.a,attributes.a\n", "column attributes.a stands there twice"),
        ("", "is empty; the first row must name the columns"),
        ("id," + "x" * MIB, "line 1, the header: longer than 1024 KiB"),
    ],
)
def test_wrong_header_is_refused_before_anything_is_read(
    folder: Path, header: str, problem: str
) -> None:
    assert problem in refusal(folder, "a.csv", header)


def test_unknown_suffix_and_missing_file(folder: Path) -> None:
    assert refusal(folder, "a.xlsx", "") == (
        "name it .csv, .tsv, .jsonl, .ndjson, .xml after what it holds"
    )
    with pytest.raises(UnreadableCatalog, match=r"none\.csv: No such file or directory"):
        list(read_catalog(folder / "none.csv"))


def test_bad_rows_are_reported_and_the_others_kept(folder: Path) -> None:
    items = read(folder, "a.csv", "id,stock\n1,5\n2,five\n,7\n4,1,9\n5\n6,2\n")
    assert outline(items) == ["1", 3, 4, 5, 6, "6"]
    errors = [item for item in items if isinstance(item, LineError)]
    assert [error.message for error in errors] == [
        "stock = 'five': must be a whole number of units, 0 to 2147483647",
        "id is missing: every product needs its id",
        "has 3 cells, the header has 2",
        "has 1 cells, the header has 2",
    ]
    assert [error.text for error in errors] == ["2,five", ",7", "4,1,9", "5"]


def test_quoted_cells_may_hold_line_ends_and_quotes(folder: Path) -> None:
    items = read(
        folder, "a.csv", 'id,name\n1,"two\nlines"\n2,"12"" screen"\n3,12" screen\n4,bad,\n'
    )
    assert outline(items) == ["1", "2", "3", 6]
    assert items[0] == ProductUpdate(ProductId("1"), name="two\nlines")
    assert items[1] == ProductUpdate(ProductId("2"), name='12" screen')
    assert items[2] == ProductUpdate(ProductId("3"), name='12" screen')


@pytest.mark.parametrize("follows", ["", "\n9,z", '\n9,"z"', '\n9,"z'])
def test_a_stray_quote_costs_one_line(folder: Path, follows: str) -> None:
    items = read(folder, "a.csv", f'id,name\n1,a\n2,"b\n3,c\n4,d{follows}')
    assert outline(items)[:4] == ["1", 3, "3", "4"]
    assert isinstance(items[1], LineError)
    assert items[1].message == "a quoted cell is not closed"


def test_a_stray_quote_in_a_large_file_costs_one_line(folder: Path) -> None:
    rows = "\n".join(f"{n},{'x' * 100}" for n in range(20_000))
    items = read(folder, "a.csv", f'id,name\n0,"stray\n{rows}\n')
    assert outline(items) == [2, *(str(n) for n in range(20_000))]


@pytest.mark.parametrize(
    ("name", "before", "row"),
    [("a.csv", "id,name\n", "{id},{name}\n"), ("a.jsonl", "", '{{"id":"{id}","name":"{name}"}}\n')],
)
def test_a_huge_line_is_an_error_for_that_line(
    folder: Path, name: str, before: str, row: str
) -> None:
    rows = [row.format(id=n, name=text) for n, text in enumerate(("a", "x" * 3 * MIB, "c"))]
    items = read(folder, name, before + "".join(rows))
    assert [type(item) for item in items] == [ProductUpdate, LineError, ProductUpdate]
    assert isinstance(items[1], LineError)
    assert items[1].message == "longer than 1024 KiB"
    assert items[1].line == before.count("\n") + 2
    assert len(items[1].text) <= 200


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "2"', "not JSON: Expecting ',' delimiter at column 11"),
        ("[1]", 'must be one JSON object, like {"id": "10001", "stock": 5}'),
        ('{"id": "2", "colour": "red"}', "unknown field 'colour': known are id, sku"),
        ('{"id": "2", "stock": 1e99999999999999999999}', "holds a number beyond all bounds"),
        ('{"id": "2", "stock": NaN}', "stock = nan: must be a whole number"),
        ('{"id": "2", "stock": 1e999999}', "must be a whole number of units"),
        ('{"id": "2", "name": "\\u0000"}', "must be text without NUL"),
        ('{"id": "\\ud800"}', "must be text without NUL or half characters"),
        ("[" * 100_000, "nested too deep"),
        ('{"id": "\xe9"}'.encode("latin-1"), "not UTF-8"),
    ],
)
def test_bad_json_lines(folder: Path, line: str | bytes, message: str) -> None:
    line = line.encode() if isinstance(line, str) else line
    items = read(folder, "a.ndjson", b'\xef\xbb\xbf{"id": "1"}\n' + line + b'\n{"id": "3"}')
    assert outline(items) == ["1", 2, "3"]
    assert isinstance(items[1], LineError)
    assert message in items[1].message


def products(*inner: str) -> str:
    return (
        "<catalog>\n" + "\n".join(f"<product>{text}</product>" for text in inner) + "\n</catalog>"
    )


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("<stock>5</stock>", "id is missing"),
        ("<id>2</id><id>3</id>", "<id> stands there twice"),
        ("<id>2</id><colour>red</colour>", "unknown field 'colour'"),
        ("<id>2</id><name>a<b>c</b></name>", "<name> must hold text, not <b>"),
        ("<id>2</id><attributes><a>1</a><a>2</a></attributes>", "attribute <a> stands there twice"),
        ("<id>2</id><stock>many</stock>", "stock = 'many': must be a whole number"),
        (f"<id>2</id><name>{'x' * 2 * MIB}</name>", "longer than 1024 KiB"),
        (f"<id>2</id>{'<sku>x</sku>' * 200_000}", "longer than 1024 KiB"),
    ],
)
def test_bad_products_in_xml(folder: Path, inner: str, message: str) -> None:
    items = read(folder, "a.xml", products("<id>1</id>", inner, "<id>3</id>"))
    assert outline(items) == ["1", 3, "3"]
    assert isinstance(items[1], LineError)
    assert message in items[1].message
    assert len(items[1].text) <= 200


def test_xml_that_breaks_off_keeps_what_was_whole(folder: Path) -> None:
    items = read(folder, "a.xml", products("<id>1</id>", "<id>2</id>")[:-15])
    assert outline(items)[:1] == ["1"]
    last = items[-1]
    assert isinstance(last, LineError)
    assert last.message.startswith("broken XML, nothing behind it was read: ")
    assert last.line >= 3


def test_line_numbers_in_xml_go_past_65535(folder: Path) -> None:
    items = read(folder, "a.xml", "<catalog>" + "\n" * 70_000 + "<offer/></catalog>")
    assert items == [LineError(70_001, "<offer> is no <product>", "<offer/>")]


def test_namespaces_and_instructions_do_not_matter(folder: Path) -> None:
    product = "<?x y?><c:product><c:id>1</c:id></c:product>"
    xml = f'<?x y?><c:catalog xmlns:c="urn:c">{product}</c:catalog>'
    assert read(folder, "a.xml", xml) == [ProductUpdate(ProductId("1"))]


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ("<products/>", "holds <products>; expected <catalog> with <product> in it"),
        ("", "not XML: "),
        ("id,stock\n1,2\n", "not XML: line 1: "),
        ("<!DOCTYPE catalog><catalog/>", "has a document type (DTD); leave it out"),
        (
            '<!DOCTYPE c [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><catalog z="&b;">&b;</catalog>',
            "has a document type (DTD); leave it out",
        ),
    ],
)
def test_foreign_xml_is_refused(folder: Path, xml: str, problem: str) -> None:
    assert problem in refusal(folder, "a.xml", xml)


def test_entities_reach_neither_files_nor_text(folder: Path) -> None:
    (folder / "secret").write_text("5ecret")
    xml = f'<!DOCTYPE c [<!ENTITY s SYSTEM "{folder / "secret"}">]>' + products("<id>&s;</id>")
    assert "5ecret" not in refusal(folder, "a.xml", xml)
    items = read(folder, "b.xml", products("<id>1</id>", "<id>&s;</id>"))
    assert outline(items)[0] == "1"
    assert isinstance(items[1], LineError)
    assert "Entity 's' not defined" in items[1].message
    assert items[1].line == 3


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", FULL_CSV), ("a.jsonl", FULL_JSON), ("a.xml", FULL_XML)]
)
def test_progress_ends_at_the_size_of_the_file(folder: Path, name: str, content: str) -> None:
    path = folder / name
    path.write_text(content)
    seen: list[int] = []
    list(read_catalog(path, seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size


def test_progress_is_reported_on_the_way(folder: Path) -> None:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps({"id": str(n)}) + "\n" for n in range(50_000)))
    seen: list[int] = []
    list(read_catalog(path, seen.append))
    assert 5 < len(seen) < 100


_PEAK = """
import re, sys
from pathlib import Path
from adapters.catalog import read_catalog
count = sum(1 for _ in read_catalog(Path(sys.argv[1])))
print(count, re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize(
    ("name", "head", "row", "tail"),
    [
        ("a.csv", "id,name\n", "{n},{text}\n", ""),
        ("a.jsonl", "", '{{"id": {n}, "name": "{text}"}}\n', ""),
        ("a.xml", "<catalog>", "<product><id>{n}</id><name>{text}</name></product>", "</catalog>"),
    ],
)
def test_memory_does_not_grow_with_the_file(
    folder: Path, name: str, head: str, row: str, tail: str
) -> None:
    peaks = []
    path = folder / name
    for count in (100, 30_000):
        rows = "".join(row.format(n=n, text="x" * 1000) for n in range(count))
        path.write_text(head + rows + tail)
        command = [sys.executable, "-c", _PEAK, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        read_count, peak = map(int, done.stdout.split())
        assert read_count == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 8 * 1024  # KiB; the larger file has some 30 MiB


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("id", 10001, "10001"),
        ("id", "  a ", "a"),
        ("id", "x" * 255, "x" * 255),
        ("stock", 5, 5),
        ("stock", "5", 5),
        ("stock", "5.0", 5),
        ("stock", Decimal("5.000"), 5),
        ("stock", 0, 0),
        ("price_final_incl_tax", 64.99, Decimal("64.99")),
        ("price_final_incl_tax", "64.990", Decimal("64.990")),
        ("price_final_incl_tax", 65, Decimal(65)),
        ("price_final_incl_tax", Decimal("6.5E+1"), Decimal(65)),
        ("price_original_incl_tax", "9" * 12 + "." + "1" * 18, Decimal("9" * 12 + "." + "1" * 18)),
        ("currency", "GBP", "GBP"),
        ("as_of", "2026-11-20T09:12:00Z", datetime(2026, 11, 20, 9, 12, tzinfo=UTC)),
        ("attributes", {"size": 38, "color": "red"}, {"size": "38", "color": "red"}),
    ],
)
def test_accepted_values(field: str, value: object, expected: object) -> None:
    product = product_update({"id": "1"} | {field: value})
    assert getattr(product, field) == expected
    assert str(getattr(product, field)) == str(expected)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("id", "", "id = '': must be text of 1 to 255 characters"),
        ("id", "   ", "must be text of 1 to 255 characters"),
        ("id", "x" * 256, "must be text of 1 to 255 characters"),
        ("id", True, "id = True: must be text"),
        ("id", None, "id is missing"),
        ("sku", "", "sku = '': must be text of 1 to 255 characters"),
        ("stock", -1, "stock = -1: must be a whole number of units, 0 to 2147483647"),
        ("stock", "5.5", "stock = '5.5': must be a whole number"),
        ("stock", Decimal("5.5"), "stock = 5.5: must be a whole number"),
        ("stock", 2**31, "must be a whole number"),
        ("stock", True, "must be a whole number"),
        ("stock", "٥", "must be a whole number"),
        ("stock", float("inf"), "must be a whole number"),
        ("price_final_incl_tax", "-1", "price_final_incl_tax = '-1': must be an amount, 0 or more"),
        ("price_final_incl_tax", "64,99", "must be an amount"),
        ("price_final_incl_tax", "1e3", "must be an amount"),
        ("price_final_incl_tax", Decimal("NaN"), "must be an amount"),
        ("price_final_incl_tax", Decimal("1e999999"), "must have at most 12 digits"),
        ("price_original_incl_tax", "0." + "1" * 19, "and 18 decimals"),
        ("currency", "eur", "currency = 'eur': must be three capital letters, like EUR"),
        ("currency", 978, "must be three capital letters"),
        ("as_of", "2026-11-20T09:12:00", "has no offset from UTC: write +00:00, +01:00 or Z"),
        ("as_of", "2026-11-20", "has no offset from UTC"),
        ("as_of", "yesterday", "as_of = 'yesterday': must be an ISO 8601 time"),
        ("as_of", 1763626320, "must be an ISO 8601 time"),
        ("as_of", "0001-01-01T00:00:00+01:00", "must lie between 1970-01-01 and 2999-12-31"),
        ("attributes", "red", "attributes = 'red': must be names with texts"),
        ("attributes", {"color": None}, "'color' must be text"),
        ("attributes", {"": "red"}, "must be text of 1 to 255 characters"),
        ("colour", "red", "unknown field 'colour': known are id, sku, ean, name, stock"),
    ],
)
def test_refused_values(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        product_update({"id": "1"} | {field: value})
    assert len(str(refused.value)) < 300


def test_xml_with_many_namespaces_is_refused(folder: Path) -> None:
    declared = "".join(f' xmlns:a{n}="u{n}"' for n in range(5000))
    with pytest.raises(UnreadableCatalog, match="over 64 namespaces"):
        read(folder, "c.xml", f"<catalog{declared}>" + "<product/>" * 200 + "</catalog>")


def test_xml_with_a_tag_too_long_to_hold_ends_there(folder: Path) -> None:
    long_tag = f'<product a="{"x" * (5 << 20)}"/>'
    good, error = read(
        folder, "c.xml", f"<catalog><product><id>1</id></product>{long_tag}</catalog>"
    )
    assert isinstance(good, ProductUpdate)
    assert isinstance(error, LineError)
    assert "longer than 4 MiB" in error.message
    with pytest.raises(UnreadableCatalog, match="longer than 4 MiB"):
        read(folder, "c.xml", f'<catalog a="{"x" * (5 << 20)}"/>')
