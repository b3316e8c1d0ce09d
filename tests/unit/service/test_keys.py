"""Keys: made, kept as hashes, known from the journal before the store has them, ended for good."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from auditor.bootstrap import init_home
from auditor.core.errors import ConfigurationError
from auditor.intake.commands import append_commands
from auditor.service.access import ROLES
from auditor.service.keyring import KeyRing
from auditor.service.refusals import RequestError
from auditor.settings import Home, load_settings
from auditor.store import keys
from auditor.store.database import Database
from auditor.store.sql import SqlStore
from auditor.testing.factories import START


def test_roles_of_store_and_service_are_the_same() -> None:
    assert set(keys.ROLES) == set(ROLES)


def test_a_key_is_random_and_only_its_hash_is_said() -> None:
    command, key = keys.create("ingest", ["m"], by="ada", at=START)
    _, other = keys.create("ingest", ["m"], by="ada", at=START)
    assert key != other
    assert len(key.split("_", 2)[2]) >= 43, "256 bits"
    assert key.split("_", 2)[2] not in json.dumps(command.as_json())
    made = keys.key_of(command)
    assert keys.matches(key, made)
    assert not keys.matches(other, made)
    assert not keys.matches(key, None)
    assert keys.key_id(key) == made.id


@pytest.mark.parametrize(
    ("role", "models"), [("root", None), ("ingest", []), ("ingest", [""]), ("ingest", ["x" * 201])]
)
def test_what_makes_no_key(role: str, models: list[str] | None) -> None:
    with pytest.raises(ConfigurationError):
        keys.create(role, models, by="ada", at=START)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_logging_a_command_is_what_changes_the_table(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/a.db" if kind == "sqlite" else request.getfixturevalue("postgres_store_url")
    store = SqlStore(url)
    command, _ = keys.create("viewer", ["a", "b"], by="ada", at=START)
    assert store.log_command(command)
    assert not store.log_command(command)
    end = keys.revoke(command.payload["id"], by="bob", at=START + timedelta(hours=1))
    assert store.log_command(end)
    database = Database(url, read_only=True)
    (kept,) = keys.read_keys(database)
    assert (kept.role, kept.models, kept.created) == ("viewer", ("a", "b"), START)
    assert kept.revoked == end.at

    early, _ = keys.create("viewer", None, by="ada", at=START)
    store.log_command(keys.revoke(early.payload["id"], by="bob", at=START + timedelta(hours=2)))
    store.log_command(early)
    assert keys.read_keys(database)[1 if kept.id < early.payload["id"] else 0].revoked is not None, (
        "ended before it was made"
    )
    database.close()
    store.close()


def test_a_command_in_the_journal_counts_before_the_store_has_it(tmp_path: Path) -> None:
    init_home(tmp_path / "home")
    settings = load_settings(tmp_path / "home", {})
    ring = KeyRing(settings)
    ring.refresh()
    command, key = keys.create("viewer", None, by="ada", at=START)
    assert ring.find(key) is None
    append_commands(Home(settings.root), [command])
    ring.refresh()
    found = ring.find(key)
    assert found is not None
    assert (found.role, found.models) == ("viewer", None)
    assert ring.find(key[:-1] + ("a" if key[-1] != "a" else "b")) is None
    append_commands(Home(settings.root), [keys.revoke(found.id, by="ada", at=START)])
    ring.refresh()
    assert ring.find(key) is None
    assert ring.good() == []
    ring.close()


def test_a_store_that_was_never_asked_turns_nobody_away_for_good(tmp_path: Path) -> None:
    init_home(tmp_path / "home")
    environment = {"AUDITOR_STORE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    settings = load_settings(tmp_path / "home", environment)
    pytest.importorskip("psycopg")
    ring = KeyRing(settings)
    ring.refresh()
    _, key = keys.create("viewer", None, by="ada", at=START)
    with pytest.raises(RequestError) as error:
        ring.find(key)
    assert (error.value.status, error.value.code) == (503, "keys_unknown")
    ring.close()
