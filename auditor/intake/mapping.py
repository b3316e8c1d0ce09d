"""Mapping files: which column of a table is which field of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from auditor.core import values
from auditor.core.errors import ConfigurationError, RecordError
from auditor.descriptors.describe import Payload, describe_input, describe_text
from auditor.encoders import is_named, open_encoder, ways
from auditor.intake.cells import FORMATS, Cells
from auditor.intake.records import modalities
from auditor.ports import Descriptor, Encoder

Row = Mapping[str, Any]
Read = Callable[[Row], Any]
_RECORD_NUMBERS = ("sampling", "latency_s", "first_token_s")
_KEYS = frozenset(
    [
        "kind",
        "model",
        "id",
        "time",
        "inputs",
        "output",
        "groups",
        "sensitive",
        "label",
        "label_time",
        "subject",
        "missing",
        "decimal",
    ]
).union(_RECORD_NUMBERS)
_INPUT_KEYS = frozenset(
    [
        "name",
        "modality",
        "path",
        "value",
        "columns",
        "rate",
        "descriptors",
        "embedding",
        "encode",
        "encoder",
        "scores",
        "categorical",
        "numeric",
        "exclude",
    ]
)
MAX_TEXT = 16 << 20
"""Bytes of a file whose content a row names, where its modality has no reader of its own."""


@dataclass(frozen=True)
class Mapped:
    """A row, mapped: the record's data, its label if it has one, and the row without what is sensitive."""

    record: dict[str, Any]
    label: dict[str, Any] | None


