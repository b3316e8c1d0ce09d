"""Records as columns: what the archive hands to the summariser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Strings = NDArray[np.object_]

ABSENT, PRESENT, MISSING, FAILED = 0, 1, 2, 3
"""What a record says of one input: nothing, there, declared missing, could not be described."""


def given(values: Strings) -> NDArray[np.bool_]:
    """Which of them are not None, shape (n,)."""
    found: NDArray[np.bool_] = values != None  # noqa: E711
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Records of one model, column by column; every array has length n, in the order of `ids`.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    time_us : ndarray of int64, shape (n,)
        Microseconds since 1970, UTC.
    version : ndarray of str, shape (n,)
    sampling : ndarray of float64, shape (n,)
        Share of calls described when this record was taken.
    described : ndarray of bool, shape (n,)
        Whether its payloads were described.
    numeric : mapping of str to ndarray of float64, shape (n,)
        By dotted column (`inputs.photo.descriptors.brightness`, `output.value`, `latency_s`); NaN where absent.
    categorical : mapping of str to ndarray of object, shape (n,)
        By dotted column (`output.label`, ...); None where absent.
    vectors : mapping of str to ndarray of float32, shape (n, d)
        By dotted column (`inputs.photo.embedding`, `inputs.photo.scores`, `output.scores`); NaN rows where absent.
    presence : mapping of str to ndarray of int8, shape (n,)
        By input name: ABSENT, PRESENT, MISSING or FAILED.
    modality : mapping of str to str
        By input name.
    describer : mapping of str to ndarray of object, shape (n,)
        By input name: `describer|encoder` that made its figures; None where absent.
    commitment : mapping of str to ndarray of object, shape (n,)
        By input name; None where absent.
    groups : mapping of str to ndarray of object, shape (n,)
        By feature; None is the slice `unknown`.
    truth : ndarray of object, shape (n,)
        Ground-truth label; None while unknown.
    truth_value : ndarray of float64, shape (n,)
        Ground-truth value; NaN while unknown.
    labelled_us : ndarray of int64, shape (n,)
        When the (first) label was given; -1 while unknown.
    energy_method : ndarray of object, shape (n,)
        How `numeric["energy.joules"]` was obtained; None where absent.
    subject : ndarray of object, shape (n,)
        Whom or what the call was about; None where absent.
    session : ndarray of object, shape (n,)
        Agent session that sent the record; None where absent.
    fork, seq : ndarray of int64, shape (n,)
        Generation of the process and number of the call within it; -1 where absent.
    """

    model: str
    ids: Strings
    time_us: Ints
    version: Strings
    sampling: Floats
    described: NDArray[np.bool_]
    numeric: Mapping[str, Floats] = field(default_factory=dict)
    categorical: Mapping[str, Strings] = field(default_factory=dict)
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    presence: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    modality: Mapping[str, str] = field(default_factory=dict)
    describer: Mapping[str, Strings] = field(default_factory=dict)
    commitment: Mapping[str, Strings] = field(default_factory=dict)
    groups: Mapping[str, Strings] = field(default_factory=dict)
    truth: Strings
    truth_value: Floats
    labelled_us: Ints
    energy_method: Strings | None = None
    subject: Strings | None = None
    session: Strings | None = None
    fork: Ints | None = None
    seq: Ints | None = None

    @property
    def n(self) -> int:
        return len(self.ids)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """The rows at `index`, in its order."""

        def pick(columns: Mapping[str, NDArray]) -> dict[str, NDArray]:
            return {name: values[index] for name, values in columns.items()}

        return Rows(
            model=self.model,
            ids=self.ids[index],
            time_us=self.time_us[index],
            version=self.version[index],
            sampling=self.sampling[index],
            described=self.described[index],
            numeric=pick(self.numeric),
            categorical=pick(self.categorical),
            vectors=pick(self.vectors),
            presence=pick(self.presence),
            modality=self.modality,
            describer=pick(self.describer),
            commitment=pick(self.commitment),
            groups=pick(self.groups),
            truth=self.truth[index],
            truth_value=self.truth_value[index],
            labelled_us=self.labelled_us[index],
            energy_method=None if self.energy_method is None else self.energy_method[index],
            subject=None if self.subject is None else self.subject[index],
            session=None if self.session is None else self.session[index],
            fork=None if self.fork is None else self.fork[index],
            seq=None if self.seq is None else self.seq[index],
        )
