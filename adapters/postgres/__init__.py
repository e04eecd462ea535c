"""The one truth: everything we know, in PostgreSQL, through asyncpg."""
