"""Every shipped measurer keeps the public contract, on clean traffic and on traffic with every fault at once."""

import pytest

from auditor import registry
from auditor.testing import check_measurer, make_window

PLUGINS = [(kind, name) for kind in registry.MEASURERS for name in registry.names(kind)]


@pytest.fixture(scope="module")
def windows():
    faulty = {"darken": 0.8, "noise_db": 8.0, "repaired": 0.3, "missing": 0.4, "confuse": {"speaker=theo": 0.5}}
    return [make_window(300, 3), make_window(300, 4, **faulty), make_window(5, 5)]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_contract(kind, name, windows):
    plugin = registry.load(kind, name)
    for window in windows:
        check_measurer(plugin, *window)


def test_the_catalogue_has_one_owner_a_name():
    assert {"drift.ks", "input.missing_rate", "quality.accuracy"} <= set(registry.catalogue())
