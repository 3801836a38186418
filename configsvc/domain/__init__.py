"""What configsvc knows: names, contents, resources, changes, errors. No input or output, no protobuf, no database."""
