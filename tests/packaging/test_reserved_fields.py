"""Numbers and names that are kept for what comes: derived configurations, environments, proposals, acknowledgements."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

import configapi

# The least numbers that each message keeps, and the names.
RESERVED: dict[str, tuple[int, set[str]]] = {
    "Configuration": (8, {"source", "place"}),
    "ConfigurationItem": (4, {"source"}),
    "WatchConfigurationsRequest": (4, set()),
    "WatchConfigurationsResponse": (4, set()),
    "ConfigurationEvent": (4, {"proposal"}),
    "ConfigurationSelector": (6, {"place", "labels"}),
    "Application": (4, {"place"}),
    "ApplicationRef": (3, {"place"}),
    "RoleBinding": (4, {"place"}),
    "ChangeOrigin": (4, {"annotations", "cause"}),
    "GetConfigurationRequest": (3, set()),
    "ListConfigurationsRequest": (3, set()),
    "UpdateConfigurationRequest": (3, set()),
    "CreateConfigurationResponse": (5, {"warnings", "affected", "proposal"}),
    "UpdateConfigurationResponse": (5, {"warnings", "affected", "proposal"}),
    "RollbackConfigurationResponse": (5, {"warnings", "affected", "proposal"}),
    "UndeleteConfigurationResponse": (5, {"warnings", "affected", "proposal"}),
}


def test_the_contract_keeps_numbers_and_names_for_what_comes() -> None:
    found = {message.name: message for message in _messages()}
    for name, (count, names) in RESERVED.items():
        message = found[name]
        assert numbers_of(message) >= count, name
        assert names <= set(message.reserved_name), name


def numbers_of(message: DescriptorProto) -> int:
    return sum(kept.end - kept.start for kept in message.reserved_range)


def _messages() -> Iterator[DescriptorProto]:
    (folder,) = configapi.__path__
    files = FileDescriptorSet.FromString(Path(folder, "descriptors.binpb").read_bytes()).file
    yield from (message for file in files if file.package.startswith("configapi.") for message in file.message_type)
