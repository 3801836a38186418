"""Arguments and options that several commands have."""

from typing import Annotated

import typer

from configsvc.cli.completion import complete_applications, complete_keys, complete_schemas

Key = Annotated[
    str,
    typer.Argument(metavar="APPLICATION/NAME", help="Configuration.", autocompletion=complete_keys, show_default=False),
]
Application = Annotated[
    str,
    typer.Argument(
        metavar="APPLICATION", help="Application.", autocompletion=complete_applications, show_default=False
    ),
]
SchemaName = Annotated[
    str, typer.Argument(metavar="SCHEMA", help="Schema.", autocompletion=complete_schemas, show_default=False)
]
Selection = Annotated[
    str | None,
    typer.Argument(
        metavar="SELECTION",
        help="APPLICATION, APPLICATION/NAME, APPLICATION/FOLDER/, or 'APPLICATION/PREFIX*'.",
        autocompletion=complete_keys,
        show_default=False,
    ),
]
File = Annotated[str, typer.Option("--file", "-f", metavar="FILE", help="File with JSON or YAML; - is standard input.")]
Schema = Annotated[
    str | None,
    typer.Option(metavar="NAME[@VERSION]", help="Schema to pin it to.", autocompletion=complete_schemas),
]
Comments = Annotated[str | None, typer.Option(metavar="TEXT", help="Free text for people.")]
At = Annotated[str | None, typer.Option(metavar="REVISION|TIME", help="State at this revision or time.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Most results.")]
ExpectedVersion = Annotated[
    int | None,
    typer.Option("--expected-version", min=0, metavar="VERSION", help="Fail unless this is the current version."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end of the operation.")]
IgnoreMissing = Annotated[bool, typer.Option("--ignore-missing", help="Succeed if it does not exist.")]
