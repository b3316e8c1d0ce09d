"""The composition root: Settings -> store, archive, plugins and pipeline. The only module that names them together."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from auditor import registry
from auditor.audit.pipeline import Pipeline
from auditor.core.errors import ConfigurationError, StoreError
from auditor.core.private import FOLDER, make_folder, open_file, share_home
from auditor.settings import FILE, Home, Settings, SinkSection, plugin_options

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.audit.pipeline import AuditReport
    from auditor.policy.loader import PolicySet
    from auditor.policy.statements import Known
    from auditor.ports import Descriptor, Engine, Queries, Sink

_log = logging.getLogger("auditor")

TEMPLATE = """\
# auditor home; every key can also be set as AUDITOR_<SECTION>_<KEY>.

[audit]
window = "1d"
watermark = "2h"          # how long a window stays open for late records

[policy]
packs = ["starter"]       # shipped packs in force beside the files under policies/

[energy]
country = ""              # ISO 3166-1 alpha-3 of the grid; empty: joules without carbon

[sinks]
enabled = ["jsonl"]       # add "webhook", and its address: [sinks.webhook] url = "https://..."
"""


@dataclass(frozen=True)
class App:
    """An opened home with its writer's lock held."""

    settings: Settings
    home: Home
    pipeline: Pipeline

    @property
    def store(self) -> Any:
        return self.pipeline.store

    @property
    def archive(self) -> Any:
        return self.pipeline.archive


def init_home(folder: Path, *, settings: str = TEMPLATE) -> Home:
    """Make a home: settings and folders, for its owner alone. An existing one is left as it is."""
    home = Home(folder.absolute())
    if home.settings.exists():
        raise ConfigurationError(
            "home_exists", f"{folder} is a home already", where=str(home.settings), fix="use it, or name another folder"
        )
    make_folder(home.root)
    with suppress(PermissionError):  # a volume that belongs to another user; `doctor` names it
        home.root.chmod(FOLDER)  # an existing folder becomes private, and hands down no setgid bit
    for path in (home.policies, home.spool, home.journal, home.archive, home.quarantine, home.artifacts):
        make_folder(path)
    with open_file(home.settings, "w", encoding="utf-8") as file:
        file.write(settings)
    return home


@contextmanager
def open_app(settings: Settings, *, engine: Engine | None = None, figures_only: bool = False) -> Iterator[App]:
    """The home as its one writer; ConfigurationError `writer_busy` when another process is.

    Parameters
    ----------
    settings : Settings
        Of an initialised home.
    engine : Engine, optional
        Where summarising runs; the one that settings name, when absent.
    figures_only : bool
        Leave out what only draws or copies: Evidently, MLflow and the other sinks.
    """
    from auditor.intake.lock import writer_lock

    home = Home(settings.root)
    if settings.sharing.group:
        make_folder(home.spool)
        share_home(home.root, home.spool, home.settings, settings.sharing.group)
    with writer_lock(home), _composed(settings, engine, figures_only) as app:
        check_behind(app)
        _complete_ledger(app)
        yield app


@contextmanager
def _composed(settings: Settings, engine: Engine | None = None, figures_only: bool = False) -> Iterator[App]:
    from auditor.intake.archive import ParquetArchive
    from auditor.intake.drain import HomeIntake
    from auditor.intake.losses import Losses
    from auditor.store.sql import SqlStore

    home = Home(settings.root)
    store = SqlStore(settings.store_url)
    try:
        place = settings.archive.url or home.archive
        archive = ParquetArchive(place, home.quarantine, checksums=store)
        yield App(
            settings=settings,
            home=home,
            pipeline=Pipeline(
                store=store,
                archive=archive,
                intake=HomeIntake(home, archive, store, settings.intake),
                engine=engine or registry.load("engines", settings.audit.engine),
                measurers=_measurers(settings, figures_only),
                policies=load_policies(settings),
                sinks={} if figures_only else _sinks(settings),
                artifacts=home.artifacts,
                settings=settings,
                versions=versions(),
                losses=Losses(archive, store),
                ledger=archive.ledger,
            ),
        )
    finally:
        store.close()


