"""Authentication: bearer tokens, client certificates and the keys that verify them."""
