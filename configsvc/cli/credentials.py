"""The caller's token: from a file, a command, or the device flow of the OpenID provider."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from errno import ENOENT
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from configsvc.cli.contexts import Context, folder, write_private
from configsvc.cli.failures import CliError, ExitCode

COMMAND_SECONDS = 60
REQUEST_SECONDS = 20
# A token that ends sooner is renewed first.
LEAST_SECONDS = 60
# 1 is PR_SET_PDEATHSIG, of Linux.
_START = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
os.execvp(sys.argv[1], sys.argv[1:])
"""
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def bearer_token(name: str, context: Context) -> str:
    """Return the token of a context; empty without one. Raises CliError."""
    if not (context.token_file or context.token_command or context.oidc_issuer):
        return ""
    if not (context.tls or context.local or context.allow_plaintext_token):
        raise CliError(
            f"a token would go to {context.server} in clear text",
            hint=f"Use TLS: --server https://{context.target}. If a mesh encrypts it: "
            f"`configsvc context set {name or 'NAME'} --allow-plaintext-token`.",
        )
    if context.token_file:
        return _from_file(context.token_file)
    return _from_command(context.token_command) if context.token_command else _from_login(name, context)


def _from_file(path: str) -> str:
    try:
        return _checked(Path(path).expanduser().read_text(encoding="utf-8"), f"the token file {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read the token file {path}: {_cause(error)}", ExitCode.NOT_PERMITTED) from None


def _from_command(command: str) -> str:
    try:
        words = _with_all_signals(shlex.split(command))
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=COMMAND_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise CliError(
            f"the token command ended with code {error.returncode}: {command}", ExitCode.NOT_PERMITTED
        ) from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise CliError(f"the token command failed: {command}: {_cause(error)}", ExitCode.NOT_PERMITTED) from None
    return _checked(done.stdout, f"the token command {command}")


def _with_all_signals(words: list[str]) -> list[str]:
    """Return a command that starts without blocked signals, which it would inherit from `configsvc exec`, and that is
    killed when the thread ends that waits for it, as `subprocess` does it in the main thread alone.
    """
    if threading.current_thread() is threading.main_thread() and not signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return words
    if shutil.which(words[0]) is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), words[0])
    return [sys.executable, "-I", "-S", "-c", _START, *words]


def _checked(text: str, source: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CliError(f"{source} has no token: expected one word", ExitCode.NOT_PERMITTED)
    return token


def _cause(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {error.timeout:g} s"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _from_login(name: str, context: Context) -> str:
    login = _stored_login(name)
    if login.get("issuer") != context.oidc_issuer or not login:
        raise CliError(
            f"not signed in to {context.oidc_issuer}", ExitCode.NOT_PERMITTED, hint=f"`configsvc context login {name}`"
        )
    if login["expires"] > time.time() + LEAST_SECONDS:
        return login["token"]
    if "refresh_token" not in login:
        raise CliError("the sign-in has expired", ExitCode.NOT_PERMITTED, hint=f"`configsvc context login {name}`")
    metadata = _metadata(context)
    form = {"grant_type": "refresh_token", "refresh_token": login["refresh_token"], "client_id": context.oidc_client_id}
    code, answer = _post(metadata["token_endpoint"], form)
    if code != 200:
        raise CliError(
            f"the sign-in could not be renewed: {_problem(answer)}",
            ExitCode.NOT_PERMITTED,
            hint=f"`configsvc context login {name}`",
        )
    return _store_login(name, context, {"refresh_token": login["refresh_token"]} | answer)


def device_login(name: str, context: Context, tell: Callable[[str], None]) -> None:
    """Sign in with the device flow (RFC 8628), and store the tokens. Raises CliError."""
    if not (context.oidc_issuer and context.oidc_client_id):
        raise CliError(
            f"the context {name} has no OpenID provider",
            ExitCode.USAGE,
            hint=f"`configsvc context set {name} --oidc-issuer URL --oidc-client-id ID`",
        )
    metadata = _metadata(context)
    if "device_authorization_endpoint" not in metadata:
        raise CliError(
            f"{context.oidc_issuer} has no device flow",
            hint="Use a token file or command: `configsvc context set --token-command COMMAND`.",
        )
    form = {"client_id": context.oidc_client_id, "scope": context.oidc_scope or "openid offline_access"}
    code, device = _post(metadata["device_authorization_endpoint"], form)
    if code != 200:
        raise CliError(f"{context.oidc_issuer} refuses the sign-in: {_problem(device)}", ExitCode.NOT_PERMITTED)
    tell(f"Open {device['verification_uri']} and enter the code {device['user_code']}")
    if "verification_uri_complete" in device:
        tell(f"or open {device['verification_uri_complete']}")
    _store_login(name, context, _wait_for_consent(metadata["token_endpoint"], context, device))


def _wait_for_consent(endpoint: str, context: Context, device: dict[str, Any]) -> dict[str, Any]:
    interval = float(device.get("interval", 5))
    end = time.monotonic() + float(device.get("expires_in", 600))
    form = {"grant_type": _GRANT, "device_code": device["device_code"], "client_id": context.oidc_client_id}
    while time.monotonic() < end:
        time.sleep(interval)
        code, answer = _post(endpoint, form)
        if code == 200:
            return answer
        match answer.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                interval += 5
            case _:
                raise CliError(f"the sign-in was refused: {_problem(answer)}", ExitCode.NOT_PERMITTED)
    raise CliError("the code has expired", ExitCode.NOT_PERMITTED, hint="Sign in again, and enter the code sooner.")


def _login_file(name: str) -> Path:
    return folder() / "logins" / f"{name}.json"


def _stored_login(name: str) -> dict[str, Any]:
    try:
        login: Any = json.loads(_login_file(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    match login:
        case {"token": str(), "expires": int() | float()}:
            return login
        case _:
            return {}


def _store_login(name: str, context: Context, answer: dict[str, Any]) -> str:
    token = _checked(str(answer.get("id_token") or answer.get("access_token") or ""), "the answer of the provider")
    stored = {"issuer": context.oidc_issuer, "token": token, "expires": time.time() + answer.get("expires_in", 300)}
    if answer.get("refresh_token"):
        stored["refresh_token"] = answer["refresh_token"]
    write_private(_login_file(name), json.dumps(stored) + "\n")
    return token


def forget_login(name: str) -> None:
    """Delete the stored tokens of a context."""
    _login_file(name).unlink(missing_ok=True)


def _metadata(context: Context) -> dict[str, Any]:
    url = f"{context.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
    code, answer = _ask(Request(url))  # noqa: S310  # checked when the context is set
    if code != 200 or answer.get("issuer", "").rstrip("/") != context.oidc_issuer.rstrip("/"):
        raise CliError(f"{url} is not the configuration of this OpenID provider", ExitCode.UNAVAILABLE)
    return answer


def _post(url: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    return _ask(Request(url, data=urlencode(form).encode(), method="POST"))  # noqa: S310


def _ask(request: Request) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(request, timeout=REQUEST_SECONDS) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, _json_or_nothing(error.read())
    except (URLError, OSError, ValueError) as error:
        cause = getattr(error, "reason", error)
        raise CliError(
            f"the OpenID provider does not respond: {request.full_url}: {cause}", ExitCode.UNAVAILABLE
        ) from None


def _json_or_nothing(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body)
    except ValueError:
        return {}


def _problem(answer: dict[str, Any]) -> str:
    return str(answer.get("error_description") or answer.get("error") or "no reason given")
