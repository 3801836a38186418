"""Redis as a store of entries that may be lost, late or wrong: it answers quickly, or not at all."""
