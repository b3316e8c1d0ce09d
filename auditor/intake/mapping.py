"""Mapping files: which column of a table is which field of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from auditor.core import values
from auditor.core.errors import ConfigurationError, RecordError
from auditor.descriptors.describe import Payload, describe_input, describe_text
from auditor.encoders import is_named, open_encoder, ways
from auditor.intake.cells import FORMATS, Cells
from auditor.intake.dotted import Tree, objects_of, rows_of
from auditor.intake.records import modalities
from auditor.intake.tables import Chunk, Convert
from auditor.ports import Descriptor, Encoder

Read = Callable[[Chunk], Sequence[Any]]
"""Reads one value for each row of a chunk."""
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


class TableMapping:
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
        self._parts = {"model": self._texts(document["model"], "model", {"name", "version", "encoder"})}
        if "name" not in self._parts["model"]:
            raise self._wrong("model", "'name' is missing", "give the model's name")
        self._id = self._each(self._cells.text, document["id"], "id") if "id" in document else None
        self._time = self._moment(document["time"], "time")
        if not isinstance(document["inputs"], list):
            raise self._wrong("inputs", "expected a list", "give a list of inputs")
        self._inputs: dict[str, Read] = {}
        for index, entry in enumerate(document["inputs"]):
            name, read = self._input(entry, f"inputs[{index}]")
            if name in self._inputs:
                raise self._wrong(f"inputs[{index}]", f"a second input is called {name!r}", "name each input once")
            self._inputs[name] = read
        output = document.get("output") or {}
        self._parts["output"] = self._outputs(output)
        self._parts["groups"] = self._texts(document.get("groups", {}), "groups")
        before = set(self.columns)
        self._parts["sensitive"] = self._texts(document.get("sensitive", {}), "sensitive")
        self.sensitive_columns = self.columns - before
        self._others = {key: self._number(document[key], key) for key in _RECORD_NUMBERS if key in document}
        if "subject" in document:
            self._others["subject"] = self._each(self._cells.text, document["subject"], "subject")
        self._label_is_value = "value" in output and "label" not in output
        self._label: Read | None = None
        if "label" in document:
            label = document["label"]
            as_class = self._each(self._cells.class_name, label, "label")
            self._label = self._number(label, "label") if self._label_is_value else as_class
        self._label_time = self._moment(document["label_time"], "label_time") if "label_time" in document else None
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
    ) -> TableMapping:
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

    def identifiers(self, chunk: Chunk) -> Sequence[str | None]:
        """The rows' own ids, where the mapping names them."""
        return [None] * len(chunk) if self._id is None else self._id(chunk)

    def models(self, chunk: Chunk) -> Sequence[str | None]:
        """Names of the rows' models."""
        return self._parts["model"]["name"](chunk)

    def apply(self, chunk: Chunk, ids: Sequence[str]) -> list[dict[str, Any]]:
        """The rows as records with these ids, their raw inputs described; faults of rows are noted in the chunk."""
        tree: Tree = {
            "id": ids,
            "time": self._time(chunk),
            **{key: read(chunk) for key, read in self._others.items()},
            "inputs": {name: read(chunk) for name, read in self._inputs.items()},
        }
        for field in ("model", "output", "sensitive"):
            tree[field] = {key: read(chunk) for key, read in self._parts[field].items()}
        groups = self._parts["groups"]
        if groups:  # a group without a value is one of its own
            cells = zip(*[read(chunk) for read in groups.values()], strict=True)
            tree["groups"] = [dict(zip(groups, row, strict=True)) for row in cells]
        return rows_of({key: cells for key, cells in tree.items() if cells}, len(chunk))

    def labels(self, chunk: Chunk, ids: Sequence[str], times: Sequence[Any]) -> Sequence[dict[str, Any] | None]:
        """Labels of the rows that have one; `times` of the records stand in for their own."""
        if self._label is None:
            return [None] * len(chunk)
        key = "value" if self._label_is_value else "label"
        when = self._label_time(chunk) if self._label_time else times
        return [
            None if value is None else {"id": name, "time": moment, key: value}
            for name, moment, value in zip(ids, when, self._label(chunk), strict=True)
        ]

    # -- the parts of a mapping ----------------------------------------------------------------------------------------

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
            return lambda chunk: chunk.cells(name)
        if isinstance(data, list):
            raise self._wrong(key, "a list is no value", "give a constant or {column: NAME}")
        return lambda chunk: [data] * len(chunk)

    def _each(self, convert: Convert, data: Any, key: str, *, numbers: bool = False) -> Read:
        """A constant, or the cells of a column, converted."""
        value = self._value(data, key)
        return lambda chunk: chunk.each(convert, value(chunk), numbers=numbers)

    def _number(self, data: Any, key: str) -> Read:
        return self._each(lambda cell: self._cells.number(cell, key), data, key, numbers=True)

    def _texts(self, data: Any, key: str, allowed: set[str] | None = None) -> dict[str, Read]:
        document = self._object(data, key, allowed)
        return {str(name): self._each(self._cells.text, value, f"{key}.{name}") for name, value in document.items()}

    def _vectors(self, data: Any, key: str) -> Read:
        """A vector from one column, or from a number in each of several."""
        if isinstance(data, dict) and "columns" in data:
            names = self._names(self._object(data, key, {"columns"})["columns"], key)
            numbers = [self._number({"column": name}, name) for name in names]

            def read(chunk: Chunk) -> Sequence[Any]:
                rows = zip(*[column(chunk) for column in numbers], strict=True)
                given = [row if row.count(None) < len(row) else None for row in rows]
                return chunk.each(lambda row: self._cells.vector(row, key), given)

            return read
        return self._each(lambda cell: self._cells.vector(cell, key), data, key)

    def _names(self, data: Any, key: str) -> list[str]:
        if not isinstance(data, list) or not data or not all(isinstance(name, str) for name in data):
            raise self._wrong(key, "expected names of columns", "write columns: [a, b]")
        self.columns.update(data)
        return data

    def _moment(self, data: Any, key: str) -> Read:
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
        return self._each(lambda cell: self._cells.moment(cell, form, local, key), data, key)

    def _input(self, data: Any, key: str) -> tuple[str, Read]:
        """Its name, and what reads its entries, None where a row has nothing of it."""
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
        about = {
            field: read(document[field], f"{key}.{field}")
            for field, read in (
                ("embedding", self._vectors),
                ("scores", self._vectors),
                ("encoder", partial(self._each, self._cells.text)),
            )
            if field in document
        }
        if not sources:
            given = self._object(document.get("descriptors", {}), f"{key}.descriptors")
            figures = {
                str(column): self._each(self._cells.figure, value, f"{key}.descriptors.{column}", numbers=True)
                for column, value in given.items()
            }
            if "encode" in document:
                raise self._wrong(f"{key}.encode", "there is no payload to encode", "give path, value or columns")
            return name, partial(_figures, modality, figures, about)
        if "rate" in document:
            about["rate"] = self._number(document["rate"], f"{key}.rate")
        cells, payload = self._source(document, sources[0], modality, key)
        own = self._encoder(document["encode"], f"{key}.encode") if "encode" in document else None

        def described(row: tuple[Any, ...]) -> dict[str, Any]:
            cell, *more = row
            given = Payload(name=name, modality=modality, value=payload(cell), **dict(zip(about, more, strict=True)))
            return _plain_input(describe_input(given, self._descriptors, encoder=own))

        def read(chunk: Chunk) -> Sequence[Any]:
            columns = [cells(chunk), *(column(chunk) for column in about.values())]
            return chunk.each(described, list(zip(*columns, strict=True)))

        return name, read

    def _encoder(self, named: Any, key: str) -> Encoder:
        """What makes the embeddings of an input that is described here; a file's name may be relative to the table's folder."""
        if not isinstance(named, str) or not is_named(named):
            raise self._wrong(key, f"{named!r} is not an encoder", f"give {ways()}")
        scheme, _, name = named.partition(":")
        beside = self._folder / name
        return open_encoder(f"{scheme}:{beside}" if beside.exists() else named)

    def _source(self, document: Mapping[str, Any], word: str, modality: str, key: str) -> tuple[Read, Convert]:
        """The cells of an input's payloads, and what makes a payload of a cell, one at a time: it may be large."""
        if word == "columns":
            return self._features(document, key), lambda row: row
        value = self._value(document[word], f"{key}.{word}")
        if word == "value":
            arrays = self._takes(modality, "arrays")
            return value, lambda cell: self._payload(cell, arrays, key)
        opens = self._takes(modality, "files")

        def file(cell: Any) -> Any:
            if self._cells.blank(cell):
                return None
            path = beside(self._folder, str(cell), key)
            if opens:
                return path
            try:
                with path.open("rb") as stream:
                    found = stream.read(MAX_TEXT + 1)
            except FileNotFoundError:
                return path  # described as missing bytes
            except OSError as error:
                raise RecordError(
                    "bad_path", f"{str(cell)[:80]!r} does not read: {error.strerror}", where=key, fix="check the file"
                ) from error
            if len(found) > MAX_TEXT:
                raise RecordError(
                    "file_too_large", f"the file has more than {MAX_TEXT} bytes", where=key, fix="shorten the file"
                )
            return found

        return value, file

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
        wanted = [name for name in dict.fromkeys(names) if name not in excluded]
        readers = {
            **dict.fromkeys(listed.get("categorical", ()), self._cells.text),
            **dict.fromkeys(listed.get("numeric", ()), self._cells.numeric),
        }
        every = "columns" not in listed

        def features(chunk: Chunk) -> list[dict[str, Any] | None]:
            found = {}
            for name in wanted:
                if every and name in self.columns and name not in readers:
                    continue
                convert = readers.get(name, self._cells.figure)
                found[name] = chunk.each(_unless_unusable(convert), chunk.cells(name), numbers=name not in readers)
            rows = zip(*found.values(), strict=True) if found else [()] * len(chunk)
            return [None if row.count(None) == len(row) else dict(zip(found, row, strict=True)) for row in rows]

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
        cells = self._cells
        readers: dict[str, Callable[[Any, str], Read]] = {
            "label": partial(self._each, cells.class_name),
            "finish": partial(self._each, cells.text),
            "error": partial(self._each, cells.text),
            "value": self._number,
            "scores": self._vectors,
            "refused": partial(self._each, cells.truth),
            "tokens": self._tokens,
            "text": partial(self._each, self._text),
        }
        document = self._object(data, "output", set(readers))
        return {key: readers[key](value, f"output.{key}") for key, value in document.items()}

    def _tokens(self, data: Any, key: str) -> Read:
        document = self._object(data, key, {"input", "output"})
        counts = {name: self._number(value, f"{key}.{name}") for name, value in document.items()}
        if not counts:
            raise self._wrong(key, "no count is named", "write tokens: {input: {column: NAME}}")
        return lambda chunk: [
            {name: int(count) for name, count in zip(counts, row, strict=True) if count is not None} or None
            for row in zip(*[read(chunk) for read in counts.values()], strict=True)
        ]

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


def _unless_unusable(convert: Convert) -> Convert:
    """Lists, structs and bytes are left to the descriptor, which counts them."""
    return lambda cell: cell if isinstance(cell, (list, dict, bytes)) else convert(cell)


def _figures(
    modality: str, figures: Mapping[str, Read], about: Mapping[str, Read], chunk: Chunk
) -> list[dict[str, Any]]:
    """Entries of an input that the table has described."""
    tree: Tree = {field: read(chunk) for field, read in about.items()}
    if figures:
        tree["descriptors"] = {column: read(chunk) for column, read in figures.items()}
    rows = objects_of(tree) if tree else [None] * len(chunk)
    return [
        {**row, "modality": modality} if row and row.keys() - {"encoder"} else {"modality": modality, "missing": True}
        for row in rows
    ]


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
