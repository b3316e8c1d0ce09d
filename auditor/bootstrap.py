"""The composition root: Settings -> store, archive, plugins and pipeline. The only module that names them together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from auditor import registry
from auditor.audit.pipeline import Pipeline
from auditor.core.errors import ConfigurationError
from auditor.settings import FILE, Home, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.policy.loader import PolicySet
    from auditor.ports import Descriptor, Engine, Queries, Sink

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
enabled = ["jsonl"]       # add "webhook" with webhook_url
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


def init_home(folder: Path, *, settings: str = TEMPLATE) -> Home:
    """Make a home: settings, folders, the store at its newest schema. An existing one is left as it is."""
    home = Home(folder.absolute())
    if home.settings.exists():
        raise ConfigurationError(
            "home_exists", f"{folder} is a home already", where=str(home.settings), fix="use it, or name another folder"
        )
    for path in (home.policies, home.spool, home.journal, home.archive, home.quarantine, home.artifacts):
        path.mkdir(parents=True, exist_ok=True)
    home.settings.write_text(settings, encoding="utf-8")
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
    from auditor.intake.archive import ParquetArchive
    from auditor.intake.drain import HomeIntake
    from auditor.intake.lock import writer_lock
    from auditor.store.sql import SqlStore

    home = Home(settings.root)
    with writer_lock(home):
        store = SqlStore(settings.store_url)
        try:
            place = settings.archive.url or home.archive
            archive = ParquetArchive(place, home.quarantine, index=store, checksums=store)
            yield App(
                settings=settings,
                home=home,
                pipeline=Pipeline(
                    store=store,
                    archive=archive,
                    intake=HomeIntake(home, archive, store),
                    engine=engine or registry.load("engines", settings.audit.engine),
                    measurers=_measurers(settings, figures_only),
                    policies=load_policies(settings),
                    sinks={} if figures_only else _sinks(settings, home),
                    artifacts=home.artifacts,
                    settings=settings,
                    versions=versions(),
                ),
            )
        finally:
            store.close()


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
        registry.catalogue(),
        calendars,
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
    if "metric_frame" in found:
        found["metric_frame"] = found["metric_frame"].configure(min_group=settings.audit.min_group)
    return found


def _sinks(settings: Settings, home: Home) -> dict[str, Sink]:
    options: dict[str, dict[str, Any]] = {
        "mlflow": {"uri": settings.mlflow_uri, "artifact_root": home.mlflow / "artifacts"},
        "jsonl": {"path": home.outbox},
        "webhook": {
            "url": settings.sinks.webhook_url,
            "timeout_s": settings.sinks.webhook_timeout_s,
            "secret": settings.sinks.webhook_secret,
            "allow_private": settings.sinks.webhook_allow_private,
        },
    }
    names = list(settings.sinks.enabled)
    # On by default where MLflow is installed; named by its uri, it must be.
    if settings.mlflow.enabled and (settings.mlflow.uri or registry.available("sinks", ("mlflow",))):
        names.append("mlflow")
    return {name: registry.load("sinks", name).configure(**options.get(name, {})) for name in dict.fromkeys(names)}