def check_behind(app: App) -> None:
    """StoreError `store_behind` when the archive has models, days or commands that the store does not know."""
    store, archive = app.store, app.archive
    found = []
    for model in archive.models():
        try:
            unknown = set(archive.days(model)) - store.days(model)
        except StoreError as error:
            if error.code != "store_damaged":
                raise
            continue  # the audit of the model names it
        if unknown:
            found.append(f"{len(unknown)} days of {model!r}, {min(unknown):%Y-%m-%d} to {max(unknown):%Y-%m-%d}")
    if not found and not store.models() and not store.commands() and archive.ledger.has_commands():
        found.append("commands")
    if found:
        raise StoreError(
            "store_behind",
            f"the store does not know what the archive holds: {'; '.join(found[:3])}",
            where=app.settings.store.url.rpartition("@")[2] or str(app.home.store),
            fix="restore a backup of the store, or run `auditor db rebuild`",
        )


def check_archive(settings: Settings) -> list[str]:
    """Differences between the archive's files and the store's record of them; beside a running writer."""
    from auditor.intake.archive import ParquetArchive
    from auditor.intake.inventory import verify
    from auditor.store.sql import SqlStore

    home = Home(settings.root)
    store = SqlStore(settings.store_url, read_only=True)
    try:
        archive = ParquetArchive(settings.archive.url or home.archive, home.quarantine, checksums=store)
        return list(verify(archive, store, {model.name: model.records for model in store.models()}))
    finally:
        store.close()


def _complete_ledger(app: App) -> None:
    """Once, for a home that is older than its ledger: copy checksums, commands and readings from the store to it."""
    ledger = app.archive.ledger
    if not ledger.has_parts():
        for part in app.store.parts(""):
            ledger.keep_part(part)
    if ledger.complete():
        return
    for command in app.store.commands():
        ledger.keep_command(command, None)
    ledger.keep_readings("before", datetime.now(UTC), *app.store.all_readings())
    ledger.mark_complete()


@dataclass(frozen=True)
class Rebuilt:
    """What `rebuild` made: numbers of records, windows, commands; keys to issue anew; where the former store lies."""

    records: int
    repeated: int
    report: AuditReport
    commands: int
    keys: tuple[str, ...]
    former: Path | None


def rebuild(settings: Settings) -> Rebuilt:
    """Make the store again from the archive and the commands beside it.

    Windows are audited up to where they were audited before, and what was delivered counts as delivered; later windows are
    left to the next audit. A former SQLite file is kept beside the new one.

    Raises
    ------
    StoreError
        `store_not_empty`, for a PostgreSQL database that has records or audits already.
    """
    from auditor.intake.inventory import reindex
    from auditor.intake.lock import writer_lock
    from auditor.ports import Damage
    from auditor.store.maintenance import replaced

    now = datetime.now(UTC)
    with (
        writer_lock(Home(settings.root)),
        replaced(settings.store_url, now) as (url, former),
        _composed(replace(settings, store=replace(settings.store, url=url))) as app,
    ):
        if app.store.models() or app.store.commands():
            raise StoreError(
                "store_not_empty",
                "the database holds a store already",
                where=app.store.name,
                fix="name an empty database in [store] url, run `auditor db upgrade`, then rebuild",
            )
        records, repeated = reindex(app.archive, app.store)
        said, audited = app.archive.ledger.commands(), app.archive.ledger.audited()
        damaged = [
            Damage(f"a file of the ledger does not read: {why}", path)
            for path, why in app.archive.ledger.damaged.items()
        ]
        again = replace(app.pipeline, sent_before={model: sent for model, (_, sent) in audited.items()})
        report = again.replay(said, {model: until for model, (until, _) in audited.items()}, now)
        report.damaged += damaged
    ended = {command.payload.get("id") for command, _ in said if command.kind == "key.revoke"}
    keys = [command.payload for command, _ in said if command.kind == "key.create"]
    return Rebuilt(
        records=records,
        repeated=repeated,
        report=report,
        commands=len(said),
        keys=tuple(f"{key['id']} ({key['role']})" for key in keys if key.get("id") not in ended),
        former=former,
    )


def open_queries(settings: Settings) -> Queries:
    """Reads only: beside a running writer, without its lock."""
    from auditor.store.queries import open_queries as open_store

    return open_store(settings.store_url)


