"""Settings: flags, then CONFIGSVC_* variables, then a .env file, then the defaults."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator can set."""

    model_config = SettingsConfigDict(env_prefix="CONFIGSVC_", env_file=".env", extra="ignore", frozen=True)

    listen: str = "127.0.0.1:50051"
    database_url: SecretStr | None = None
    data_dir: Path = Path(".configsvc")
    insecure: bool = False
    migrate: bool = True
    shutdown_grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
