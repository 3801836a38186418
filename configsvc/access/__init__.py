"""Authorization: admission, role bindings, access policy and revocation."""
