"""Who gets in: every route of the live application, without a key, with each role, with a key for another model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from auditor.core.window import format_time
from auditor.service.access import ROLES, ROUTES, Permission
from auditor.service.app import routes
from auditor.settings import Home

GUARDED = [
    (method, path)
    for path, methods in ROUTES.items()
    for method, need in methods.items()
    if need is not Permission.OPEN
]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")


class _Service:
    """Enough of a service to list routes."""

    class settings:  # noqa: N801
        class service:  # noqa: N801
            body_bytes = 1


def walk(router: Any) -> list[tuple[str, set[str]]]:
    found: list[tuple[str, set[str]]] = []
    for route in router.routes:
        if hasattr(route, "path"):
            found.append((route.path, set(getattr(route, "methods", None) or ())))
        elif hasattr(route, "original_router"):
            found += walk(route.original_router)
        else:
            raise AssertionError(f"a route that cannot be read: {route!r}")
    return found


def test_every_route_of_the_application_declares_a_permission() -> None:
    app = routes(_Service())  # type: ignore[arg-type]
    found = {path: methods - {"HEAD"} for path, methods in walk(app)}
    assert found == {path: set(methods) for path, methods in ROUTES.items()}
    documented = {(path, method.upper()) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert documented == {(path, m) for path, ms in ROUTES.items() for m in ms} - {("/openapi.json", "GET")}


def test_two_routes_are_open_and_no_more() -> None:
    open_ones = {path for path, methods in ROUTES.items() if Permission.OPEN in methods.values()}
    assert open_ones == {"/healthz", "/version"}


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer wrong", "Basic {key}", "Bearer {key}x", "{key}", "Bearer ak_0_0"]
)
def test_without_a_good_key_everything_else_is_401(served: Any, authorization: str | None) -> None:
    given = {} if authorization is None else {"Authorization": authorization.format(key=served.key("admin"))}
    with httpx.Client(base_url=served.url, headers=given, trust_env=False) as client:
        for path in [*ROUTES, "/", "/docs", "/redoc", "/v1/records/", "/v1/../healthz", "/V1/models", "/nope"]:
            for method in METHODS:
                need = ROUTES.get(path, {}).get(method)
                answer = client.request(method, path)
                if need is Permission.OPEN or (answer.request.url.path in ("/healthz", "/version") and method == "GET"):
                    assert answer.status_code == 200
                    continue
                assert answer.status_code == 401, (method, path, answer.status_code)
                assert answer.headers["www-authenticate"] == "Bearer"
                if method != "HEAD":
                    assert answer.json()["error"]["code"] == "no_key"


def test_a_key_in_the_address_opens_nothing(served: Any) -> None:
    key = served.key("admin")
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        assert client.get("/v1/models", params={"key": key, "access_token": key}).status_code == 401


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_may_do_what_its_line_says_and_nothing_else(served: Any, role: str) -> None:
    with served.client(role) as client:
        for method, path in GUARDED:
            answer = client.request(method, path)
            if ROUTES[path][method] in ROLES[role]:
                assert answer.status_code in (200, 400, 415), (method, path, answer.text)
            else:
                assert answer.status_code == 403, (method, path, answer.text)
                assert answer.json()["error"]["code"] == "wrong_role"
        assert client.get("/nope").status_code == 404
        assert client.delete("/v1/models").status_code == 405
        assert client.delete("/v1/models").headers["allow"] == "GET"
        assert client.head("/v1/models").status_code == 405


def test_a_key_for_a_model_reaches_no_other(served: Any, make_row: Any) -> None:
    with served.client() as admin:
        for model in ("mine", "theirs"):
            assert admin.post("/v1/records", json={"records": [make_row(f"of-{model}", model)]}).status_code == 200
        served.wait(lambda: {"mine", "theirs"} <= {i["name"] for i in admin.get("/v1/models").json()["items"]})
    with served.client("admin", "mine") as client:
        assert [item["name"] for item in client.get("/v1/models").json()["items"]] == ["mine"]
        for path in ("measurements", "verdicts", "alerts"):
            answer = client.get(f"/v1/{path}", params={"model": "theirs"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_model")
            assert client.get(f"/v1/{path}", params={"model": "mine"}).status_code == 200
            assert all(item["model"] == "mine" for item in client.get(f"/v1/{path}").json()["items"])
        assert 'model="theirs"' not in client.get("/metrics").text
        mixed = {"records": [make_row("x1", "mine"), make_row("x2", "theirs")]}
        answer = client.post("/v1/records", json=mixed)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_model")
        assert client.post("/v1/records", json={"records": mixed["records"][:1]}).json()["accepted"] == 1, (
            "none was taken"
        )
        foreign = {"labels": [{"id": "of-theirs", "label": "a", "model": "theirs"}]}
        answer = client.post("/v1/labels", json=foreign)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_model")
        answer = client.post(
            "/v1/labels", json={"labels": [{"id": "of-mine", "label": "a"}, {"id": "of-theirs", "label": "b"}]}
        )
        assert answer.json()["accepted"] == 2, "both are of the key's model, where the second has no record"
        pin = {"kind": "baseline.pin", "payload": {"model": "theirs", "since": "2026-01-05", "until": "2026-01-06"}}
        assert client.post("/v1/commands", json=pin).json()["error"]["code"] == "wrong_model"
        made = client.post("/v1/commands", json={"kind": "key.create", "payload": {"role": "admin"}})
        assert made.status_code == 403, "a key for one model makes no key for all"


@pytest.mark.parametrize("most", [60, pytest.param(5, marks=pytest.mark.soak)])
def test_a_revoked_key_is_dead_within_five_seconds(served: Any, most: int) -> None:
    made = served.cli("key", "create", "--role", "viewer")
    with httpx.Client(
        base_url=served.url, headers={"Authorization": f"Bearer {made['key']}"}, trust_env=False
    ) as client:
        assert client.get("/v1/models").status_code == 200, "made while the service runs, good at once"
        served.cli("key", "revoke", made["id"])
        served.wait(lambda: client.get("/v1/models").status_code == 401, most)
    items = {item["id"]: item for item in served.cli("key", "list")["items"]}
    assert items[made["id"]]["revoked"] is not None
    assert not any("hash" in item or "key" in item for item in items.values())


def test_keys_over_http_are_an_admins_affair(served: Any) -> None:
    with served.client("editor") as editor:
        answer = editor.post("/v1/commands", json={"kind": "key.create", "payload": {"role": "viewer"}})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_role")
    with served.client() as admin:
        made = admin.post(
            "/v1/commands", json={"kind": "key.create", "by": "ada", "payload": {"role": "viewer"}}
        ).json()
        assert made["by"].startswith("ada (key ")
        headers = {"Authorization": f"Bearer {made['key']['key']}"}
        with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as viewer:
            assert viewer.get("/v1/models").status_code == 200
            ended = admin.post("/v1/commands", json={"kind": "key.revoke", "payload": {"id": made["key"]["id"]}})
            assert ended.status_code == 200
            assert viewer.get("/v1/models").status_code == 401, "at once: the service itself took it"
        for bad in (
            {"kind": "nope", "payload": {}},
            {"payload": {}},
            [],
            {"kind": "key.create", "payload": {"role": "root"}},
        ):
            assert admin.post("/v1/commands", json=bad).status_code == 400


def test_of_a_batch_with_one_wrong_command_none_is_kept(served: Any) -> None:
    began = format_time(datetime.now(UTC))
    good = {"kind": "key.create", "by": "ada", "payload": {"role": "viewer"}}
    with served.client() as admin:
        wrong = admin.post(
            "/v1/commands", json={"commands": [good, {"kind": "key.create", "payload": {"role": "root"}}]}
        )
        assert wrong.status_code == 400
        made = admin.post("/v1/commands", json={"commands": [good, good]}).json()["commands"]
    ids = {one["key"]["id"] for one in made}
    assert len(ids) == 2
    served.wait(lambda: ids <= {key["id"] for key in served.cli("key", "list")["items"]})
    recent = [key["id"] for key in served.cli("key", "list")["items"] if key["created"] >= began]
    assert sorted(recent) == sorted(ids), "nothing of the refused batch"


def test_no_key_is_kept_anywhere(served: Any) -> None:
    """The secret part stands in no file of the home, in no log, in no form that one would look for."""
    keys = [served.key(role) for role in ("admin", "viewer")]
    served.wait(lambda: not list(Home(served.home).journal.glob("person-*/*.seg")))
    looked_at = 0
    for folder, _, names in os.walk(served.home):  # the service takes folders away meanwhile
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                data = path.read_bytes()
                looked_at += 1
                for key in keys:
                    assert key.encode() not in data, path
                    assert key.split("_", 2)[2].encode() not in data, path
    assert looked_at > 3
    assert hashlib.sha256(keys[0].encode()).hexdigest().encode() in Home(served.home).store.read_bytes() + (
        Home(served.home).store.with_name("auditor.db-wal").read_bytes()
    )


def test_beyond_loopback_only_with_keys(home_for_service: Any) -> None:
    running = home_for_service()
    assert running.cli("serve", "--host", "0.0.0.0", "--port", "0", code=2)["error"]["code"] == "no_keys"


def test_answers_carry_safe_headers_and_name_no_server(served: Any) -> None:
    with served.client() as client:
        for path in ("/healthz", "/v1/models", "/nope"):
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers
        assert json.loads(httpx.get(f"{served.url}/healthz", trust_env=False).text).keys() == {
            "schema",
            "status",
            "store",
        }
