"""Fixtures that several kinds of tests share: a real PostgreSQL server, private to the test run."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import auditor
from auditor.agent import shield
from auditor.agent.transport import MemoryTransport

sys.path.insert(0, str(Path(__file__).parent / "helpers"))


class PostgresServer:
    """A server of the tests' own, on a Unix socket; `url` names its first database.

    Parameters
    ----------
    folder : Path
        An empty one; short: the path of a Unix socket has at most 107 characters.
    settings : mapping of str to str
        What differs from the server's defaults.
    """

    def __init__(self, binaries: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._as_owner = _as_owner(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        data = folder / "data"
        make = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*self._as_owner, *make], check=True, capture_output=True, cwd=folder)
        self._command = [*self._as_owner, binaries / "postgres", "-D", data, "-k", folder, "-h", ""]
        self._command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def start(self) -> None:
        # The server is this process's child (setpriv becomes it), so that it can be ended by its id.
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder)
        _wait_until_up(self.url, self._process, self._folder / "log")

    def stop(self, number: int = signal.SIGQUIT) -> None:
        """SIGQUIT ends it at once, as a crash does (`immediate`); SIGINT cuts connections off in order (`fast`)."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None


@contextmanager
def _postgres(settings: Mapping[str, str]) -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("no AUDITOR_TEST_POSTGRES, and no PostgreSQL server binaries under /usr/lib/postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = None
    try:
        server = PostgresServer(binaries, folder, settings)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server on which databases may be created: AUDITOR_TEST_POSTGRES, else Debian's binaries."""
    given = os.environ.get("AUDITOR_TEST_POSTGRES")
    if given:
        yield given
        return
    hasty = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
    with _postgres(hasty) as server:
        yield server.url


@pytest.fixture
def postgres_of_its_own() -> Iterator[PostgresServer]:
    """A server that the test alone uses, and may end and start as it likes; its commits are durable."""
    with _postgres({"shared_buffers": "32MB"}) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty database, dropped afterwards."""
    with _database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def _migrated_postgres_url(postgres_server: str) -> Iterator[str]:
    from auditor.store.database import Database
    from auditor.store.schema import upgrade

    with _database(postgres_server) as url:
        database = Database(url)
        upgrade(database)
        database.close()
        yield url


@pytest.fixture
def postgres_store_url(_migrated_postgres_url: str) -> str:
    """URL of a database with auditor's newest schema and not one row; the same one for test after test."""
    import psycopg

    from auditor.store.tables import metadata

    # Emptying is ten times faster than a database for each test.
    with psycopg.connect(_migrated_postgres_url) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(f'DELETE FROM "{table.name}"')
    return _migrated_postgres_url


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _as_owner(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: what to put before its commands, and a folder that is its own."""
    if os.geteuid() != 0:
        return []
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user `postgres`")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    # The server ends with its parent even when nobody can tell it to.
    return [
        "setpriv",
        f"--reuid={owner.pw_uid}",
        f"--regid={owner.pw_gid}",
        "--clear-groups",
        "--pdeathsig",
        "QUIT",
        "--",
    ]


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"PostgreSQL ended at once:\n{log.read_text()}")
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.02)
    pytest.fail(f"PostgreSQL did not start within a minute:\n{log.read_text()}")


@contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"auditor_test_{uuid.uuid4().hex[:12]}"
    _execute(server, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield _named(server, name)
    finally:
        _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def _named(server: str, name: str) -> str:
    """The server's URL for another of its databases."""
    from sqlalchemy.engine import make_url

    return make_url(server).set(database=name).render_as_string(hide_password=False)


class Swallowed(list):
    """(reason, error) pairs; a test that provokes errors says so with `expect`."""

    expected = False

    def expect(self) -> None:
        self.expected = True


@pytest.fixture
def swallowed() -> Iterator[Swallowed]:
    """What the agent swallows; at the end it fails the test, unless the test expected it."""
    found = Swallowed()

    def observe(reason: str, error: BaseException) -> None:
        found.append((reason, error))

    shield.observers.append(observe)
    yield found
    shield.observers.remove(observe)
    if found and not found.expected:
        raise AssertionError(f"the agent swallowed {found}") from found[0][1]


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def make_agent(transport: MemoryTransport) -> Iterator[Callable[..., auditor.Agent]]:
    made: list[auditor.Agent] = []

    def make(**options: Any) -> auditor.Agent:
        options.setdefault("describe", "all")
        if not {"home", "endpoint", "transport"} & options.keys():
            options["transport"] = transport
        agent = auditor.Agent(options.pop("name", "reader"), options.pop("version", "1.0"), **options)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.close(5)


@pytest.fixture
def balanced() -> Callable[[dict[str, Any]], None]:
    def check(stats: dict[str, Any]) -> None:
        assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values()), stats

    return check