class RowMapping:
    """A mapping file, checked and ready to be applied to rows.

    Parameters
    ----------
    data : mapping
        The YAML document.
    where : str
        Its file, for errors.
    folder : Path
        What `path` columns are relative to.
    descriptors : mapping of str to Descriptor
        By modality: describes what `path`, `value` and `columns` name.
    present : set of str, optional
        Columns of the table, where they are known: every column that the mapping names is one of them.
    """

    def __init__(
        self,
        data: Any,
        *,
        where: str,
        folder: Path,
        descriptors: Mapping[str, Descriptor],
        present: set[str] | None = None,
    ) -> None:
        self._where = where
        self._folder = folder
        self._descriptors = descriptors
        self.columns: set[str] = set()
        self.sensitive_columns: set[str] = set()
        document = self._object(data, "mapping", _KEYS)
        if document.get("kind") != "Mapping":
            raise self._wrong("kind", "the document is no mapping", "begin with `kind: Mapping`")
        for key in ("model", "time", "inputs"):
            if key not in document:
                raise self._wrong(key, f"{key!r} is missing", f"give {key!r}")
        self._cells = self._spelling(document)
        self._present = present
        self._model = self._texts(document["model"], "model", {"name", "version", "encoder"})
        if "name" not in self._model:
            raise self._wrong("model", "'name' is missing", "give the model's name")
        self._id = self._value(document["id"], "id") if "id" in document else None
        self._time = self._moment(document["time"], "time")
        if not isinstance(document["inputs"], list):
            raise self._wrong("inputs", "expected a list", "give a list of inputs")
        self._inputs = [self._input(entry, f"inputs[{index}]") for index, entry in enumerate(document["inputs"])]
        self._output = self._outputs(document.get("output"))
        self._groups = self._texts(document.get("groups", {}), "groups")
        before = set(self.columns)
        self._sensitive = self._texts(document.get("sensitive", {}), "sensitive")
        self.sensitive_columns = self.columns - before
        self._subject = self._value(document["subject"], "subject") if "subject" in document else None
        self._numbers = {key: self._value(document[key], key) for key in _RECORD_NUMBERS if key in document}
        self._label = self._value(document["label"], "label") if "label" in document else None
        self._label_time = self._moment(document["label_time"], "label_time") if "label_time" in document else None
        self._label_is_value = "value" in (document.get("output") or {}) and "label" not in document["output"]

        if present is not None and (unknown := sorted(self.columns - present)):
            raise ConfigurationError(
                "unknown_column",
                f"the table has no column {unknown[0]!r}",
                where=where,
                fix=f"columns: {', '.join(sorted(present)[:30])}",
            )

    @classmethod
    def load(
        cls, file: Path, *, folder: Path, descriptors: Mapping[str, Descriptor], present: set[str] | None = None
    ) -> RowMapping:
        """The mapping in a YAML file.

        Raises
        ------
        ConfigurationError
            `bad_mapping` with the place when it cannot be used; `unknown_column` when the table lacks a column.
        """
        import yaml

        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise ConfigurationError(
                "bad_mapping", f"the mapping does not read: {error}", where=str(file), fix="correct the file"
            ) from error
        return cls(data, where=str(file), folder=folder, descriptors=descriptors, present=present)

    def identifier(self, row: Row) -> str | None:
        """The row's own id, when the mapping names one."""
        return None if self._id is None else self._cells.text(self._id(row))

    def apply(self, row: Row, identifier: str) -> Mapped:
        """The row as a record with that id, its raw inputs described; RecordError with the place of the first fault."""
        time = self._time(row)
        record: dict[str, Any] = {
            "id": identifier,
            "time": time,
            "model": {
                key: text for key, read in self._model.items() if (text := self._cells.text(read(row))) is not None
            },
            "inputs": [read(row) for read in self._inputs],
            "groups": {key: self._cells.text(read(row)) for key, read in self._groups.items()},
        }
        output = {key: value for key, read in self._output.items() if (value := read(row)) not in (None, {})}
        if output:
            record["output"] = output
        sensitive = {
            key: text for key, read in self._sensitive.items() if (text := self._cells.text(read(row))) is not None
        }
        if sensitive:
            record["sensitive"] = sensitive
        if self._subject is not None and (subject := self._cells.text(self._subject(row))) is not None:
            record["subject"] = subject
        for key, read in self._numbers.items():
            if (value := self._cells.number(read(row), key)) is not None:
                record[key] = value
        return Mapped(record, self._labelled(row, identifier, time))

    # -- the parts of a mapping ----------------------------------------------------------------------------------------

    def _labelled(self, row: Row, identifier: str, time: datetime) -> dict[str, Any] | None:
        if self._label is None:
            return None
        given = self._label(row)
        if self._cells.blank(given):
            return None
        when = self._label_time(row) if self._label_time else time
        if self._label_is_value:
            return {"id": identifier, "time": when, "value": self._cells.number(given, "label")}
        return {"id": identifier, "time": when, "label": self._cells.class_name(given)}

    def _spelling(self, document: Mapping[str, Any]) -> Cells:
        missing, decimal = document.get("missing", list(values.MISSING)), document.get("decimal", ".")
        if not isinstance(missing, list):
            raise self._wrong("missing", "expected a list of texts", 'write missing: ["", NA, "-"]')
        # YAML reads an unquoted null, .nan or 9999 as something else than the text of the cell.
        words = [word if isinstance(word, str) else "" if word is None else str(word) for word in missing]
        if decimal not in (".", ","):
            raise self._wrong("decimal", f"{decimal!r} is not a decimal mark", 'write decimal: "." or decimal: ","')
        return Cells(tuple(words), decimal)

    def _value(self, data: Any, key: str) -> Read:
        """A constant, or the value of a column."""
        if isinstance(data, dict):
            name = self._object(data, key, {"column"}).get("column")
            if not isinstance(name, str):
                raise self._wrong(key, "a column is named by a text", "write {column: NAME}")
            self.columns.add(name)
            return lambda row: row.get(name)
        if isinstance(data, list):
            raise self._wrong(key, "a list is no value", "give a constant or {column: NAME}")
        return lambda row: data

    def _texts(self, data: Any, key: str, allowed: set[str] | None = None) -> dict[str, Read]:
        document = self._object(data, key, allowed)
        return {str(name): self._value(value, f"{key}.{name}") for name, value in document.items()}

    def _vectors(self, data: Any, key: str) -> Read:
        """A vector from one column, or from a number in each of several."""
        if isinstance(data, dict) and "columns" in data:
            names = self._names(self._object(data, key, {"columns"})["columns"], key)

            def read(row: Row) -> list[float] | None:
                numbers = [self._cells.number(row.get(name), name) for name in names]
                if all(entry is None for entry in numbers):
                    return None
                return self._cells.vector(numbers, key)

            return read
        value = self._value(data, key)
        return lambda row: self._cells.vector(value(row), key)

    def _names(self, data: Any, key: str) -> list[str]:
        if not isinstance(data, list) or not data or not all(isinstance(name, str) for name in data):
            raise self._wrong(key, "expected names of columns", "write columns: [a, b]")
        self.columns.update(data)
        return data

    def _moment(self, data: Any, key: str) -> Callable[[Row], datetime]:
        form, zone = "iso8601", None
        if isinstance(data, dict):
            document = self._object(data, key, {"column", "format", "zone"})
            form = document.get("format", form)
            zone = document.get("zone")
            data = {"column": document.get("column")}
        if form not in FORMATS:
            raise self._wrong(key, f"{form!r} is not a format of time", f"use one of {', '.join(FORMATS)}")
        try:
            local: tzinfo = UTC if zone in (None, "UTC") else ZoneInfo(str(zone))
        except (KeyError, ValueError, OSError) as error:
            raise self._wrong(key, f"{zone!r} is not a time zone", "use a name like Europe/Berlin") from error
        value = self._value(data, key)
        return lambda row: self._cells.moment(value(row), form, local, key)

    def _input(self, data: Any, key: str) -> Read:
        document = self._object(data, key, _INPUT_KEYS)
        name, modality = document.get("name"), document.get("modality")
        if not isinstance(name, str) or modality not in modalities():
            raise self._wrong(
                key, "an input needs a name and a modality", f"modality: {', '.join(sorted(modalities()))}"
            )
        sources = [word for word in ("path", "value", "columns") if word in document]
        kinds = [word for word in ("categorical", "numeric", "exclude") if word in document]
        if kinds and sources not in ([], ["columns"]):
            raise self._wrong(key, f"{kinds[0]!r} goes with columns", "name the columns of the row")
        if kinds and "descriptors" not in document:
            sources = ["columns"]
        if len(sources) > 1 or (sources and "descriptors" in document):
            raise self._wrong(key, "an input has one source", "give path, value, columns or descriptors")
        embedding = self._vectors(document["embedding"], f"{key}.embedding") if "embedding" in document else None
        scores = self._vectors(document["scores"], f"{key}.scores") if "scores" in document else None
        encoder = self._value(document["encoder"], f"{key}.encoder") if "encoder" in document else None
        rate = self._value(document["rate"], f"{key}.rate") if "rate" in document else None
        given = {
            str(column): self._value(value, f"{key}.descriptors.{column}")
            for column, value in self._object(document.get("descriptors", {}), f"{key}.descriptors").items()
        }
        source = self._source(document, sources[0], modality, key) if sources else None
        own = self._encoder(document["encode"], sources, f"{key}.encode") if "encode" in document else None

        def read(row: Row) -> dict[str, Any]:
            vectors = (embedding(row) if embedding else None, scores(row) if scores else None)
            words = self._cells.text(encoder(row)) if encoder else None
            if source is not None:
                payload = Payload(
                    name=name,
                    modality=modality,
                    value=source(row),
                    rate=self._cells.number(rate(row), key) if rate else None,
                    embedding=vectors[0],
                    scores=vectors[1],
                    encoder=words,
                )
                return _plain_input(describe_input(payload, self._descriptors, encoder=own))
            figures = {
                column: value for column, get in given.items() if (value := self._cells.figure(get(row))) is not None
            }
            entry = {"name": name, "modality": modality, "descriptors": figures, "encoder": words}
            entry.update(embedding=vectors[0], scores=vectors[1])
            found = {field: value for field, value in entry.items() if value not in (None, {})}
            return found if figures or any(vectors) else {"name": name, "modality": modality, "missing": True}

        return read

    def _encoder(self, named: Any, sources: Sequence[str], key: str) -> Encoder:
        """What makes the embeddings of an input that is described here; a file's name may be relative to the table's folder."""
        if not sources:
            raise self._wrong(key, "there is no payload to encode", "give path, value or columns")
        if not isinstance(named, str) or not is_named(named):
            raise self._wrong(key, f"{named!r} is not an encoder", f"give {ways()}")
        scheme, _, name = named.partition(":")
        beside = self._folder / name
        return open_encoder(f"{scheme}:{beside}" if beside.exists() else named)

    def _source(self, document: Mapping[str, Any], word: str, modality: str, key: str) -> Read:
        if word == "columns":
            return self._features(document, key)
        value = self._value(document[word], f"{key}.{word}")
        if word == "value":
            arrays = self._takes(modality, "arrays")
            return lambda row: self._payload(value(row), arrays, key)
        opens = self._takes(modality, "files")

        def file(row: Row) -> Any:
            given = value(row)
            if self._cells.blank(given):
                return None
            path = beside(self._folder, str(given), key)
            if opens:
                return path
            try:
                with path.open("rb") as stream:
                    found = stream.read(MAX_TEXT + 1)
            except FileNotFoundError:
                return path  # described as missing bytes
            except OSError as error:
                raise RecordError(
                    "bad_path", f"{str(given)[:80]!r} does not read: {error.strerror}", where=key, fix="check the file"
                ) from error
            if len(found) > MAX_TEXT:
                raise RecordError(
                    "file_too_large", f"the file has more than {MAX_TEXT} bytes", where=key, fix="shorten the file"
                )
            return found

        return file

    def _features(self, document: Mapping[str, Any], key: str) -> Read:
        """A row of features: listed ones, or every column of the table that nothing else of the mapping names."""
        listed = {
            word: self._names(document[word], f"{key}.{word}")
            for word in ("columns", "categorical", "numeric", "exclude")
            if word in document
        }
        excluded = set(listed.get("exclude", ()))
        if "columns" in listed:
            names = [*listed["columns"], *listed.get("categorical", ()), *listed.get("numeric", ())]
        elif self._present is None:
            raise self._wrong(key, "JSON lines have no common columns", "write columns: [a, b]")
        else:
            # Other parts of the mapping may still name columns: they are left out when rows are read.
            names = sorted(self._present)
        every = "columns" not in listed
        wanted = [name for name in dict.fromkeys(names) if name not in excluded]
        readers = {
            **dict.fromkeys(listed.get("categorical", ()), self._cells.text),
            **dict.fromkeys(listed.get("numeric", ()), self._cells.numeric),
        }
        own = set(listed.get("categorical", ())) | set(listed.get("numeric", ()))
        others = self.columns if every else set()

        def features(row: Row) -> dict[str, Any] | None:
            found: dict[str, Any] = {}
            for name in wanted:
                if every and name in others and name not in own:
                    continue
                cell = row.get(name)
                if isinstance(cell, (list, dict, bytes)):
                    found[name] = cell  # the descriptor counts it as unusable
                else:
                    found[name] = readers.get(name, self._cells.figure)(cell)
            return None if all(value is None for value in found.values()) else found

        return features

    def _payload(self, value: Any, arrays: bool, key: str) -> Any:
        """A cell as a payload of that modality: signals are arrays."""
        if self._cells.blank(value):
            return None
        if arrays and isinstance(value, str):
            value = self._cells.vector(value, key)
        if arrays and isinstance(value, list):
            import numpy as np

            try:
                return np.asarray(value, np.float64)
            except (ValueError, TypeError):
                return value  # ragged or no numbers: the descriptor refuses it
        return value

    def _outputs(self, data: Any) -> dict[str, Read]:
        allowed = {"label", "value", "text", "scores", "finish", "refused", "error", "tokens"}
        document = self._object(data or {}, "output", allowed)
        found: dict[str, Read] = {}
        for key in document.keys() & {"label", "finish", "error"}:
            found[key] = _then(
                self._cells.class_name if key == "label" else self._cells.text,
                self._value(document[key], f"output.{key}"),
            )
        if "value" in document:
            value = self._value(document["value"], "output.value")
            found["value"] = lambda row: self._cells.number(value(row), "output.value")
        if "scores" in document:
            found["scores"] = self._vectors(document["scores"], "output.scores")
        if "refused" in document:
            found["refused"] = _then(self._cells.truth, self._value(document["refused"], "output.refused"))
        if "tokens" in document:
            counts = self._texts(document["tokens"], "output.tokens", {"input", "output"})
            found["tokens"] = lambda row: {
                key: int(count)
                for key, read in counts.items()
                if (count := self._cells.number(read(row), f"output.tokens.{key}")) is not None
            }
        if "text" in document:
            answer = self._value(document["text"], "output.text")
            found["text"] = lambda row: self._text(answer(row))
        return found

    def _text(self, value: Any) -> dict[str, Any] | None:
        if self._cells.blank(value):
            return None
        found = describe_text(str(value), self._descriptors)
        return {"descriptors": {key: entry for key, entry in found.descriptors.items() if entry is not None}}

    def _object(self, data: Any, key: str, allowed: set[str] | frozenset[str] | None = None) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self._wrong(key, "expected an object", "see the mapping's reference")
        for name in data:
            if allowed is not None and name not in allowed:
                raise self._wrong(key, f"unknown key {name!r}", f"known: {', '.join(sorted(allowed))}")
        return data

    def _takes(self, modality: str, what: str) -> bool:
        """Whether the descriptor takes `arrays`, or opens `files` itself."""
        return bool(getattr(self._descriptors.get(modality), what, False))

    def _wrong(self, key: str, message: str, fix: str) -> ConfigurationError:
        return ConfigurationError("bad_mapping", message, where=f"{self._where}: {key}", fix=fix)


