"""Hooks on torch modules: they never raise, change nothing, and stay behind when a module is pickled or copied."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from auditor.adapters.tensors import is_torch, length, pooled, take
from auditor.adapters.watching import Open
from auditor.agent.shield import shield
from auditor.agent.site import Site
from auditor.core.errors import ConfigurationError

FIELDS = ("embedding", "scores")
"""What a branch's output can be of its input."""


_STANDS_FOR = contextlib.nullcontext()
_NOTHING = _STANDS_FOR.__exit__
"""Takes any arguments and returns None; the standard library's, so that a pickled module does not need auditor."""


class Hook:
    """A callable on a module. In a copy, or a pickle, of the module something that does nothing stands in its place.

    Parameters
    ----------
    act : callable
        Gets the hook's arguments; its result is dropped, an exception noted.
    """

    def __init__(self, site: Site, act: Callable[..., None]) -> None:
        torch: Any = importlib.import_module("torch")
        self.__auditor_site__ = site
        self._act = act
        self._compiling = torch.compiler.is_compiling
        self._tracing = torch.jit.is_tracing

    def __call__(self, *args: Any) -> None:
        try:
            # A compiler that traces the module finds nothing here, so that graphs stay whole.
            if not self._compiling() and not self._tracing():
                self._act(*args)
        except Exception as error:
            self.__auditor_site__.recorder.faults.note("hook_failed", error)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (_STANDS_FOR, "__exit__")


def capturing() -> bool:
    """Whether a CUDA graph is being captured, into which no copy of ours may get."""
    torch: Any = sys.modules["torch"]
    return bool(torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())


def branch_layers(branches: Any) -> list[tuple[str, str, str]]:
    """The `branches=` option as (input, field, layer); ConfigurationError when it is not one.

    >>> branch_layers({"photo": "vision.head", "clip": {"embedding": "audio.body", "scores": "audio.head"}})
    [('photo', 'embedding', 'vision.head'), ('clip', 'embedding', 'audio.body'), ('clip', 'scores', 'audio.head')]
    """
    found = []
    for name, said in dict(branches or {}).items():
        for field, layer in ({"embedding": said} if isinstance(said, str) else dict(said)).items():
            if field not in FIELDS or not isinstance(layer, str):
                raise ConfigurationError(
                    "bad_branch",
                    f"{field!r}: {layer!r} is no branch",
                    where=f"branches[{name!r}]",
                    fix=f"give a layer's name, or a mapping of {' and '.join(FIELDS)} to names",
                )
            found.append((str(name), field, layer))
    return found


def tap_modules(
    site: Site, open_calls: Open, modules: Mapping[tuple[str, str], Any], *, channels_last: bool = False
) -> None:
    """See what modules give while a call is open; `site.release` takes it back.

    Parameters
    ----------
    modules : mapping of (str, str) to torch.nn.Module
        By input and field: `embedding` is pooled to one vector a row, `scores` are taken as they are.
    """
    for (name, field), module in modules.items():
        act = _tap(open_calls, name, field, channels_last)
        hook(site, open_calls, module.register_forward_hook, Hook(site, act))


def hook(site: Site, open_calls: Open, register: Callable[..., Any], ours: Hook, **options: Any) -> None:
    """Register a hook that `site.release` takes back.

    A thread that is just going through a module's hooks would stumble if one of them vanished. So the hook first becomes
    one that does nothing, which nobody notices, and is removed only when no call is open.
    """
    handle = register(ours, **options)

    def take_back() -> None:
        hooks = handle.hooks_dict_ref()
        if hooks is not None and handle.id in hooks:
            hooks[handle.id] = _NOTHING
        if not open_calls:
            handle.remove()

    site.undo.append(take_back)


def _tap(open_calls: Open, name: str, field: str, channels_last: bool) -> Callable[..., None]:
    def act(module: Any, args: Any, output: Any) -> None:
        flight = open_calls.described
        if flight is None or capturing():
            return
        value = pooled(output, channels_last=channels_last)
        if value is not None and length(value):
            taken = take(value, None)
            flight.size += taken.size
            flight.taps.setdefault((name, field), []).append(taken)

    return act


def module_at(root: Any, path: str) -> Any:
    """The module of that path; ConfigurationError with the nearest names when there is none."""
    try:
        return root.get_submodule(path)
    except AttributeError:
        import difflib

        names = [name for name, _ in root.named_modules() if name]
        near = difflib.get_close_matches(path, names, n=3, cutoff=0.3) or names[:3]
        raise ConfigurationError(
            "unknown_branch",
            f"a {type(root).__name__} has no module {path!r}",
            where="branches",
            fix=f"name one of its modules, such as {', '.join(near)}" if near else "it has no modules: leave it out",
        ) from None


def fingerprint(parameters: Iterable[tuple[str, Any]]) -> str:
    """Eight hex digits that follow from the weights: names, shapes and a sample of the values of each parameter.

    Two models with the same digits are the same encoder for all that matters here; weights that are not loaded count
    by name and shape alone.
    """
    import hashlib

    digest = hashlib.blake2b(digest_size=4)
    for name, parameter in parameters:
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        if not getattr(parameter, "is_meta", False):
            digest.update(_sample(parameter))
    return digest.hexdigest()


def _sample(parameter: Any) -> bytes:
    """Sixteen of its values, evenly spread."""
    if is_torch(parameter):
        values = parameter.detach().reshape(-1)
        return bytes(values[:: max(1, len(values) // 16)][:16].float().cpu().numpy().astype("<f4").tobytes())
    import numpy

    values = numpy.asarray(parameter).reshape(-1)
    return values[:: max(1, len(values) // 16)][:16].astype("<f4").tobytes()


def encoder_of(site: Site, model: Any, parameters: Iterable[tuple[str, Any]], name: str | None = None) -> str:
    """What made the embeddings: what the deployment says, else the class (or `name`) with the fingerprint of its weights."""
    if site.ref.encoder:
        return site.ref.encoder
    called = name or type(model).__name__
    with shield(site.recorder.faults, "fingerprint_failed"):
        return f"{called}#{fingerprint(parameters)}"
    return called
