"""`configsvc exec` as a process that runs programs, against a real service."""

import asyncio
import ctypes
import os
import re
import shlex
import signal
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import psutil
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from configapi.v1.application_pb2 import Application
from configapi.v1.application_service_pb2 import UpdateApplicationRequest
from configapi.v1.configuration_pb2 import Configuration, ConfigurationKey
from configapi.v1.configuration_service_pb2 import DeleteConfigurationRequest, UpdateConfigurationRequest
from configsvc.cli.contexts import Context
from configsvc.cli.credentials import bearer_token
from configsvc.cli.documents import compact_json, parse_json
from configsvc.cli.failures import CliError
from configsvc.cli.supervising import LONGEST_PAUSE_SECONDS, pause_seconds
from configsvc.cli.variables import Variables, environment_of
from tests.cli.running import Cli, Done, running_command
from tests.client.clients import until
from tests.identity.authorities import Authority, files_in, uri
from tests.process.running import CONFIGSVC, LIMIT_SECONDS, Program
from tests.service import Service, running_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Starts a program with the terminal of its standard input as the controlling one.
WITH_TERMINAL = (
    *(sys.executable, "-c"),
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
    *CONFIGSVC,
)
# Prints the signals that it receives, and ends a moment after SIGTERM or SIGINT with their number.
LISTENER = """
import signal, sys, threading
received = []
def note(number, _frame):
    received.append(signal.Signals(number).name)
    print("received", signal.Signals(number).name, flush=True)
    if number in {signal.SIGTERM, signal.SIGINT}:
        threading.Timer(0.3, end.set).start()
end = threading.Event()
for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH"):
    signal.signal(getattr(signal, name), note)
print("listening", flush=True)
end.wait()
print("all:", *received, flush=True)
sys.exit(40 + len(received))
"""


async def put(service: Service, key: str, content: str) -> None:
    """Create a configuration, or replace its content."""
    application, _, name = key.partition("/")
    await service.applications.UpdateApplication(
        UpdateApplicationRequest(name=application, application=Application(comments="c"), allow_missing=True)
    )
    await service.configurations.UpdateConfiguration(
        UpdateConfigurationRequest(
            key=ConfigurationKey(application=application, name=name),
            configuration=Configuration(config_json=content),
            update_mask=FieldMask(paths=["config_json"]),
            allow_missing=True,
        )
    )


async def delete(service: Service, key: str) -> None:
    application, _, name = key.partition("/")
    await service.configurations.DeleteConfiguration(
        DeleteConfigurationRequest(key=ConfigurationKey(application=application, name=name))
    )


def executing(cli: Cli, *arguments: str, command: tuple[str, ...] = CONFIGSVC) -> AbstractAsyncContextManager[Program]:
    """Run `configsvc exec`."""
    return running_command(cli, *command, "exec", "--quiet-period", "100ms", *arguments)


