"""What an operator does with a store: see whether it is sound, and copy it while it is in use."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import exc

from auditor.core.errors import StoreError
from auditor.core.private import make_folder, open_file
from auditor.store.database import Database, parse_url
from auditor.store.schema import HEAD, current, differences
from auditor.store.soundness import rows_differ
from auditor.store.tables import VERSION_TABLE, metadata


@dataclass(frozen=True, slots=True)
class Check:
    """What was found; sound when `findings` is empty."""

    where: str
    schema: str | None
    needed: str
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished copy."""

    path: Path
    size: int
    sha256: str
    schema: str | None


def check(url: str) -> Check:
    """Compare a database with the schema that this auditor needs; SQLite is read whole for damage.

    Every digest and checksum is made again from its row. Damage is a finding, wherever it lies.

    Raises
    ------
    StoreError
        When it cannot be reached.
    """
    database = Database(url, read_only=True)
    findings: list[str] = []
    schema = None
    try:
        with database.reading() as connection:
            schema = current(connection)
            if database.dialect == "sqlite":
                found = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
                findings += [f"damaged: {line}" for line in found if line != "ok"]
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                findings += [f"dangling: a row of {row[0]} refers to a row of {row[2]} that is gone" for row in broken]
        if schema != HEAD:
            findings.append(f"schema: the database has {schema or 'no tables of auditor'}, this auditor needs {HEAD}")
        else:
            findings += [f"schema: {line}" for line in differences(database)]
            with database.reading() as connection:
                findings += rows_differ(connection)
    except StoreError as error:
        if error.code != "store_damaged":
            raise
        findings.append(f"damaged: {error}")
    finally:
        database.close()
    return Check(database.name, schema, HEAD, tuple(findings))


def backup(url: str, target: Path) -> Backup:
    """Copy auditor's tables to one file, from one moment, beside a running writer.

    SQLite becomes an SQLite file by the online backup; PostgreSQL becomes an archive of `pg_dump --format=custom`, for
    `pg_restore`. The file appears under its name only when it is whole and on disk.

    Raises
    ------
    StoreError
        `file_exists`, `pg_dump_missing`, `backup_failed`, or when the database cannot be read.
    """
    if target.exists():
        raise StoreError("file_exists", "there is a file of that name", where=str(target), fix="name another file")
    database = Database(url, read_only=True)
    part = target.with_name(target.name + ".part")
    try:
        make_folder(target.parent)
        part.unlink(missing_ok=True)
        open_file(part, "wb").close()
        with database.reading() as connection:
            schema = current(connection)
        if database.dialect == "sqlite":
            _copy_sqlite(database, part)
        else:
            _dump_postgres(database, part)
        return _finish(part, target, schema)
    except OSError as error:
        raise StoreError("backup_failed", str(error), where=str(target)) from error
    finally:
        part.unlink(missing_ok=True)
        database.close()


@contextmanager
def replaced(url: str, now: datetime) -> Iterator[tuple[str, Path | None]]:
    """Where to make a store again, and where the former one will lie: on SQLite a new file, which takes the place of the
    former one when the block ends well; on PostgreSQL the database itself.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        yield url, None
        return
    path = Path(parsed.database or "")
    fresh = path.with_name(f"{path.name}.rebuild")
    former = path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%SZ}") if path.exists() else None
    for name in _files(fresh):
        name.unlink(missing_ok=True)
    yield f"sqlite:///{fresh}", former
    for source in _files(path):
        if source.exists() and former is not None:
            source.rename(former.with_name(former.name + source.name.removeprefix(path.name)))
        else:
            source.unlink(missing_ok=True)
    fresh.rename(path)
    _sync_folder(path.parent)


def _files(path: Path) -> list[Path]:
    """A SQLite database with its log and shared memory."""
    return [path.with_name(path.name + tail) for tail in ("-wal", "-shm", "")]


def _copy_sqlite(database: Database, part: Path) -> None:
    try:
        with closing(database.engine.raw_connection()) as source, closing(sqlite3.connect(part)) as copy:
            driver = source.driver_connection
            assert driver is not None
            driver.backup(
                copy
            )  # all pages in one read transaction: a writer is not held up, and cannot make it begin anew
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            (said,) = copy.execute("PRAGMA integrity_check").fetchone()
    except (sqlite3.Error, exc.SQLAlchemyError) as error:
        raise database.failure(error) from error
    if said != "ok":
        raise StoreError("store_damaged", f"the copy is damaged: {said}", where=database.name)


def _dump_postgres(database: Database, part: Path) -> None:
    program = _pg_dump()
    url = database.url.set(drivername="postgresql", password=None)
    environment = {**os.environ, **({"PGPASSWORD": str(database.url.password)} if database.url.password else {})}
    address = url.render_as_string(hide_password=False)  # it has none: everyone may read a command line
    tables = [word for name in [*metadata.tables, VERSION_TABLE] for word in ("--table", f'"{name}"')]
    options = ["--format=custom", "--no-owner", "--no-privileges", *tables, "--file", str(part), "--dbname", address]
    done = subprocess.run([program, *options], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-500:]
        raise StoreError("backup_failed", f"pg_dump said: {said}", where=database.name)


def _pg_dump() -> str:
    """The newest pg_dump at hand: an older one than the server refuses to work."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), key=lambda path: int(path.parts[-3]))
    found = str(packaged[-1]) if packaged else shutil.which("pg_dump")
    if found is None:
        raise StoreError(
            "pg_dump_missing",
            "there is no pg_dump here",
            where="PATH",
            fix="install PostgreSQL's client programs, or dump on the database's host",
        )
    return found


def _finish(part: Path, target: Path, schema: str | None) -> Backup:
    with part.open("rb+") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    size = part.stat().st_size
    os.link(part, target)  # unlike a rename, this never replaces a file that appeared meanwhile
    _sync_folder(target.parent)
    return Backup(target, size, sha256, schema)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
