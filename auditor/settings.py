"""One frozen Settings from `auditor.toml` and AUDITOR_* variables. Standard library only: the agent reads it too."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from auditor.core.errors import AuditorError, ConfigurationError
from auditor.core.identity import digest
from auditor.core.window import DAY, HOUR, Span, parse_duration, parse_time

if TYPE_CHECKING:
    from auditor.ports import Option

FILE = "auditor.toml"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files of a home; the contract's layout."""

    root: Path

    spool = property(lambda self: self.root / "spool")
    journal = property(lambda self: self.root / "journal")
    archive = property(lambda self: self.root / "archive")
    quarantine = property(lambda self: self.root / "quarantine")
    artifacts = property(lambda self: self.root / "artifacts")
    policies = property(lambda self: self.root / "policies")
    store = property(lambda self: self.root / "store" / "auditor.db")
    mlflow = property(lambda self: self.root / "mlflow")
    outbox = property(lambda self: self.root / "alerts.jsonl")
    lock = property(lambda self: self.root / "writer.lock")
    settings = property(lambda self: self.root / FILE)


@dataclass(frozen=True, slots=True)
class HomeSettings:
    """[home]: who shares the home beside its owner."""

    group: str = ""
    """Name or number of a group whose members' agents may write to the spool; empty: the owner alone."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """[audit]: how traffic is cut into windows and what measures them."""

    window: str = "1d"
    watermark: str = "2h"
    """How long a window stays open for late records."""
    drift: tuple[str, ...] = ()
    """Names of the drift plugins to run; empty: every one whose library is installed."""
    evidently: bool = True
    """Whether Evidently measures and draws each window."""
    engine: str = "local"
    min_group: int = 10
    """Groups smaller than this get `below_min_samples` instead of a rate."""

    @property
    def step(self) -> timedelta:
        step = parse_duration(self.window)
        whole_hours = step >= HOUR and step % HOUR == timedelta(0)
        if not whole_hours or (DAY % step and step % DAY):
            raise ConfigurationError(
                "bad_window",
                f"a window of {self.window} does not fit days",
                where="[audit] window",
                fix="use whole hours that divide a day, or whole days",
            )
        return step


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """[archive]: where records and labels live; empty is the home's `archive/`, else any address that fsspec knows."""

    url: str = ""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """[store]: where measurements live; empty is SQLite in the home."""

    url: str = ""