async def test_a_program_has_the_values_in_variables_the_standard_streams_and_nothing_of_the_client(
    cli: Cli, shared_service: Service, application: str
) -> None:
    content = (
        '{"rate": 100, "share": 0.1, "big": 9007199254740991, "on": true, "none": null, "text": "ä \\"b", '
        '"hosts": ["a", {"b": 1}], "tls": {"min-version": "1.2", "empty": {}}}'
    )
    await put(shared_service, f"{application}/limits", content)
    await put(shared_service, f"{application}/eu/db", '{"rate": 1}')
    given, other = os.pipe()
    os.set_inheritable(given, True)
    words = ("--config", f"{application}/limits", "--config", f"DB_={application}/eu/db", "--prefix", "L_")
    process = await asyncio.create_subprocess_exec(
        *(*CONFIGSVC, "exec", *words, "sh", "-c", 'read -r line; echo "$line"; env -0; ls /proc/self/fd >&2; exit 3'),
        env=cli.environment(),
        pass_fds=(given,),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(given)
    os.close(other)
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate(b"typed\n")
    line, _, rest = out.decode().partition("\n")
    variables = dict(entry.split("=", 1) for entry in rest.rstrip("\0").split("\0"))
    assert (process.returncode, line) == (3, "typed")
    assert {name: value for name, value in variables.items() if name.startswith(("L_", "DB_"))} == {
        "L_RATE": "100",
        "L_SHARE": "0.1",
        "L_BIG": "9007199254740991",
        "L_ON": "true",
        "L_NONE": "",
        "L_TEXT": 'ä "b',
        "L_HOSTS": '["a",{"b":1}]',
        "L_TLS_MIN_VERSION": "1.2",
        "L_TLS_EMPTY": "{}",
        "DB_RATE": "1",
    }
    assert "GRPC_VERBOSITY" not in variables
    # The last one is that of ls itself.
    assert len(err.split()) == 5
    assert err.split()[:3] == [b"0", b"1", b"2"]
    assert str(given).encode() in err.split()


def environment(content: str, inherited: dict[bytes, bytes] | None = None, *, replaces: bool = False) -> object:
    return environment_of([Variables("shop/web", "", parse_json(content))], inherited or {}, replaces=replaces)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"a-b": 1, "a_b": 2}', "shop/web/a_b would be A_B, as shop/web/a-b is"),
        ('{"a": {"b": 1}, "a_b": 2}', "shop/web/a_b would be A_B, as shop/web/a/b is"),
        ('{"a/b": 1, "a~b": 2}', "shop/web/a~0b would be A_B, as shop/web/a~1b is"),
        ('{"2fa": 1}', "shop/web/2fa cannot be a variable: '2FA' is no name of one"),
        ('{"größe": 1}', "shop/web/größe cannot be a variable: 'größe' is no name of one"),
        ('{"straße": 1}', "shop/web/straße cannot be a variable: 'straße' is no name of one"),
        ('{"": 1}', "shop/web/ cannot be a variable: '' is no name of one"),
        ('{"a": "b\\u0000c"}', "shop/web/a cannot be a variable: it has a NUL character"),
        ('{"home": "x"}', "shop/web/home would replace HOME, which the environment has: --override allows it"),
        ('{"a": "' + 200_000 * "x" + '"}', "shop/web/a cannot be a variable: it has more than 128 KiB"),
    ],
)
async def test_names_that_collide_and_values_that_no_environment_can_hold_are_faults(content: str, fault: str) -> None:
    with pytest.raises(CliError) as raised:
        environment(content, {b"HOME": b"/root"})
    assert raised.value.details == [fault]


async def test_variables_that_together_exceed_what_the_system_takes_are_a_fault() -> None:
    count = os.sysconf("SC_ARG_MAX") // 100_000 + 1
    content = compact_json({f"v{number}": "x" * 100_000 for number in range(count)})
    with pytest.raises(CliError) as raised:
        environment(content, {})
    (fault,) = raised.value.details
    assert re.fullmatch(r"all variables together have \d+ KiB: at most \d+ are allowed here", fault)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--file", "f", "--prefix", "A_"), "--prefix and --override are about variables, which --file replaces"),
        (("--file", "f", "--override"), "--prefix and --override are about variables, which --file replaces"),
        (("--format", "json"), "--format needs --file PATH"),
        (("--signal", "SIGUSR1"), "--signal needs --on-change signal"),
    ],
)
async def test_an_option_that_would_do_nothing_is_refused(cli: Cli, words: tuple[str, ...], fault: str) -> None:
    done = await cli("exec", "--config", "shop/web", *words, "--", "true")
    assert (done.code, fault in done.err) == (2, True)


async def test_inherited_variables_are_replaced_only_if_that_is_asked_for() -> None:
    assert environment("{}", {b"HOME": b"/root"}) == {b"HOME": b"/root"}
    assert environment('{"home": "x"}', {b"HOME": b"/root", b"A": b"\xff"}, replaces=True) == {
        b"HOME": b"x",
        b"A": b"\xff",
    }


async def test_the_exit_code_is_that_of_the_program_and_128_more_than_the_signal_that_ended_it(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"a-b": 1, "a_b": 2}')
    await put(shared_service, f"{application}/other", '{"x": 1}')
    good = ("exec", "--config", f"{application}/other", "--")
    killed, unknown, colliding, away = await asyncio.gather(
        cli(*good, "sh", "-c", "kill -KILL $$"),
        cli(*good, "no-such-program"),
        cli("exec", "--config", key, "--", "touch", "started"),
        cli("exec", "--timeout", "500ms", "--server", "127.0.0.1:1", "--config", key, "--", "touch", "started"),
    )
    assert (killed.code, unknown.code, colliding.code, away.code) == (137, 127, 7, 6)
    assert "cannot start no-such-program" in unknown.err
    assert f"{key}/a_b would be A_B, as {key}/a-b is" in colliding.err
    assert not (cli.folder / "started").exists()


