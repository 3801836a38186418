"""The API without a transport: one module a service, from a parsed request to an answer."""
