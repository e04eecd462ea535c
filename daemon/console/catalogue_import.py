"""Importing a catalogue by upload: the file comes as a stream, its report is a page."""

from collections.abc import AsyncIterator
from pathlib import PurePath
from uuid import UUID

from aiohttp import BodyPartReader, MultipartReader, web

from adapters.catalog.reader import SUFFIXES
from adapters.postgres import imports as store
from adapters.postgres.imports import Import
from daemon.console.addresses import named, place
from daemon.console.catalogue import catalog_named
from daemon.console.guard import HEADERS
from daemon.console.visit import BY, Complaint, Pages, Visit, next_part
from daemon.uploads import LARGEST_UPLOAD, MOST_ERRORS, Imports, NoRoom, TooManyImports, Upload
from statemachine.model import CatalogId

PAGES = Pages()
IMPORTS = web.AppKey("imports", Imports)

_SHOWN_ERRORS = 100
_LONGEST_NAME = 200


def register_imports(app: web.Application) -> None:
    """Imports end with the application."""
    app[IMPORTS] = Imports()
    app.on_cleanup.append(_close)


async def _close(app: web.Application) -> None:
    await app[IMPORTS].close()


@PAGES.get("/catalogue/import")
async def form(visit: Visit) -> web.Response:
    """Choosing a file."""
    async with visit.connection() as conn:
        recent = await store.recent(conn, 20)
    return await visit.page(
        "catalogue/import_form.html",
        title="Import a catalogue",
        catalog=catalog_named(visit.text("catalog") or "default"),
        suffixes=SUFFIXES,
        largest=LARGEST_UPLOAD >> 20,
        imports=recent,
    )


@PAGES.post("/catalogue/import", upload=True)
async def upload(visit: Visit) -> web.Response:
    """Take the file in, then read it in the background; its page tells how far it is."""
    _check_length(visit.request.content_length)
    catalog = catalog_named("default")
    reader = visit.upload
    while isinstance(reader, MultipartReader):
        part = await next_part(reader)
        if part is None:
            break
        if isinstance(part, BodyPartReader) and part.name == "catalog":
            text = await part.read_chunk(256)
            catalog = catalog_named(text.decode("utf-8", "replace").strip())
        elif isinstance(part, BodyPartReader) and part.name == "file" and part.filename:
            return await _import(visit, catalog, part)
    raise Complaint(400, "Choose a file to import. Nothing was changed.")


def _check_length(length: int | None) -> None:
    if length is not None and length > LARGEST_UPLOAD + 64 * 1024:
        raise _too_large()


def _too_large() -> Complaint:
    most = f"at most {LARGEST_UPLOAD >> 20} MiB are taken. Nothing was changed: split the file"
    return Complaint(413, f"The file is too large: {most}, or use `spartoo-sync catalog import`.")


async def _import(visit: Visit, catalog: CatalogId, part: BodyPartReader) -> web.Response:
    imports = visit.request.app[IMPORTS]
    try:
        with imports.place():
            import_id = await _take_in(visit, imports, catalog, part)
    except TooManyImports as error:
        raise Complaint(503, f"{TooManyImports.__doc__}") from error
    except NoRoom as error:
        raise Complaint(507, f"Nothing was changed: no room for the file in {error}.") from error
    target = place("/catalogue/imports", str(import_id))
    if visit.by_htmx:
        return web.Response(status=204, headers={"HX-Redirect": target})
    return visit.go(target)


async def _take_in(
    visit: Visit, imports: Imports, catalog: CatalogId, part: BodyPartReader
) -> UUID:
    announced = visit.request.content_length or LARGEST_UPLOAD
    taken = Upload(_name(part.filename or ""), visit.parts.settings.state_dir, announced)
    try:
        while chunk := await part.read_chunk(64 * 1024):
            if not taken.write(chunk):
                raise _too_large()
        taken.complete()
        return await imports.begin(visit.parts.database, catalog, taken, BY)
    except BaseException:
        taken.remove()
        raise


def _name(filename: str) -> str:
    """The file's own name, as it may be shown. Raises Complaint for a kind nobody reads."""
    name = PurePath(filename.replace("\\", "/")).name
    if PurePath(name).suffix.lower() not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise Complaint(415, f"Nothing was changed: name the file {kinds} after what it holds.")
    plain = "".join(c if c.isprintable() else "�" for c in name)
    return plain[-_LONGEST_NAME:]


@PAGES.get("/catalogue/imports/{id}")
async def report(visit: Visit) -> web.Response:
    """How far an import is, and unreadable lines; htmx asks for the part that moves."""
    found = await _known(visit)
    async with visit.connection() as conn:
        lines = await store.errors(conn, found.id, limit=_SHOWN_ERRORS)
    if visit.by_htmx:
        return visit.fragment("catalogue/import_progress.html", found=found, lines=lines)
    return await visit.page(
        "catalogue/import.html", title=f"Import of {found.file}", found=found, lines=lines
    )


@PAGES.get("/catalogue/imports/{id}/errors.txt", head=False)
async def errors(visit: Visit) -> web.StreamResponse:
    """Every unreadable line that is kept, to download."""
    found = await _known(visit)
    response = web.StreamResponse(
        headers=HEADERS | {"Content-Disposition": 'attachment; filename="errors.txt"'}
    )
    response.content_type, response.charset = "text/plain", "utf-8"
    await response.prepare(visit.request)
    async for piece in _report(visit, found):
        await response.write(piece.encode())
    await response.write_eof()
    return response


async def _report(visit: Visit, found: Import) -> AsyncIterator[str]:
    """Page by page: who reads slowly keeps no connection to the database meanwhile."""
    yield f"{found.file}: {found.products} products kept, {found.bad_lines} lines not read\n"
    after: int | None = 0
    while after is not None:
        async with visit.connection() as conn:
            lines = await store.errors(conn, found.id, after)
        yield "".join(f"line {bad.line}: {bad.message}: {bad.text}\n" for bad in lines)
        after = lines[-1].id if lines else None
    if found.bad_lines > MOST_ERRORS:
        yield f"and {found.bad_lines - MOST_ERRORS} more\n"


async def _known(visit: Visit) -> Import:
    """The import the address names. Raises Complaint."""
    try:
        import_id = UUID(named(visit, "id"))
    except ValueError:
        raise Complaint(404, "There is no such import.") from None
    async with visit.connection() as conn:
        found = await store.get(conn, import_id)
    if found is None:
        raise Complaint(404, "There is no such import; reports are kept for a month.")
    return found