async def test_a_program_starts_only_when_all_configurations_are_there(
    cli: Cli, shared_service: Service, application: str
) -> None:
    present, late = f"{application}/present", f"{application}/late"
    await put(shared_service, present, '{"a": 1}')
    words = ("--config", present, "--config", late, "--", "sh", "-c", "echo started $A $B")
    never = (f"{application}/never", "--", "touch", "started")
    # Beside the rest, as its limit must be long enough for the service to answer.
    failing = asyncio.create_task(cli("exec", "--timeout", "5s", "--config", *never))
    async with executing(cli, *words) as program:
        await program.wait_for_text(f"configsvc: waiting up to 30 s for {late}")
        await put(shared_service, late, '{"b": 2}')
        await program.wait_for_text("started 1 2")
        assert await program.exit_code() == 0
    async with executing(cli, "--config", *never) as program:
        await program.wait_for_text("waiting up to")
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 143
    missing = await failing
    assert (missing.code, missing.out) == (3, "")
    assert f"there is no configuration {application}/never" in missing.err
    assert not (cli.folder / "started").exists()


async def test_a_change_restarts_the_program_and_kills_what_does_not_end(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"n": 1}')
    stubborn = 'trap "" TERM; sleep 1000 & echo "start $N child $!"; wait'
    async with executing(cli, "--config", key, "--stop-timeout", "200ms", "--", "sh", "-c", stubborn) as program:
        await program.wait_for_text("start 1 child")
        found = re.search(r"start 1 child (\d+)", program.text)
        assert found
        await put(shared_service, key, '{"n": 2}')
        await program.wait_for_text(f"{key} changed: restarting sh")
        await program.wait_for_text("sh has not ended within 0.2 s: killing it")
        await program.wait_for_text("start 2 child")
        assert not psutil.pid_exists(int(found[1])) or psutil.Process(int(found[1])).status() == psutil.STATUS_ZOMBIE
        await put(shared_service, key, '{"n-m": 1, "n_m": 2}')
        await program.wait_for_text("the program keeps what it has: these configurations cannot be")
        assert "start  child" not in program.text
        second = re.search(r"start 2 child (\d+)", program.text)
        assert second
        os.killpg(os.getpgid(int(second[1])), signal.SIGKILL)
        assert await program.exit_code() == 137


async def test_many_changes_at_once_restart_the_program_a_few_times_and_end_with_the_newest(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"n": 0}')
    words = ("--quiet-period", "1s", "--config", key, "--", "sh", "-c", 'echo "start $N"; exec sleep 1000')
    async with executing(cli, *words) as program:
        await program.wait_for_text("start 0")
        for number in range(1, 21):
            await put(shared_service, key, f'{{"n": {number}}}')
        await program.wait_for_text("start 20")
        assert program.text.count("start ") < 10
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 143


async def test_restarts_wait_longer_each_time_up_to_a_limit() -> None:
    pauses = [pause_seconds(restarts, 1.0) for restarts in range(9)]
    assert pauses == [0, 2, 4, 8, 16, 32, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert pause_seconds(1_000_000, 0.1) == LONGEST_PAUSE_SECONDS


async def test_signals_reach_the_program_once_and_a_change_after_sigterm_does_not_restart_it(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"n": 1}')
    sent = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGTERM)
    async with executing(cli, "--config", key, "--", sys.executable, "-c", LISTENER) as program:
        await program.wait_for_text("listening")
        for number in sent:
            program.signal(number)
            await program.wait_for_text(f"received {number.name}")
        await put(shared_service, key, '{"n": 2}')
        assert await program.exit_code() == 40 + len(sent)
        assert program.text.count("listening") == 1


async def test_ctrl_c_on_a_terminal_reaches_the_program_once(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"n": 1}')
    words = ("exec", "--config", key, "--", sys.executable, "-c", LISTENER)
    async with cli.terminal(*words, command=WITH_TERMINAL) as terminal:
        await terminal.wait_for("listening")
        terminal.type("\x03")
        assert await terminal.end() == 41
        assert "all: SIGINT\r\n" in terminal.text
    async with cli.terminal(*words, command=WITH_TERMINAL) as terminal:
        await terminal.wait_for("listening")
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.end() == 41


