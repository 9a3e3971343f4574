"""Pages are made of the probes' store and embeddings."""

from tests.probe.conftest import embeddings, store

__all__ = ["embeddings", "store"]
