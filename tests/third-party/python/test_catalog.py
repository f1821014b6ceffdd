"""Every example of the catalog against python-social-auth itself: the same answers in, the same person out.

The real backend class finishes a sign-in with the example's answers in place of its calls, and what it makes of them
(identifier, username, address, names) must be what the example says that we make of them. So whoever comes from
python-social-auth is the same person here. Where we differ on purpose, `catalog-otherwise.json` says why, and it is
proved that we do. What python-social-auth verifies (states, ID tokens) is not looked at: we verify on our own.
"""

import importlib
import json
import pkgutil
import re
import tomllib
from pathlib import Path
from unittest.mock import MagicMock, patch
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import pytest
import social_core.backends
from openid.consumer.consumer import SuccessResponse
from openid.consumer.discover import OpenIDServiceEndpoint
from openid.message import Message
from requests import Request, Response
from social_core.backends.oauth import BaseOAuth1, BaseOAuth2
from social_core.backends.open_id import OpenIdAuth
from social_core.utils import normalize_user_names

HERE = Path(__file__).resolve().parent
CATALOG = HERE.parents[2] / "catalog"

# The example (NAME-NUMBER, as the tests are called): why we differ.
OTHERWISE = json.loads((HERE / "catalog-otherwise.json").read_text())

# `form` is our own sign-in, and an example of SAML is no assertion.
PROTOCOLS = ("oauth2", "oidc", "oauth1", "openid2", "signed")

# The modules that need more than social-auth-core brings: python3-saml, google-auth, ShopifyAPI.
NEED_MORE = ("saml", "google_onetap", "shopify")

# The methods that verify a token by keys, and give its claims.
VERIFYING = ("decode_id_token", "decode_and_validate_id_token", "validate_and_return_id_token")


def classes():
    """Every backend class by its name; a few names have two."""
    found = {}
    for module in pkgutil.iter_modules(social_core.backends.__path__):
        if module.name in NEED_MORE:
            continue
        loaded = importlib.import_module(f"social_core.backends.{module.name}")
        for value in vars(loaded).values():
            name = getattr(value, "name", None)
            if isinstance(value, type) and isinstance(name, str) and value.__module__ == loaded.__name__:
                found.setdefault(name, []).append(value)
    return found


CLASSES = classes()


def examples():
    found = []
    for path in sorted(CATALOG.glob("*.toml")):
        entry = tomllib.loads(path.read_text())
        if entry["name"] in CLASSES and entry["protocol"] in PROTOCOLS:
            for number, example in enumerate(entry.get("example", [])):
                found.append(pytest.param(entry, example, id=f"{entry['name']}-{number}"))
    return found


EXAMPLES = examples()


def xml(name, value):
    """The element of which our reader makes this value: a member `@name` is an attribute, a list is several."""
    if isinstance(value, list):
        return "".join(xml(name, item) for item in value)
    if not isinstance(value, dict):
        return f"<{name}>{escape(str(value))}</{name}>"
    attributes = "".join(f" {key[1:]}={quoteattr(item)}" for key, item in value.items() if key.startswith("@"))
    elements = "".join(xml(key, item) for key, item in value.items() if not key.startswith("@"))
    return f"<{name}{attributes}>{elements}</{name}>"


def answer(value, request):
    """What the call that the entry describes answers, on the wire."""
    answered = Response()
    answered.status_code = 200
    answered.encoding = "utf-8"
    header = request.get("answer_header")
    if header:
        answered.headers[header] = value
    match request.get("format", "json"):
        case "form":
            text = urlencode(value)
        case "xml":
            text = "".join(xml(name, item) for name, item in value.items())
        case _:
            text = f"callback( {json.dumps(value)} );\n" if request.get("call") else json.dumps(value)
    answered._content = text.encode()
    return answered


def pattern(template, settings):
    """Finds the calls that a request of ours stands for, whatever their query is."""
    path = re.sub(r"\{(\w+)\}", lambda found: str(settings.get(found[1], found[0])), template).split("?")[0]
    return re.compile("[^/]*".join(re.escape(part) for part in re.split(r"\{[^}]*\}", path)) + "$")


