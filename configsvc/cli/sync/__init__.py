"""Git as the source of configurations: trees of files, plans, and their application."""
