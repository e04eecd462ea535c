"""The campaign's line to PostgreSQL: it can hold up one statement and let others through."""

import asyncio

from tests.chaos.link import Link, to_port

STATEMENT = "update relay set position"


async def test_a_statement_is_held_up_by_its_text_and_by_its_name() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Link(to_port(server.sockets[0].getsockname()[1])) as link:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        link.hold([STATEMENT], 0.01)
        for said, held in (
            (b"P__asyncpg_stmt_1__\0update relay\n set position = 1\0", 1),
            (b"B\0__asyncpg_stmt_2__\0", 1),
            (b"B\0__asyncpg_stmt_1__\0", 2),
        ):
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
            assert link.held == held
        link.mend()
        writer.write(said)
        await reader.readexactly(len(said))
        assert link.held == 2
        writer.close()
