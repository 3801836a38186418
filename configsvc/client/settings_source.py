"""A configuration as a source of pydantic-settings, read once when the program starts."""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from configsvc.client.blocking import ConfigClient


class ConfigSettingsSource(PydanticBaseSettingsSource):
    """The members of a configuration, as they are when the settings are made. They do not change: see `bind`.

    The client must not be started: it is started and closed here. Raises KeyError if there is no such configuration,
    and what the start of a client raises.
    """

    def __init__(self, settings: type[BaseSettings], client: ConfigClient, name: str) -> None:
        super().__init__(settings)
        with client:
            self._content = dict(client[name])

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # of the interface
        """Return the value of a field; None: another source has it."""
        return self._content.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all values."""
        return {name: self._content[name] for name in self.settings_cls.model_fields if name in self._content}
