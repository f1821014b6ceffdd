"""The OpenAPI document, by openapi-spec-validator: whether it is OpenAPI 3.1 at all. What it says is held against the
server's answers by `tests/it/openapi.rs`."""

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

ADDRESSES = ("authorizationUrl", "tokenUrl", "refreshUrl")


def test_the_document_is_openapi(server):
    root = server.issuer.removesuffix("/auth")
    document = requests.get(f"{root}/openapi.json", timeout=30).json()

    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []

    assert document["openapi"].startswith("3.1.")
    assert [there["url"] for there in document["servers"]] == [root]
    flows = document["components"]["securitySchemes"]["oauth2"]["flows"].values()
    addresses = {flow[name] for flow in flows for name in ADDRESSES if name in flow}
    assert addresses == {f"{server.issuer}/authorize", f"{server.issuer}/token"}