def load_policies(settings: Settings) -> PolicySet:
    """Every policy file under HOME/policies and every shipped pack that settings put in force."""
    from auditor.policy.loader import load_policies as load
    from auditor.shipped import shipped

    calendars = sorted(shipped("policies").glob("*/calendar.yaml"))
    folders = [Home(settings.root).policies] if settings.home is not None else []
    return load(
        [*folders, *(_pack(shipped("policies"), name) for name in settings.policy.packs)],
        registry.vocabulary(),
        calendars,
    )


def policies_in_force(settings: Settings) -> PolicySet:
    """The policies of `load_policies` with what persons stated by command."""
    from auditor.policy.statements import in_force

    queries = _queries_if_any(settings)
    said = queries.commands() if queries is not None else ()
    return in_force(load_policies(settings), said, Home(settings.root).artifacts)


def _queries_if_any(settings: Settings) -> Queries | None:
    try:
        return open_queries(settings)
    except StoreError as error:
        if error.code != "no_store":
            raise
        return None


def known_to_people(settings: Settings) -> Known:
    """What a statement is checked against: models, versions served, open alerts, earlier statements."""
    from auditor.policy.statements import Known

    queries = _queries_if_any(settings)
    if queries is None:
        return Known()
    models = [summary.name for summary in queries.models()]
    end = datetime.max.replace(tzinfo=UTC)
    served = {}
    for model in models:
        verdicts = queries.last_verdicts(model, end)
        last = max((verdict.end for verdict in verdicts), default=None)
        served[model] = sorted(
            {str(v) for item in verdicts if item.end == last for v in item.facts.get("versions", ())}
        )
    return Known(
        models=models,
        served=served,
        alerts={alert.id: alert.model for alert in queries.alerts(state="open")},
        commands=queries.commands(),
    )


def descriptors() -> dict[str, Descriptor]:
    """Modality -> descriptor plugin, for raw media that intake describes."""
    return registry.available("descriptors")


def versions() -> dict[str, str]:
    """Package -> version of what has a part in a figure."""
    found = {}
    for package in (
        "auditor",
        "numpy",
        "scipy",
        "evidently",
        "fairlearn",
        "codecarbon",
        "mlflow",
        "sqlalchemy",
        "pyarrow",
    ):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _pack(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.yaml", folder / name):
        if candidate.exists():
            return candidate
    raise ConfigurationError(
        "unknown_pack",
        f"there is no shipped policy pack {name!r}",
        where=f"{FILE} [policy] packs",
        fix=f"one of {', '.join(sorted(path.stem for path in folder.iterdir() if path.suffix == '.yaml' or path.is_dir()))}",
    )


def _measurers(settings: Settings, figures_only: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in registry.MEASURERS:
        wanted = set(registry.names(kind))
        if kind == "drift":
            wanted &= set(settings.audit.drift or wanted)
            if figures_only or not settings.audit.evidently:
                wanted.discard("evidently")
        found.update(registry.available(kind, wanted))
    for name, plugin in found.items():
        if keys := getattr(plugin, "audit_settings", ()):
            found[name] = plugin.configure(**{key: getattr(settings.audit, key) for key in keys})
    return found


def _sinks(settings: Settings) -> dict[str, Sink]:
    names, known = list(settings.sinks.enabled), registry.names("sinks")
    sections = {name: own for name in known if isinstance(own := getattr(settings, name, None), SinkSection)}
    # On by default where its library is installed; named by its uri, it must be.
    names += [
        name for name, own in sections.items() if own.enabled and (own.uri or registry.available("sinks", (name,)))
    ]
    for name in (*names, *settings.sinks.options):
        if name not in known:
            raise ConfigurationError(
                "unknown_plugin",
                f"there is no sink {name!r}",
                where=f"{FILE} [sinks]",
                fix=f"one of {', '.join(known)}",
            )
    for name in settings.sinks.options:
        if name not in names and name not in sections:
            _log.warning(
                "auditor: sink %s has a table [sinks.%s] and is not in `[sinks] enabled`: it gets nothing", name, name
            )
    found: dict[str, Sink] = {}
    for name in dict.fromkeys(names):
        plugin = registry.load("sinks", name)
        options = plugin_options(settings, "sinks", name, plugin.options)
        if name in sections and sections[name].uri:
            options["uri"] = sections[name].uri
        found[name] = plugin.configure(**options)
    return found