def beside(folder: Path, name: str, where: str) -> Path:
    """A regular file below a folder; RecordError `bad_path` for any other, wherever its links lead."""
    try:
        path = (folder / name).resolve(strict=True)
        fine = path.is_relative_to(folder.resolve()) and path.is_file()
    except FileNotFoundError:
        # Described as missing bytes: a table often outlives some of its files.
        path = folder / name
        fine = not Path(name).is_absolute() and ".." not in Path(name).parts
    except (OSError, ValueError, RuntimeError):  # too long a name, a null byte, a loop of links
        fine = False
    if not fine:
        raise RecordError(
            "bad_path",
            f"{name[:80]!r} is not a regular file below the table's folder",
            where=where,
            fix="keep files below the folder of the table",
        )
    return path


def _then(convert: Callable[[Any], Any], read: Read) -> Read:
    return lambda row: convert(read(row))


def _plain_input(found: Any) -> dict[str, Any]:
    plain = {
        "name": found.name,
        "modality": found.modality,
        "missing": found.missing or None,
        "error": found.error,
        "descriptors": {key: value for key, value in found.descriptors.items() if value is not None},
        "embedding": found.embedding,
        "encoder": found.encoder,
        "scores": found.scores,
        "describer": found.describer,
    }
    return {key: value for key, value in plain.items() if value not in (None, {})}
