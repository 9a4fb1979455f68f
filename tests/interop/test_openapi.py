"""The management API's OpenAPI document, as somebody else's validator reads it."""

import json
import re

import httpx
import jsonschema
import pytest
from harness.gateway import FIVE_PLUGINS
from harness.processes import REPOSITORY
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

CHECKED_IN = REPOSITORY / "contracts" / "openapi" / "management.json"


@pytest.fixture
def gateway(stage):
    """A gateway with plugins and nothing behind it."""
    return stage.gateway(("openapi",), lambda: {"plugins": FIVE_PLUGINS})


def test_document_is_valid_openapi_3_1():
    document = json.loads(CHECKED_IN.read_text())
    assert document["openapi"].startswith("3.1")
    validate(document, cls=OpenAPIV31SpecValidator)


def test_gateway_serves_the_document_that_is_checked_in(gateway):
    served = httpx.get(f"{gateway.base}/api/v1/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.json() == json.loads(CHECKED_IN.read_text())


def readings() -> list[str]:
    """Every path that is read without a name in it."""
    paths = json.loads(CHECKED_IN.read_text())["paths"]
    return [path for path, operations in paths.items() if "get" in operations and "{" not in path]


def needs_token(document: dict, path: str) -> bool:
    """Whether the document says that the path wants the admin token."""
    return bool(document["paths"][path]["get"].get("security"))


@pytest.mark.parametrize("path", readings())
def test_answers_are_as_described(gateway, path):
    document = json.loads(CHECKED_IN.read_text())
    headers = {}
    if needs_token(document, path):
        token = re.search(r"mortise_admin_\w[\w-]*", gateway.output())[0]
        headers["Authorization"] = f"Bearer {token}"
    answer = httpx.get(f"{gateway.base}{path}", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in content
    if kind == "application/json":
        schema = {"allOf": [content[kind]["schema"]], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.json())
