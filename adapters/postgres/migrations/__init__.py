"""The schema's steps: plain SQL, one file a revision, run by Alembic."""
