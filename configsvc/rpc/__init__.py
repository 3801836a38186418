"""The gRPC door: handlers, credentials, failures, TLS, the server."""
