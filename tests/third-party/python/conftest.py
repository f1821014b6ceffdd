"""What the tests of the client libraries have: the server, a person's browser, and what the two must agree on."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import Browser  # noqa: E402


@pytest.fixture(scope="session")
def server():
    return SimpleNamespace(**json.loads(Path(os.environ["VESTIBULE_UNDER_TEST"]).read_text()))


@pytest.fixture(scope="session")
def metadata(server):
    """For a library that does not discover by itself."""
    return requests.get(f"{server.issuer}/.well-known/openid-configuration", timeout=30).json()


@pytest.fixture
def browser(server):
    return Browser(server.person["username"], server.password)


@pytest.fixture(scope="session")
def is_taken(metadata):
    """Whether the server takes an access token."""

    def ask(access_token):
        header = {"Authorization": f"Bearer {access_token}"}
        answer = requests.get(metadata["userinfo_endpoint"], headers=header, timeout=30)
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200

    return ask
