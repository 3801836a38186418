from tests.reads.conftest import reads

__all__ = ["reads"]
