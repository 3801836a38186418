"""JSON Schema: documents, references, validation, compatibility."""
