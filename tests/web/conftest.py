"""The web tests ask their questions of the same running ingest side as the ingest tests."""

from tests.ingest.conftest import engine, ingest, start_ingest, template

__all__ = ["engine", "ingest", "start_ingest", "template"]