@dataclass(frozen=True, slots=True)
class SinkSection:
    """A sink with a section of its own, [mlflow]: where audits are logged; an empty uri is that of its options."""

    uri: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """[policy]: shipped packs in force beside the files under HOME/policies."""

    packs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnergySettings:
    """[energy]: the meter beside the model and the grid it draws from."""

    meter: str = "codecarbon"
    country: str = ""
    """ISO 3166-1 alpha-3; empty: energy is reported, carbon is not."""
    pue: float = 1.0
    embodied_g_per_request: float = 0.0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """[sinks]: copies made after commit; each sink's own options stand in `[sinks.<name>]`."""

    enabled: tuple[str, ...] = ("jsonl",)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """[agent]: defaults for agents that find this home."""

    cpu_share: float = 0.02
    """Share of one core that describing may use."""
    queue_records: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    spool_bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """[service]: where `auditor serve` and the dashboard listen, and what the service may hold."""

    host: str = "127.0.0.1"
    port: int = 8321
    hosts: tuple[str, ...] = ()
    """Names under which clients reach the service, beside loopback and the address it listens on."""
    dashboard_port: int = 8501
    dashboard_exposed: bool = False
    """Whether the dashboard, which asks nobody for a key, may listen beyond loopback."""
    drain_s: float = 2.0
    """Seconds between two drains of the journal."""
    body_bytes: int = 16 * 1024 * 1024
    """Largest body of a request, decompressed."""
    journal_bytes: int = 8 * 1024 * 1024 * 1024
    """What may wait in the journal while the store is away; beyond it, intake answers 507."""


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """[intake]: which times are taken in."""

    max_ahead: str = "1d"
    """How far ahead of the clock here a time may lie."""
    not_before: str = "2000-01-01"

    def bounds(self, now: datetime) -> Span:
        """The times that are taken in at a moment; ConfigurationError `bad_setting`."""
        try:
            return Span(parse_time(self.not_before), now + parse_duration(self.max_ahead))
        except (AuditorError, ValueError, OverflowError) as error:
            raise ConfigurationError(
                "bad_setting",
                f"no times lie between {self.not_before!r} and {self.max_ahead!r} ahead of now",
                where=f"{FILE} [intake]",
                fix='write max_ahead = "1d" and not_before = "2000-01-01"',
            ) from error


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[models.NAME]: what a deployment declares about one model."""

    positive: str = ""
    """The class that is the favourable answer; empty: guessed from the names of two classes."""
    slices: tuple[str, ...] = ()
    """Group features whose groups are compared with the baseline each by itself; in force from the next pinned baseline."""
    owner: str = ""
    """Who answers for the model: a name or an address."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it, frozen; `home` is None only for an agent that has none."""

    home: Path | None = None
    sharing: HomeSettings = field(default=HomeSettings(), metadata={"section": "home"})
    audit: AuditSettings = AuditSettings()
    archive: ArchiveSettings = ArchiveSettings()
    store: StoreSettings = StoreSettings()
    mlflow: SinkSection = SinkSection()
    policy: PolicySettings = PolicySettings()
    energy: EnergySettings = field(default_factory=EnergySettings)
    sinks: SinkSettings = field(default_factory=SinkSettings)
    agent: AgentSettings = AgentSettings()
    service: ServiceSettings = ServiceSettings()
    intake: IntakeSettings = IntakeSettings()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """[metrics]: a deployment's own metrics, by name."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """AUDITOR_* variables, for the options of plugins."""
    models: Mapping[str, ModelSettings] = field(default_factory=dict)

    def model(self, name: str) -> ModelSettings:
        """What is declared about a model; the defaults, when nothing is."""
        return self.models.get(name, ModelSettings())

    @property
    def root(self) -> Path:
        """The home folder, or ConfigurationError `no_home`."""
        if self.home is None:
            raise no_home()
        return self.home

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:///{Home(self.root).store}"

    @property
    def digest(self) -> str:
        """Of everything but the home's place, secrets and secrets in addresses."""
        plain = {
            section.name: _plain(getattr(self, section.name))
            for section in fields(self)
            if section.name not in ("home", "archive", "store", "environ")
        }
        return digest(plain)


def no_home() -> ConfigurationError:
    """The error for a command that finds no home."""
    return ConfigurationError(
        "no_home",
        "there is no home",
        where=f"no --home, no AUDITOR_HOME, no {FILE} here or above",
        fix="run `auditor init DIR`, or name one with --home DIR",
    )


