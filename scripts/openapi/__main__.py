"""Write the OpenAPI document and the reference of the API: python -m scripts.openapi DESCRIPTORS DOCUMENT FOLDER."""

import json
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from scripts.openapi.comments import Comments
from scripts.openapi.document import document
from scripts.openapi.reference import reference


def main(descriptors: Path, file: Path, folder: Path) -> None:
    """Write the document and the pages of the reference."""
    comments = Comments(FileDescriptorSet.FromString(descriptors.read_bytes()).file)
    file.write_text(json.dumps(document(comments), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    folder.mkdir(exist_ok=True)
    for name, text in reference(comments).items():
        (folder / name).write_text(text, encoding="utf-8")


main(*map(Path, sys.argv[1:]))
