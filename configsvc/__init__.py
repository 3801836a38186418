"""A configuration service: versioned JSON over gRPC, kept in PostgreSQL, watched without loss."""
