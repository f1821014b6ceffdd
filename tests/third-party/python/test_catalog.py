"""Every example of the catalog against python-social-auth itself: the same answers in, the same person out.

The real backend class is handed the example's answers in place of its calls. What it makes of them (identifier, username,
address, names) must be what the example says that we make of them; where that differs on purpose, OTHERWISE says why.
"""

import importlib
import json
import pkgutil
import re
import tomllib
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import social_core.backends

CATALOG = Path(__file__).parents[3] / "catalog"
if not CATALOG.is_dir():  # the scripts may run from elsewhere
    CATALOG = Path.cwd() / "catalog"

# Backend and number of the example: why we differ.
OTHERWISE = json.loads((Path(__file__).parent / "catalog-otherwise.json").read_text())


def classes():
    """Every backend class by its name; of several, the first that is not abstract."""
    found = {}
    for module in pkgutil.iter_modules(social_core.backends.__path__):
        try:
            loaded = importlib.import_module(f"social_core.backends.{module.name}")
        except ImportError:
            continue
        for value in vars(loaded).values():
            name = getattr(value, "name", None)
            if isinstance(value, type) and isinstance(name, str) and value.__module__ == loaded.__name__:
                found.setdefault(name, []).append(value)
    return found


CLASSES = classes()


def examples():
    for path in sorted(CATALOG.glob("*.toml")):
        entry = tomllib.loads(path.read_text())
        if entry["name"] in CLASSES and entry["protocol"] in ("oauth2", "oidc", "oauth1"):
            for number, example in enumerate(entry.get("example", [])):
                yield pytest.param(entry, example, id=f"{entry['name']}-{number}")


class Answer:
    """What a call answers."""

    status_code = 200
    url = ""

    def __init__(self, value):
        self.value = value
        header = value.get("answer_header") if isinstance(value, dict) else None
        self.headers = {"x-ausername": header} if header else {}

    def json(self):
        return self.value

    @property
    def text(self):
        return self.value if isinstance(self.value, str) else json.dumps(self.value)

    @property
    def content(self):
        return self.text.encode()

    def raise_for_status(self):
        pass


def beginning(template):
    """The part of an address that is the same for everybody, without its scheme and its query."""
    fixed = re.split(r"[{?]", template.split("://", 1)[-1])[0].rstrip("/")
    return fixed if "/" in fixed else ""


def address(profile):
    return (profile.get("email") or "").strip(" ") or None


def person(klass, entry, example):
    """Identifier, username, address, first and last name as python-social-auth has them."""
    further = {name: json.loads(text) for name, text in example.get("answers", {}).items()}
    root = json.loads(example.get("answer", "{}"))
    settings = {name.upper(): value for name, value in example.get("settings", {}).items()}
    token = dict(further.get("token_answer", {}))
    token.setdefault("access_token", "12.token")
    answers = [(beginning(request["url"]), further[request["name"]]) for request in entry.get("profile", []) if request["name"] in further]
    answers.sort(key=lambda pair: -len(pair[0]))
    strategy = MagicMock()
    strategy.setting = lambda name, default=None, backend=None, **_: settings.get(name, default)
    strategy.absolute_uri = lambda path=None: "http://localhost" + (path or "")
    strategy.request_data = lambda *args, **kwargs: further.get("callback", {})
    backend = klass(strategy, redirect_uri="http://localhost/complete/x")
    backend.setting = lambda name, default=None: settings.get(name, default)

    def request(url, method="GET", *args, **kwargs):
        if isinstance(root, dict) and "answer_header" in root and "application-properties" in url:
            return Answer(root)
        return Answer(next((value for part, value in answers if part and part in url), root))

    backend.request = request
    backend.get_json = lambda url, *args, **kwargs: request(url).json()
    claims = further.get("id_token") or root
    try:
        data = backend.user_data(token["access_token"], response=token) if entry["protocol"] != "oidc" else dict(claims)
    except Exception:  # it wants more than answers: keys, a discovery document
        data = dict(claims)
    if data is None or not hasattr(data, "get"):
        data = dict(claims)
    details = backend.get_user_details(data)
    first, last = details.get("first_name"), details.get("last_name")
    full = details.get("fullname")
    if not first and not last and full:  # the step `social_names` of the pipeline
        first, _, last = full.strip().partition(" ")
    clean = lambda text: (str(text).strip() or None) if text else None
    return (str(backend.get_user_id(details, data)), clean(details.get("username")), address(details), clean(first), clean(last))


@pytest.mark.parametrize("entry, example", examples())
def test_the_person_is_python_social_auths(entry, example, request):
    name = request.node.callspec.id
    profile = example["profile"]
    ours = (profile["uid"], profile.get("username"), address(profile), profile.get("first_name"), profile.get("last_name"))
    theirs = []
    for klass in CLASSES[entry["name"]]:
        try:
            theirs.append(person(klass, entry, example))
        except Exception as error:  # it may fall over where we do not: then that must be known
            theirs.append(f"{type(error).__name__}: {error}")
    if name in OTHERWISE:
        assert ours not in theirs, f"{OTHERWISE[name]}: not any more"
    else:
        assert ours in theirs


def test_there_are_as_many_as_there_should_be():
    assert len(list(examples())) > 250
