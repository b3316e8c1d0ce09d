"""How often payloads of an input come again, told by the commitments that their records carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.core.identity import hash64
from auditor.core.rows import Strings

PAYLOADS = 512
"""Distinct payloads whose repetitions are counted: those with the smallest hashes."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """How often payloads of one input repeat, by their commitments: those with the smallest hashes, each with its count.

    Which payloads are kept does not depend on how often they come, so that they stand for all (k-minimum-values sketch,
    Bar-Yossef et al. 2002).

    Attributes
    ----------
    n : int
        Records that carried a commitment.
    hashes : ndarray of uint64, shape (k,)
        Rising, at most PAYLOADS.
    counts : ndarray of int64, shape (k,)
    """

    n: int
    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @staticmethod
    def of(hashes: NDArray[np.uint64]) -> Payloads:
        """Payloads of these records, shape (n,)."""
        distinct, counts = np.unique(hashes, return_counts=True)
        return Payloads(len(hashes), distinct[:PAYLOADS], counts[:PAYLOADS].astype(np.int64))

    @property
    def exact(self) -> bool:
        """Whether every distinct payload is kept."""
        return int(self.counts.sum()) == self.n

    @property
    def distinct_share(self) -> float:
        """Distinct payloads of all; estimated from those kept when there are more than PAYLOADS."""
        return len(self.counts) / int(self.counts.sum())

    @property
    def effective_share(self) -> float:
        """Independent observations of all: sum c / sum c^2 over payloads seen c times (Kish 1965)."""
        return int(self.counts.sum()) / int((self.counts**2).sum())

    def merge(self, other: Payloads) -> Payloads:
        return merge_payloads([self, other])


def merge_payloads(parts: Sequence[Payloads]) -> Payloads:
    """Payloads of all parts together; any order of merging gives them."""
    if len(parts) == 1:
        return parts[0]
    distinct, place = np.unique(np.concatenate([part.hashes for part in parts]), return_inverse=True)
    counts = np.zeros(len(distinct), np.int64)
    np.add.at(counts, place, np.concatenate([part.counts for part in parts]))
    return Payloads(sum(part.n for part in parts), distinct[:PAYLOADS], counts[:PAYLOADS])


def payload_hashes(commitments: Strings) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """64 bits of each commitment, and which records carry one; shapes (n,)."""
    known: NDArray[np.bool_] = commitments != None  # noqa: E711
    hashes = np.zeros(len(commitments), np.uint64)
    hashes[known] = _commitment_bits(commitments[known].tolist())
    return hashes, known


def _commitment_bits(commitments: Sequence[str]) -> NDArray[np.uint64]:
    """A digest is a hash already; anything else gets one."""
    if all(len(commitment) == 71 and commitment.startswith("sha256:") for commitment in commitments):
        try:
            joined = bytes.fromhex("".join([commitment[-16:] for commitment in commitments]))
        except ValueError:
            pass
        else:
            if len(joined) == 8 * len(commitments):
                return np.frombuffer(joined, ">u8").astype(np.uint64)
    return np.array([_bits(commitment) for commitment in commitments], np.uint64)


def _bits(commitment: str) -> int:
    try:
        return (
            int(commitment[-16:], 16)
            if commitment.startswith("sha256:") and len(commitment) == 71
            else hash64(commitment)
        )
    except ValueError:
        return hash64(commitment)
