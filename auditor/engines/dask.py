"""A Dask cluster: summarising beside the data. Scheduling, retries and lost workers are Dask's own."""

from __future__ import annotations

import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from auditor.core.errors import ConfigurationError, PluginError

REACH_S = 1.0
"""How long a worker may take to answer a call that does not come through the scheduler."""
A = TypeVar("A")
B = TypeVar("B")

RETRIES = 3
AHEAD = 256
"""Tasks in the cluster at once: results are taken in order, so that memory does not grow with the work."""


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """Maps over the workers of a running scheduler.

    The workers need the same version of auditor, and the archive under the same address (shared disk or object store).

    Parameters
    ----------
    address : str
        Of the scheduler, `tcp://host:8786`.
    timeout_s : float
        How long to wait for it.
    """

    address: str = ""
    timeout_s: float = 10.0

    def configure(self, *, address: str | None = None, timeout_s: float = 10.0) -> DaskEngine:
        """The engine for that scheduler."""
        return replace(self, address=address or "", timeout_s=timeout_s)

    def map(self, function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """Results in the order of the items; a worker that dies has its items done again by another one.

        Raises
        ------
        ConfigurationError
            `no_address`, or `no_scheduler` when none answers there.
        PluginError
            `library_missing` without dask.
        """
        client = self._client()
        import cloudpickle  # Dask's own way of sending functions, those of a script included

        try:
            packed = cloudpickle.dumps(function)
            direct = _within_reach(client)
            rest = iter(items)
            waiting = deque(_submit(client, packed, item) for item in islice(rest, AHEAD))
            while waiting:
                result = client.gather(waiting.popleft(), direct=direct)
                waiting.extend(_submit(client, packed, item) for item in islice(rest, 1))
                yield pickle.loads(result)  # noqa: S301 - written by our own worker
        finally:
            client.close()

    def _client(self) -> Any:
        if not self.address:
            raise ConfigurationError(
                "no_address", "the dask engine needs a scheduler", where="--address", fix="give tcp://host:8786"
            )
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise PluginError(
                "library_missing", "the dask engine needs dask[distributed]", fix="pip install 'auditor[dask]'"
            ) from error
        try:
            return Client(self.address, timeout=self.timeout_s, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigurationError(
                "no_scheduler",
                f"no Dask scheduler answers: {error}",
                where=self.address,
                fix="start it, or correct the address",
            ) from error


def _submit(client: Any, packed: bytes, item: A) -> Any:
    # Not by content: the same item may have other rows behind it next time.
    return client.submit(_done, packed, item, pure=False, retries=RETRIES)


def _done(packed: bytes, item: Any) -> bytes:
    """What a worker does for one item. Its result travels as one block: states would be looked at array by array."""
    return pickle.dumps(_unpacked(packed)(item), protocol=pickle.HIGHEST_PROTOCOL)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Callable[[Any], Any]:
    """The function, once a worker and not once an item: what it works out (the cells of a frame's grids) it keeps."""
    function: Callable[[Any], Any] = pickle.loads(packed)  # noqa: S301 - written by our own client
    return function


def _within_reach(client: Any) -> bool:
    """Whether results can be fetched from the workers themselves: through the scheduler they are read and written twice."""
    for address in client.scheduler_info(n_workers=-1)["workers"]:
        host, _, port = address.rpartition("/")[2].rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
        except (OSError, ValueError):
            return False
    return True


PLUGIN = DaskEngine()