async def test_a_file_is_replaced_as_a_whole_for_its_owner_alone_and_a_signal_says_so(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"rate": 1, "on": true}')
    path = cli.folder / "web.yaml"
    path.write_text("old")
    path.chmod(0o644)
    reads = 'trap "cat \\$CONFIGSVC_FILE; echo read" USR1; echo $$ listening; while :; do sleep 0.05; done'
    words = ("--file", "web.yaml", "--on-change", "signal", "--signal", "USR1")
    async with executing(cli, "--config", key, *words, "--", "sh", "-c", reads) as program:
        await program.wait_for_text("listening")
        assert path.read_text() == '"on": true\nrate: 1\n'
        assert path.stat().st_mode & 0o7777 == 0o600
        await put(shared_service, key, '{"rate": 2}')
        await program.wait_for_text("rate: 2\nread")
        assert program.text.count("listening") == 1
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 143
    assert [file.name for file in cli.folder.iterdir()] == ["web.yaml"]


async def test_a_change_can_end_the_program_or_only_replace_its_file(
    cli: Cli, shared_service: Service, application: str
) -> None:
    one, other = f"{application}/one", f"{application}/other"
    await put(shared_service, one, '{"n": 1}')
    await put(shared_service, other, '{"n": 1}')
    both = ("--config", one, "--config", other)
    ends = 'trap "exit 9" TERM; echo up; while :; do sleep 0.05; done'
    waits = 'echo up; until grep -q 22 "$CONFIGSVC_FILE"; do sleep 0.05; done; cat "$CONFIGSVC_FILE"'
    async with (
        executing(cli, "--prefix", "A", "--config", one, "--on-change", "exit", "--", "sh", "-c", ends) as ending,
        executing(cli, *both, "--file", "both.json", "--on-change", "ignore", "--", "sh", "-c", waits) as waiting,
    ):
        await ending.wait_for_text("up")
        await waiting.wait_for_text("up")
        await put(shared_service, one, '{"n": 22}')
        assert (await ending.exit_code(), await waiting.exit_code()) == (9, 0)
    text = waiting.text.partition("up\n")[2]
    assert parse_json(text) == {one: {"n": 22}, other: {"n": 1}}


async def test_a_configuration_that_is_deleted_stays_in_use_which_is_said(
    cli: Cli, shared_service: Service, application: str
) -> None:
    key, other = f"{application}/web", f"{application}/other"
    await put(shared_service, key, '{"n": 1}')
    await put(shared_service, other, '{"m": 1}')
    words = ("--config", key, "--config", other, "--", "sh", "-c", 'echo "start $N $M"; exec sleep 1000')
    async with executing(cli, *words) as program:
        await program.wait_for_text("start 1 1")
        await delete(shared_service, key)
        await program.wait_for_text(f"configsvc: {key} was deleted; version 1 stays in use")
        await put(shared_service, other, '{"m": 2}')
        await program.wait_for_text("start 1 2")
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 143
    assert program.text.count("was deleted") == 1


async def test_orphans_leave_no_zombies_as_under_process_1(cli: Cli, shared_service: Service, application: str) -> None:
    key = f"{application}/web"
    await put(shared_service, key, '{"n": 1}')
    if ctypes.CDLL(None).prctl(37, ctypes.byref(ctypes.c_int()), 0, 0, 0):
        pytest.skip("no subreapers here")
    # A subreaper is to its descendants what process 1 is to all.
    subreaper = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
    orphans = 'for n in 1 2 3; do (sleep 0.1 & echo "orphan $!"); done; echo made; exec sleep 1000'
    command = (sys.executable, "-c", subreaper, *CONFIGSVC)
    async with executing(cli, "--config", key, "--", "sh", "-c", orphans, command=command) as program:
        await program.wait_for_text("made")
        pids = [int(found) for found in re.findall(r"orphan (\d+)", program.text)]
        assert len(pids) == 3
        await until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
        program.signal(signal.SIGTERM)
        assert await program.exit_code() == 143


