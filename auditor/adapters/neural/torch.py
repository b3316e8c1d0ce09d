"""torch modules: hooks around `forward`, one record for each row of a batch.

The module itself is watched and given back: type, attributes, parameters and `state_dict` are what they were, and
`agent.unwatch` removes the hooks. Early fusion needs nothing more; for late and hybrid fusion `branches` names the
modules whose outputs are the embeddings (or scores) of single inputs. On a GPU a call's latency is the time until its
work was queued: nothing here waits for a device.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from auditor.adapters import sites_in_hooks
from auditor.adapters.neural.answers import Reader
from auditor.adapters.neural.columns import Columns, pixel_scales
from auditor.adapters.neural.hooks import (
    Hook,
    branch_layers,
    capturing,
    encoder_of,
    hook,
    module_at,
    tap_modules,
)
from auditor.adapters.rows import begin
from auditor.adapters.watching import Entry, Watching
from auditor.agent.site import Binder, Site
from auditor.core.errors import ConfigurationError

OPTIONS = frozenset({"batch", "branches", "classes", "pixels"})


def watch(model: Any, site: Site) -> Any:
    """The module itself, hooked; watching it again with the same agent replaces the first watch.

    Options
    -------
    branches : mapping of str to str or mapping
        Input to the path of the module whose output is its embedding (`"vision.projection"`), or to paths of its
        `embedding` and its `scores`. Names that are no inputs (`fused`) become inputs of modality `embedding`.
    batch : bool
        Whether the first axis of tensors is rows, each of them one inference (the default).
    classes : sequence of str
        Names of the classes, by index.
    pixels : mapping of str to (mean, std)
        How an image input was normalised, a channel or a number each: undone before it is described.
    """
    TorchWatching(model, site).hook()
    return model


class TorchWatching(Watching):
    """The hooks of one watch."""

    def __init__(self, model: Any, site: Site) -> None:
        super().__init__(model, site)
        batch = bool(site.options.get("batch", True))
        self.reader = Reader(site.answer, each=batch, classes=site.options.get("classes"))
        layers = branch_layers(site.options.get("branches"))
        inner = getattr(model, "_orig_mod", model)  # of what torch.compile gave
        self.modules = {(name, field): module_at(inner, path) for name, field, path in layers}
        encoder = encoder_of(site, inner, inner.named_parameters()) if layers else None
        encoders = {name: encoder for name, field, _ in layers if field == "embedding"}
        self.columns = Columns(
            site, each=batch, encoders=encoders, pixels=pixel_scales(site.options.get("pixels")), embedded=encoders
        )
        self.binder = binder_of(inner, site)

    def hook(self) -> None:
        for earlier in sites_in_hooks(self.model):
            if earlier.recorder is self.site.recorder:
                earlier.release()
        site, model = self.site, self.model
        before, after = Hook(site, self.enter), Hook(site, self.leave)
        hook(site, self.open, model.register_forward_pre_hook, before, prepend=True, with_kwargs=True)
        hook(site, self.open, model.register_forward_hook, after, with_kwargs=True, always_call=True)
        tap_modules(site, self.open, self.modules)

    def enter(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before `forward`."""
        try:
            self._enter(args, kwargs)
        except Exception:
            self.site.recorder.fail()
            raise  # to the hook, which notes it

    def _enter(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        entry = self.open.entry
        if entry is not None:
            if self.open.running() is entry:
                entry.depth += 1
                return
            self.abandon()
        if capturing():
            return
        self.open.entry = entry = Entry(None, sys._getframe(3))
        inputs = self.columns.named(self.binder.bind(args, kwargs))
        count = self.columns.count(inputs)
        entry.flight = begin(self.site, count, lambda: self.columns.of(inputs, count), args, kwargs)

    def leave(self, module: Any, args: Any, kwargs: Any, result: Any) -> None:
        """After `forward`, also when it raised."""
        entry = self.open.entry
        if entry is None:
            return
        if entry.depth:
            entry.depth -= 1
            return
        self.open.entry = None
        flight = entry.flight
        if flight is None:
            return
        try:
            failure = sys.exception()
            error = None if failure is entry.handled else failure
            flight.finish(lambda: self.reader.read(flight, result), error)
        except Exception:
            flight.give_up()
            raise

    def abandon(self) -> None:
        """A call that was left by what is no Exception (an interrupt): it counts, as a failed one."""
        entry, self.open.entry = self.open.entry, None
        if entry is not None and entry.flight is not None:
            entry.flight.finish(dict, BaseException())


def binder_of(model: Any, site: Site) -> Binder:
    """The parameters of `forward`; ConfigurationError when a declared input is none of them.

    A `forward` with a single parameter may be given a mapping, whose keys are then the inputs.
    """
    binder = Binder(model.forward)
    names: Sequence[str] = binder.positional
    for name in site.inputs or ():
        if not binder.knows(name) and len(names) != 1:
            raise ConfigurationError(
                "unknown_input",
                f"forward has no argument {name!r}",
                where="inputs",
                fix=f"name one of {', '.join(names) or 'its arguments'}",
            )
    return binder
