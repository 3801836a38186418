"""The console: files that are built from console/, and the settings that the service gives to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import configsvc

SETTINGS = "/console.json"
FOLDER = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """The settings of the console that this service has.

    `authentication`: the accepted ways. `origins`: further addresses of the OpenID provider that the page calls.
    """

    version: str
    authentication: tuple[str, ...]
    issuer: str
    client_id: str
    audience: str
    scope: str
    origins: tuple[str, ...]

    def document(self) -> bytes:
        """Return what the page reads, as JSON. It is for everybody, so nothing in it is secret."""
        return json.dumps(
            {
                "version": self.version,
                "authentication": self.authentication,
                "issuer": self.issuer,
                "client_id": self.client_id,
                "audience": self.audience,
                "scope": self.scope,
            }
        ).encode()

    def connections(self) -> str:
        """Return the origins that the page may call, as a Content-Security-Policy lists them."""
        issuer = urlsplit(self.issuer)
        own = [f"{issuer.scheme}://{issuer.netloc}"] if self.client_id and issuer.netloc else []
        return " ".join(("'self'", *own, *self.origins))


def console_files() -> Mapping[str, Path]:
    """Return the files of the console by path. Empty in a checkout where they were removed."""
    folder = _folder()
    files = {f"/assets/{path.name}": path for path in sorted((folder / "assets").glob("*")) if path.suffix != ".txt"}
    index = folder / "index.html"
    return {"/": index, **files} if index.is_file() else {}


def _folder() -> Path:
    # A wheel has them in the package, a checkout beside it.
    package = Path(configsvc.__file__).parent
    packaged = package / FOLDER
    return packaged if packaged.is_dir() else package.parent / "generated" / FOLDER
