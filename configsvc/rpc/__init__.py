"""gRPC: thin servicers, one table from domain errors to status, the server."""
