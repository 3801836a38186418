"""What a caller may do: role bindings, admission, revocation."""
