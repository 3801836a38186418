from tests.configurations.conftest import reads

__all__ = ["reads"]