def find_home(given: str | os.PathLike[str] | None = None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The home: given, else AUDITOR_HOME, else the nearest parent folder with `auditor.toml`, else None."""
    if given or environ.get("AUDITOR_HOME"):
        return Path(given or environ["AUDITOR_HOME"]).expanduser().absolute()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / FILE).is_file()), None)


def load_settings(home: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of a home (which must hold `auditor.toml`), overridden by AUDITOR_<SECTION>_<KEY>; unknown keys are refused."""
    if home is not None and not (home / FILE).is_file():
        raise ConfigurationError(
            "no_home", f"{home} is not a home", where=str(home / FILE), fix=f"run `auditor init {home}`"
        )
    return read_settings(home, environ)


def read_settings(home: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Like `load_settings`, for a folder that need not be initialised (agents make only `spool/` in it)."""
    file = home / FILE if home is not None else None
    data: dict[str, Any] = {}
    if file is not None and file.is_file():
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                "bad_settings", f"not TOML: {error}", where=str(file), fix="correct the file"
            ) from error
    hints = get_type_hints(Settings)
    free = {"metrics", "models"}  # sections whose keys are names
    named = {
        item.metadata.get("section", item.name): item.name
        for item in fields(Settings)
        if item.name not in ("home", "environ", *free)
    }
    sections = set(named)
    unknown = set(data) - sections - free
    if unknown:
        raise ConfigurationError(
            "unknown_setting",
            f"unknown section or key {sorted(unknown)[0]!r}",
            where=str(file),
            fix=f"known: {', '.join(sorted(sections | free))}",
        )
    built = {
        key: _section(hints[key], name, data.get(name, {}), str(file or ""), environ) for name, key in named.items()
    }
    built["intake"].bounds(datetime.now(UTC))
    mine = {name: value for name, value in environ.items() if name.startswith("AUDITOR_")}
    declared = data.get("models", {})
    if not isinstance(declared, dict):
        raise ConfigurationError(
            "bad_settings", "[models] is not a section", where=str(file), fix="write [models.NAME] with its keys below"
        )
    models = {name: _section(ModelSettings, f"models.{name}", keys, str(file), {}) for name, keys in declared.items()}
    return Settings(home=home, metrics=data.get("metrics", {}), models=models, environ=mine, **built)


_MOVED = {("sinks", f"webhook_{key}"): ("webhook", key) for key in ("url", "timeout_s", "secret", "allow_private")}
"""Keys of former versions: where each option stands now. Both spellings work."""


def plugin_options(settings: Settings, section: str, name: str, declared: Sequence[Option]) -> dict[str, Any]:
    """The options of one plugin, by name: from AUDITOR_<SECTION>_<NAME>_<KEY>, its table, its section, else its default.

    Raises
    ------
    ConfigurationError
        `unknown_setting` for a key that the plugin does not declare, `missing_setting` for a required one that is nowhere,
        `bad_setting` for a value of another type.
    """
    own = getattr(settings, section)
    table = own.options.get(name, {})
    place = f"{FILE} [{section}.{name}]"
    known = [option.name for option in declared]
    if unknown := sorted(set(table) - set(known)):
        raise ConfigurationError(
            "unknown_setting",
            f"the plugin {name!r} has no option {unknown[0]!r}",
            where=place,
            fix=f"known: {', '.join(known) or 'none'}",
        )
    found = {}
    for option in declared:
        variable = f"AUDITOR_{section}_{name}_{option.name}".upper()
        if variable in settings.environ:
            value = _convert(settings.environ[variable], option.default, variable)
        elif option.name in table:
            value = _convert(table[option.name], option.default, f"{place} {option.name}")
        elif option.required:
            value = ""
        else:
            value = getattr(own, option.name, option.default)
        if option.required and value == "":
            raise ConfigurationError(
                "missing_setting",
                f"the plugin {name!r} needs the option {option.name!r}: {option.help}",
                where=place,
                fix=f"set {option.name} there, or {variable}",
            )
        found[option.name] = value.replace("{home}", str(settings.root)) if _homely(value) else value
    return found


def _homely(value: Any) -> bool:
    return isinstance(value, str) and "{home}" in value


def _section(kind: Any, name: str, data: Any, file: str, environ: Mapping[str, str]) -> Any:
    if not isinstance(data, dict):
        raise ConfigurationError(
            "bad_settings", f"[{name}] is not a section", where=file, fix=f"write [{name}] with its keys below"
        )
    known = {item.name: item.default for item in fields(kind) if item.name != "options"}
    tables: dict[str, dict[str, Any]] = {}
    for key in data:
        if "options" in kind.__dataclass_fields__ and isinstance(data[key], dict):
            tables[key] = {**tables.get(key, {}), **data[key]}
        elif (name, key) in _MOVED:
            plugin, option = _MOVED[name, key]
            tables[plugin] = {option: data[key], **tables.get(plugin, {})}
        elif key not in known:
            raise ConfigurationError(
                "unknown_setting", f"unknown key {key!r} in [{name}]", where=file, fix=f"known: {', '.join(known)}"
            )
    values: dict[str, Any] = {"options": tables} if tables else {}
    for key, default in known.items():
        variable = f"AUDITOR_{name.upper()}_{key.upper()}"
        if variable in environ:
            values[key] = _convert(environ[variable], default, variable)
        elif key in data:
            values[key] = _convert(data[key], default, f"{file} [{name}] {key}")
    return kind(**values)


def _convert(value: Any, default: Any, where: str) -> Any:
    try:
        if isinstance(default, bool):
            if isinstance(value, bool):
                return value
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
        if isinstance(default, tuple):
            return (
                tuple(part.strip() for part in value.split(",") if part.strip())
                if isinstance(value, str)
                else tuple(value)
            )
        if isinstance(default, (int, float)) and not isinstance(value, (int, float, str)):
            raise ValueError(value)
        if isinstance(default, str) and not isinstance(value, str):
            raise ValueError(value)
        return type(default)(value)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            "bad_setting", f"{value!r} does not fit", where=where, fix=f"give a value like {default!r}"
        ) from error


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.name != "options"}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
