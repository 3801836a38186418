"""SQL and transactions. Rows leave this package as models, failures as the errors of the domain."""