async def test_a_token_command_starts_without_blocked_signals(tmp_path: Path) -> None:
    prints = f"sh -c {shlex.quote('sed -n s/^SigBlk:.//p /proc/self/status')}"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    try:
        assert int(bearer_token("", Context(token_command=prints)), 16) == 0
        with pytest.raises(CliError, match="no-such-program"):
            bearer_token("", Context(token_command="no-such-program"))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def test_a_token_command_that_hangs_ends_with_the_time_limit_and_with_a_signal(cli: Cli) -> None:
    hangs = cli.folder / cli.write("hangs.sh", "#!/bin/sh\necho $$ >>pids\nexec sleep 1000\n")
    hangs.chmod(0o755)
    await cli.ok("context", "set", "hangs", "--server", "localhost:1", "--token-command", f"{hangs}")
    words = ("--context", "hangs", "--config", "shop/web", "--", "true")
    cli = Cli(cli.folder)
    pids = cli.folder / "pids"
    async with executing(cli, *words) as signalled, executing(cli, "--timeout", "500ms", *words) as limited:
        assert await limited.exit_code() == 4
        assert "error: there is no token after 0.5 s" in limited.text
        await until(lambda: pids.exists() and len(pids.read_text().splitlines()) == 2)
        signalled.signal(signal.SIGTERM)
        assert await signalled.exit_code() == 143
        # It has the standard error of this one, and a reader would wait for its end.
        await until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split()))


async def test_the_credentials_of_the_context_are_used_and_a_missing_role_is_an_error_at_once(
    database_url: str, tmp_path: Path
) -> None:
    authority = Authority()
    admin, stranger = authority.pair(uri()), authority.pair(uri("spiffe://example.org/stranger"))
    files = files_in(tmp_path, authority)
    async with running_service(database_url, credentials=authority.trusting(admin), **files.settings()) as service:
        await put(service, "shop/web", '{"n": 1}')
        ended: list[Done] = []
        for number, pair in enumerate((admin, stranger)):
            cli = Cli(tmp_path, {"CONFIGSVC_SERVER": f"https://localhost:{service.address.rsplit(':', 1)[1]}"})
            certificate = tmp_path / cli.write(f"{number}.pem", pair.certificate.decode())
            key = tmp_path / cli.write(f"{number}-key.pem", pair.key.decode())
            variables = {"CA": files.authorities, "CERT": certificate, "KEY": key}
            named = {f"CONFIGSVC_{name}_FILE": str(path) for name, path in variables.items()}
            ended.append(await cli("exec", "--config", "shop/web", "--", "sh", "-c", "echo $N", **named))
    allowed, refused = ended
    assert (allowed.code, allowed.out) == (0, "1\n")
    assert (refused.code, refused.out) == (4, "")
    assert "PERMISSION_DENIED" in refused.err
    assert "hint: `configsvc whoami`" in refused.err


async def test_a_program_outlives_the_service_and_starts_from_the_copy_on_disk_without_it(
    postgres_server: str, database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running_service(database_url))
        cli = Cli(tmp_path, {"CONFIGSVC_SERVER": service.address})
        await put(service, "shop/web", '{"n": 1}')
        words = ("--config", "shop/web", "--disk-copy", "copy", "--", "sh", "-c", 'echo "start $N"; exec sleep 1000')
        program = await stack.enter_async_context(executing(cli, *words))
        await program.wait_for_text("start 1")
        service.stop.set()
        offline = await stack.enter_async_context(executing(cli, "--timeout", "3s", *words))
        await offline.wait_for_text("configsvc: started from the copy on disk")
        await offline.wait_for_text("start 1")
        restarted = await stack.enter_async_context(running_service(database_url, listen=service.address))
        await put(restarted, "shop/web", '{"n": 2}')
        await program.wait_for_text("start 2")
        await offline.wait_for_text("start 2")


async def test_the_program_of_the_guide_works_as_it_stands(cli: Cli, shared_service: Service, application: str) -> None:
    guide = (Path(__file__).parents[2] / "docs/guide/command-line.md").read_text(encoding="utf-8")
    section = guide.split("## Run a program with configurations\n")[1].split("\n## ")[0]
    command = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0]
    words = shlex.split(command.replace("payments/", f"{application}/"), comments=True)
    await put(shared_service, f"{application}/limits", '{"rate": 250, "hosts": ["a"], "tls": {"minVersion": "1.2"}}')
    done = await cli.ok(*words[1:])
    assert "LIMITS_RATE=250" in done.out
    for line in re.findall(r"^\| `/.*$", section, re.MULTILINE):
        name, value = re.findall(r"`(LIMITS_[A-Z_]+)=(.*?)`", line)[0]
        assert f"{name}={value}\n" in done.out
