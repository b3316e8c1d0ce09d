"""The security tests talk to the same kind of running service as the integration tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).parents[1] / "integration" / "service" / "conftest.py"
_spec = importlib.util.spec_from_file_location("service_fixtures", _path)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["service_fixtures"] = _module
_spec.loader.exec_module(_module)

served = _module.served
home_for_service = _module.home_for_service
make_row = _module.make_row
