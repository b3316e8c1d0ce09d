"""The OpenAPI document is true: a fuzzer that reads it finds no answer that it does not promise, and no fault."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from auditor.service.access import ROUTES

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def document(served: Any) -> dict[str, Any]:
    with served.client() as client:
        found: dict[str, Any] = client.get("/openapi.json").json()
        return found


def test_the_document_names_every_route_its_key_and_its_errors(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"]
            open_route = path in ("/healthz", "/version")
            assert (operation.get("security") == []) == open_route
            assert set(operation["responses"]) >= ({"200"} if open_route else {"200", "400", "401", "403", "503"})
            assert "422" not in operation["responses"]
            assert method.upper() in ROUTES[path]
    assert document["security"] == [{"key": []}]
    record = document["components"]["schemas"]["Record"]
    assert set(record["required"]) == {"time", "model", "inputs"}


OPERATIONS = [(method, path) for path, methods in ROUTES.items() for method in methods if path != "/openapi.json"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.filterwarnings("ignore")
def test_fuzzed_by_schemathesis(served: Any, document: dict[str, Any], method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(document)
    operation = schema[path][method]
    key = served.key("admin")

    @settings(
        max_examples=12,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @schemathesis_given(operation)
    def run(case: Any) -> None:
        response = case.call(base_url=served.url, headers={"Authorization": f"Bearer {key}"})
        case.validate_response(response, checks=list(CHECKS))

    run()
    assert httpx.get(f"{served.url}/healthz", trust_env=False).status_code == 200


def schemathesis_given(operation: Any) -> Any:
    """Cases of one operation, valid and invalid ones in turn."""
    from hypothesis import given
    from schemathesis import GenerationMode

    return given(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
