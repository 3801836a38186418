"""One run of a command: the connection, the answers to its questions, and what its options say."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from configsvc.cli.contexts import chosen_context
from configsvc.cli.failures import UsageError
from configsvc.cli.output import Format, Table, print_document, print_resources, say, write

if TYPE_CHECKING:
    from configsvc.cli.connection import Connection


@dataclass(slots=True)
class Session:
    """The options that commands share, and the connection, which is made when it is first used."""

    context: str | None = None
    server: str | None = None
    timeout_seconds: float | None = None
    no_input: bool = False
    output: Format | None = None
    reason: str = ""
    change_request: str = ""
    dry_run: bool = False
    # Where talk about the connection goes.
    tell: Callable[[str], None] = say
    _connection: "Connection | None" = field(default=None, init=False)

    @property
    def connection(self) -> "Connection":
        """The connection to the service of the context. Raises CliError."""
        if self._connection is None:
            from configsvc.cli.connection import Connection  # noqa: PLC0415

            name, context = chosen_context(self.context, self.server)
            self._connection = Connection(name, context, self.timeout_seconds, self.tell)
        return self._connection

    def reconnect(self) -> None:
        """Close the connection: the next use makes a new one, with a new token."""
        self.close()
        self._connection = None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def change(self) -> dict[str, Any]:
        """Return the fields of a request that changes something. A retry of the request repeats them."""
        return {
            "reason": self.reason,
            "change_request": self.change_request,
            "validate_only": self.dry_run,
            "request_id": str(uuid4()),
        }

    def report(self, done: str, would: str, *, changed: bool = True) -> None:
        """Say what a change did, or would do."""
        if not changed:
            say("nothing to change")
        else:
            say(f"{would} (dry run)" if self.dry_run else done)

    def report_deletion(self, name: str, answer: Any) -> None:
        """Say that something was deleted, and print the answer if -o asks for it."""
        self.report(f"deleted {name} (revision {answer.revision})", f"would delete {name}", changed=answer.changed)
        if self.structured:
            self.print_value(_plain(answer))
        elif self.output is not None:
            write(name)

    def print_changed(self, message: Any, table: Table) -> None:
        """Print a changed resource, if -o asks for it."""
        if self.output is not None:
            self.print_one(message, table)

    def print_one(self, message: Any, table: Table) -> None:
        """Print one resource."""
        print_resources([message], table, self.output, _plain, single=True)

    def print_many(self, messages: list[Any], table: Table) -> None:
        """Print a list of resources."""
        print_resources(messages, table, self.output, _plain)

    def print_value(self, value: Any) -> None:
        """Print a JSON value: as JSON, unless YAML is asked for."""
        print_document(value, Format.YAML if self.output is Format.YAML else Format.JSON)

    @property
    def structured(self) -> bool:
        """True if contents are printed: -o json or -o yaml."""
        return self.output in {Format.JSON, Format.YAML}

    @property
    def can_ask(self) -> bool:
        """True if somebody can answer questions."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be undone. Raises UsageError if it was not confirmed."""
        if not self.can_ask:
            raise UsageError(f"this must be confirmed: {question}", hint="--yes confirms it.")
        if self.ask(f"{question[0].upper()}{question[1:]}? [y/N] ").lower() not in {"y", "yes"}:
            raise UsageError("not confirmed; nothing was changed")
        if self._connection is not None:
            # A person took the time.
            self._connection.extend()

    def ask(self, question: str) -> str:
        """Return the answer to a question on the terminal; empty at its end."""
        sys.stderr.write(question)
        sys.stderr.flush()
        with suppress(EOFError):
            answer = sys.stdin.readline()
            if not answer:
                sys.stderr.write("\n")
            return answer.strip()
        return ""


def _plain(message: Any) -> Any:
    from configsvc.cli.plain import plain  # noqa: PLC0415

    return plain(message) if hasattr(message, "DESCRIPTOR") else message


def pages(call: Callable[[Any], Any], request: Any, field_name: str, limit: int | None = None) -> list[Any]:
    """Return the resources of all pages of a list, or the first ones."""
    found: list[Any] = []
    while limit is None or len(found) < limit:
        request.page_size = 1000 if limit is None else min(1000, limit - len(found))
        answer = call(request)
        found += getattr(answer, field_name)
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    return found