class Provider:
    """Answers a backend's calls, each as the example has it."""

    # Whatever a discovery document or a key set must have; what they verify is not looked at.
    WELL_KNOWN = {
        "issuer": "https://provider.example",
        "authorization_endpoint": "https://provider.example/authorize",
        "token_endpoint": "https://provider.example/token",
        "userinfo_endpoint": "https://provider.example/userinfo",
        "jwks_uri": "https://provider.example/jwks",
        "keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}],
    }
    # What an operator must set, by its kind, where the example says nothing.
    SETTINGS = {"url": "https://provider.example", "host": "provider.example"}
    # Answered as `callback( {…} );`.
    IN_A_CALL = "https://graph.qq.com/oauth2.0/me"

    def __init__(self, entry, example):
        settings = {"key": "client", "secret": "secret", "oidc_endpoint": "https://provider.example"}
        for name, setting in entry.get("settings", {}).items():
            if not setting.get("optional"):
                settings[name] = setting.get("default", self.SETTINGS.get(setting.get("kind"), "word"))
        settings |= example.get("settings", {})
        self.settings = {name.upper(): value for name, value in settings.items()}
        self.protocol = entry["protocol"]
        self.root = json.loads(example.get("answer", "{}"))
        self.further = {name: json.loads(text) for name, text in example.get("answers", {}).items()}
        self.userinfo = entry.get("userinfo", {})
        self.attributes = entry.get("openid2", {}).get("attributes", {})
        self.requests = [(pattern(request["url"], settings), request) for request in entry.get("profile", [])]
        self.nonce = None

    def setting(self, name, default=None, **_):
        return self.settings.get(name, default)

    def claims(self, *_, **__):
        """What a verified token says; where the call for it was signed, it has that call's nonce."""
        claims = self.further.get("id_token") or self.root
        return claims | ({"nonce": self.nonce} if self.nonce else {})

    def request_data(self, *_, **__):
        """What the browser came back with; an object is JSON in a parameter."""
        callback = self.further.get("callback", {})
        return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in callback.items()}

    def request(self, url, *, method="GET", params=None, auth=None, **_):
        sent = Request(method, url, params=params, auth=auth).prepare()
        signed = re.search(r'oauth_nonce="(.*?)"', str(sent.headers.get("Authorization")))
        self.nonce = signed and signed[1]
        url = url.split("?")[0]
        answered = answer(self.root, self.userinfo)
        if "/.well-known/" in url:
            answered = answer(self.WELL_KNOWN, {})
        for matches, request in self.requests:
            if matches.search(url):
                answered = answer(self.further.get(request["name"]), request | {"call": url == self.IN_A_CALL})
        answered.request = sent
        return answered

    def token(self):
        """The token endpoint's answer."""
        token = self.further.get("token_answer", {})
        if self.protocol == "oauth1":
            return {"oauth_token": "TOKEN", "oauth_token_secret": "SECRET"} | token
        if self.protocol == "oidc":
            token = {"id_token": "TOKEN"} | token
        return {"access_token": "12.token", "token_type": "bearer"} | token

    def assertion(self):
        """The positive assertion of OpenID 2.0 of which our reader makes the root answer."""
        fields = {"mode": "id_res", "ns.sreg": "http://openid.net/extensions/sreg/1.1"}
        fields |= {"ns.ax": "http://openid.net/srv/ax/1.0", "ax.mode": "fetch_response"}
        fields |= {f"sreg.{name}": value for name, value in self.root["registration"].items()}
        for name, value in self.root["attributes"].items():
            fields |= {f"ax.type.{name}": self.attributes[name], f"ax.value.{name}": value}
        message = Message.fromOpenIDArgs({"ns": "http://specs.openid.net/auth/2.0"} | fields)
        endpoint = OpenIDServiceEndpoint()
        endpoint.claimed_id = self.root["identity"]
        return SuccessResponse(endpoint, message, [f"openid.{name}" for name in fields])


def sign_in(backend, provider):
    """What the class reads the person from, at the end of a sign-in."""
    if isinstance(backend, OpenIdAuth):
        return provider.assertion()
    if isinstance(backend, BaseOAuth1):
        return backend.do_auth(provider.token())
    if isinstance(backend, BaseOAuth2):
        token = provider.token()
        signed_in = MagicMock(is_authenticated=True)  # some classes only connect accounts
        return backend.do_auth(backend.get_access_token(token), response=token, user=signed_in)
    return provider.root


def person(klass, entry, example):
    """Identifier, username, address, first and last name as python-social-auth has them."""
    provider = Provider(entry, example)
    strategy = MagicMock()
    strategy.setting = provider.setting
    strategy.request_data = provider.request_data
    strategy.absolute_uri = lambda path=None: "http://localhost" + (path or "")
    strategy.authenticate = lambda **kwargs: backend.authenticate(strategy=strategy, **kwargs)
    strategy.storage.user.get_social_auth.return_value = None
    backend = klass(strategy, redirect_uri="/complete/x")
    backend.request = provider.request
    backend.run_authentication = lambda *_, response, **__: response  # here the pipeline begins
    for name in VERIFYING:
        if hasattr(backend, name):
            setattr(backend, name, provider.claims)
    if hasattr(backend, "id_token"):
        backend.id_token = provider.claims()
    with patch("jwt.decode", provider.claims), patch("jwt.get_unverified_header", lambda _: {}):
        response = sign_in(backend, provider)
        details = backend.get_user_details(response)
        uid = backend.get_user_id(details, response)
    names = normalize_user_names(details.get("fullname"), details.get("first_name"), details.get("last_name"))
    texts = (details.get("username"), details.get("email"), *names[1:])
    return (str(uid), *(str(text or "").strip() or None for text in texts))


@pytest.mark.parametrize("entry, example", EXAMPLES)
def test_the_person_is_python_social_auths(entry, example, request):
    profile = example["profile"]
    ours = tuple(profile.get(name) for name in ("uid", "username", "email", "first_name", "last_name"))
    theirs = []
    for klass in CLASSES[entry["name"]]:
        try:
            theirs.append(person(klass, entry, example))
        except Exception as error:  # where it falls over and we do not, that must be known too
            theirs.append(f"{type(error).__name__}: {error}")
    if reason := OTHERWISE.get(request.node.callspec.id):
        assert ours not in theirs, f"not any more: {reason}"
    else:
        assert ours in theirs


def test_only_examples_are_otherwise():
    assert set(OTHERWISE) <= {parameters.id for parameters in EXAMPLES}


def test_there_are_as_many_as_there_should_be():
    assert len(EXAMPLES) > 400
