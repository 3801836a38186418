"""The rules: names, contents, resources, changes, errors. No I/O, no protobuf, no database."""
