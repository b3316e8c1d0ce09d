"""An object that behaves as another one in every respect but the methods that are watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_OWN = frozenset(
    [
        "__class__",
        "__class_getitem__",
        "__del__",
        "__delattr__",
        "__dict__",
        "__doc__",
        "__getattr__",
        "__getattribute__",
        "__init__",
        "__init_subclass__",
        "__module__",
        "__new__",
        "__prepare__",
        "__setattr__",
        "__slots__",
        "__subclasshook__",
        "__weakref__",
        "__abstractmethods__",
        "__annotations__",
        "__dictoffset__",
        "__basicsize__",
        "__itemsize__",
        "__flags__",
        "__mro__",
        "__base__",
        "__bases__",
        "__subclasses__",
        "__qualname__",
        "__name__",
        "__static_attributes__",
        "__firstlineno__",
    ]
)
"""Attributes that belong to the machinery of classes: the stand-in has its own."""
_original = object.__getattribute__


def original(watched: Any) -> Any:
    """The object behind a proxy; anything else comes back as it is."""
    return _original(watched, "_auditor_original") if isinstance(_true_type(watched), _ProxyType) else watched


def is_proxy(value: Any) -> bool:
    """Whether a value came from `make_proxy`."""
    return isinstance(_true_type(value), _ProxyType)


def site_of(watched: Any) -> Any:
    """The site of a proxy."""
    return _original(watched, "_auditor_site")


def _true_type(value: Any) -> type:
    return type(value)


class _ProxyType(type):
    """Marks the classes that `make_proxy` makes."""


def make_proxy(target: Any, methods: Mapping[str, Callable[..., Any]], site: Any) -> Any:
    """A stand-in for `target` whose `methods` are the given ones.

    `isinstance`, attribute access, comparison, pickling and copying give what the original gives: a pickled or cloned
    proxy is a plain, unwatched original. The original is not changed. Methods that are not watched run on the original,
    so a model that calls itself is counted once.

    Parameters
    ----------
    target : object
    methods : mapping of str to callable
        By attribute name, special ones (`__call__`, `__next__`) included. They are called without the proxy.
    site : Site
    """
    kind = type(target)
    body: dict[str, Any] = {"__slots__": ("__weakref__", "_auditor_original", "_auditor_site")}
    for name in {name for base in kind.__mro__ for name in vars(base)} - _OWN:
        if name.startswith("__") and name.endswith("__") and callable(getattr(kind, name, None)):
            body[name] = _forward(name)
    body.update(
        __class__=property(lambda self: kind),
        __dict__=property(lambda self: _original(self, "_auditor_original").__dict__),
        __doc__=kind.__doc__,
        __module__=kind.__module__,
        __getattribute__=_reader(methods),
        __setattr__=lambda self, name, value: setattr(_original(self, "_auditor_original"), name, value),
        __delattr__=lambda self, name: delattr(_original(self, "_auditor_original"), name),
        __reduce__=lambda self: _original(self, "_auditor_original").__reduce__(),
        __reduce_ex__=lambda self, protocol: _original(self, "_auditor_original").__reduce_ex__(protocol),
        __copy__=lambda self: _copy(_original(self, "_auditor_original")),
        __deepcopy__=lambda self, memo: _deepcopy(_original(self, "_auditor_original"), memo),
    )
    body.update({name: staticmethod(method) for name, method in methods.items() if name.startswith("__")})
    if "__hash__" in vars(kind) and kind.__hash__ is None:
        body["__hash__"] = None
    made: Any = _ProxyType(kind.__name__, (), body)
    proxy: Any = object.__new__(made)
    object.__setattr__(proxy, "_auditor_original", target)
    object.__setattr__(proxy, "_auditor_site", site)
    return proxy


def _reader(methods: Mapping[str, Callable[..., Any]]) -> Callable[[Any, str], Any]:
    def read(self: Any, name: str) -> Any:
        if name in methods:
            return methods[name]
        return getattr(_original(self, "_auditor_original"), name)

    return read


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        target = _original(self, "_auditor_original")
        result = getattr(target, name)(*(original(value) for value in args), **kwargs)
        return self if result is target else result  # `with watched as it`, `watched += 1`

    forward.__name__ = name
    return forward


def _copy(target: Any) -> Any:
    import copy

    return copy.copy(target)


def _deepcopy(target: Any, memo: Any) -> Any:
    import copy

    return copy.deepcopy(target, memo)
