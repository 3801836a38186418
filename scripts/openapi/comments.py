"""The comments of the protos, which are the text of the document and of the reference."""

import re
from collections.abc import Iterable
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from configsvc.web.json_reader import TEXT_SUFFIX


class Comments:
    """The comments of the protos, by full name."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._texts: dict[str, str] = {}
        for file in files:
            self._read(file)

    def of(self, full_name: str) -> str:
        """Return the comment of an element as one text."""
        return self._texts.get(full_name, "")

    def of_field(self, field: FieldDescriptor) -> str:
        """Return the comment of a field; of a content in two forms, that of their oneof."""
        group = field.containing_oneof
        if group is not None and has_text_twin(field) and len(group.fields) == 2:
            return self.of(f"{owner(field).full_name}.{group.name}")
        return self.of(field.full_name)

    def _read(self, file: FileDescriptorProto) -> None:
        for location in file.source_code_info.location:
            name = _name_at(file, list(location.path)) if location.leading_comments else ""
            if name:
                self._texts[f"{file.package}.{name}"] = _flowing(location.leading_comments)


def first_sentence(text: str) -> str:
    """Return the first sentence of a comment, without its full stop."""
    return re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].rstrip(".:")


def owner(field: FieldDescriptor) -> Descriptor:
    """Return the message of a field."""
    return cast("Descriptor", field.containing_type)


def has_text_twin(field: FieldDescriptor) -> bool:
    """Return whether a sibling holds the same as JSON text."""
    return f"{field.name}{TEXT_SUFFIX}" in owner(field).fields_by_name


def is_text_twin(field: FieldDescriptor) -> bool:
    """Return whether the field holds as JSON text what a sibling holds; JSON over HTTP has the sibling only."""
    plain = field.name.removesuffix(TEXT_SUFFIX)
    return plain != field.name and plain in owner(field).fields_by_name


def _name_at(file: FileDescriptorProto, path: list[int]) -> str:
    """Return the name of the element at a path of source_code_info; empty for one without a name."""
    element: Any = file
    names: list[str] = []
    while path:
        field = element.DESCRIPTOR.fields_by_number[path.pop(0)]
        if not field.is_repeated or not path:
            return ""
        element = getattr(element, field.name)[path.pop(0)]
        if not hasattr(element, "name"):
            return ""
        names.append(element.name)
    return ".".join(names)


def _flowing(comment: str) -> str:
    """Return a comment with each paragraph on one line."""
    paragraphs = re.split(r"\n\s*\n", comment.strip())
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs)
