"""The API without a transport: one module per service, from a parsed request to a response."""
