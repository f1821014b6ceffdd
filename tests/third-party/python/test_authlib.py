"""Authlib: its Flask client for a website that signs people in, its requests session for everything else."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7591 import ClientMetadataClaims
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from authlib.oidc.registration import ClientMetadataClaims as OpenIDClientMetadataClaims
from flask import Flask
from joserfc.errors import InvalidClaimError
from joserfc.jwk import ECKey

SCOPE = "openid profile email read"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class Website:
    """A website that knows the issuer, its own client and nothing else."""

    def __init__(self, server, browser, client):
        self.app = Flask("website")
        self.app.secret_key = "of the website's own session"
        self.client = OAuth(self.app).register(
            "vestibule",
            client_id=client["client_id"],
            client_secret=client.get("client_secret"),
            server_metadata_url=get_well_known_url(server.issuer, external=True),
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
        )
        self.app.add_url_rule("/sign-in", view_func=self.sign_in)
        self.app.add_url_rule("/callback", view_func=self.callback)
        self.app.add_url_rule("/sign-out", view_func=self.sign_out)
        self.app.add_url_rule("/signed-out", view_func=self.signed_out)
        self.server, self.browser, self.visitor = server, browser, self.app.test_client()
        self.sent, self.checks, self.token = {"prompt": "consent"}, {}, None

    def sign_in(self):
        return self.client.authorize_redirect(self.server.redirect_uri, **self.sent)

    def callback(self):
        self.token = self.client.authorize_access_token(**self.checks)
        return "signed in"

    def sign_out(self):
        return self.client.logout_redirect(self.server.post_logout_redirect_uri, id_token_hint=self.token["id_token"])

    def signed_out(self):
        return self.client.validate_logout_response()

    def visit(self, path):
        """The visitor's browser goes to the website, from there to the server, and back."""
        back = urlsplit(self.browser.walk(self.visitor.get(path).location))
        self.app.testing = True  # errors of a view are raised here
        return self.visitor.get(f"{back.path}?{back.query}")


@pytest.fixture
def website(server, browser):
    return Website(server, browser, server.web)


@pytest.fixture
def session(server, metadata):
    return OAuth2Session(
        server.web["client_id"],
        server.web["client_secret"],
        scope=SCOPE,
        redirect_uri=server.redirect_uri,
        code_challenge_method="S256",
        token_endpoint=metadata["token_endpoint"],
    )


@pytest.fixture
def signed_in(session, metadata, browser):
    """A session with tokens, and what they were given for."""
    verifier = generate_token(48)
    address, _ = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
    session.given_for = {"authorization_response": browser.walk(address), "code_verifier": verifier}
    session.fetch_token(**session.given_for)
    return session


def test_the_metadata_are_in_order(metadata):
    OpenIDProviderMetadata(metadata).validate()
    AuthorizationServerMetadata(metadata).validate()


def test_a_website_signs_somebody_in_with_the_issuer_alone(website, server):
    website.visit("/sign-in")
    claims = website.token["userinfo"]  # of the ID token, verified with its nonce
    assert claims["sub"] == str(server.person["id"])
    assert claims["iss"] == server.issuer and claims["aud"] in (server.web["client_id"], [server.web["client_id"]])
    person = website.client.userinfo(token=website.token)
    assert (person["sub"], person["email"]) == (claims["sub"], "ada@example.com")


def test_an_id_token_of_a_public_client_is_verified_by_its_own_algorithm(server, browser):
    website = Website(server, browser, server.native)
    website.client.client_kwargs["token_endpoint_auth_method"] = "none"
    website.visit("/sign-in")
    assert website.token["userinfo"]["sub"] == str(server.person["id"])


def test_an_id_token_with_another_nonce_is_refused(website):
    website.visit("/sign-in")
    with pytest.raises(InvalidClaimError, match="nonce"):
        website.client.parse_id_token(website.token, nonce="of another request")


def test_an_id_token_of_another_issuer_is_refused(website, server):
    website.checks = {"claims_options": {"iss": {"values": [server.issuer_by_another_name]}}}
    with pytest.raises(InvalidClaimError, match="iss"):
        website.visit("/sign-in")


def test_a_person_who_refuses_is_told_of_as_access_denied(website):
    address = website.visitor.get("/sign-in").location
    back = urlsplit(website.browser.walk(address, refuse=True))
    website.app.testing = True
    with pytest.raises(OAuthError) as refusal:
        website.visitor.get(f"{back.path}?{back.query}")
    assert refusal.value.error == "access_denied"


def test_signing_out_ends_the_session_and_comes_back(website, server, is_taken):
    website.visit("/sign-in")
    # What a thief of the cookies has: it ends too, not just the browser's own memory.
    stolen = list(website.browser.cookies)
    answer = website.visit("/sign-out")
    assert answer.json["post_logout_redirect_uri"] == server.post_logout_redirect_uri
    assert not is_taken(website.token["access_token"])
    # Nobody is signed in any more, so without a page there is no answer but this.
    website.sent = {"prompt": "none"}
    for cookies in ([], stolen):
        for cookie in cookies:
            website.browser.cookies.set_cookie(cookie)
        with pytest.raises(OAuthError) as refusal:
            website.visit("/sign-in")
        assert refusal.value.error == "login_required"


def test_a_replayed_code_is_refused_and_ends_what_it_gave(signed_in, is_taken):
    access_token = signed_in.token["access_token"]
    assert is_taken(access_token)
    with pytest.raises(OAuthError) as refusal:
        signed_in.fetch_token(**signed_in.given_for)
    assert refusal.value.error == "invalid_grant"
    assert not is_taken(access_token)


def test_a_refresh_gives_new_tokens_and_a_used_one_ends_them(signed_in, is_taken):
    first = dict(signed_in.token)
    second = dict(signed_in.refresh_token())
    assert second["access_token"] != first["access_token"] and is_taken(second["access_token"])
    assert second["refresh_token"] != first["refresh_token"]
    with pytest.raises(OAuthError) as refusal:
        signed_in.refresh_token(refresh_token=first["refresh_token"])
    assert refusal.value.error == "invalid_grant"
    assert not is_taken(second["access_token"])


def test_a_token_is_active_until_it_is_revoked(signed_in, metadata, server):
    access_token = signed_in.token["access_token"]
    active = signed_in.introspect_token(metadata["introspection_endpoint"], access_token).json()
    assert active["active"] and active["username"] == "ada" and active["client_id"] == server.web["client_id"]
    assert signed_in.revoke_token(metadata["revocation_endpoint"], access_token).status_code == 200
    assert signed_in.introspect_token(metadata["introspection_endpoint"], access_token).json() == {"active": False}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_credentials_give_a_token_of_the_application(server, metadata, method):
    session = OAuth2Session(
        server.web["client_id"], server.web["client_secret"], scope="read", token_endpoint_auth_method=method
    )
    assert session.fetch_token(metadata["token_endpoint"])["scope"] == "read"


def test_an_assertion_by_the_registered_key_and_no_other_proves_a_client(server, metadata):
    def fetch(key):
        session = OAuth2Session(
            server.signed["client_id"], key, scope="read", token_endpoint_auth_method="private_key_jwt"
        )
        session.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"], alg="ES256"))
        return session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")

    assert fetch(ECKey.import_key(server.private_key))["access_token"]
    other = ECKey.generate_key("P-256", {"kid": server.private_key["kid"]})
    with pytest.raises(OAuthError) as refusal:
        fetch(other)
    assert refusal.value.error == "invalid_client"


def test_a_device_waits_until_somebody_has_typed_its_code(server, session, metadata, browser):
    by = session.client_auth("client_secret_basic")
    begun = session.post(
        metadata["device_authorization_endpoint"], data={"scope": "openid"}, auth=by, withhold_token=True
    ).json()

    def poll():
        return session.fetch_token(grant_type=DEVICE_CODE, device_code=begun["device_code"])

    with pytest.raises(OAuthError) as refusal:
        poll()
    assert refusal.value.error == "authorization_pending"
    browser.walk(begun["verification_uri_complete"])
    time.sleep(begun["interval"])
    assert poll()["access_token"]


def test_a_token_is_exchanged_for_a_narrower_one(signed_in, metadata):
    wide = signed_in.token["access_token"]
    subject = {"subject_token": wide, "subject_token_type": ACCESS_TOKEN}
    narrow = signed_in.fetch_token(grant_type=TOKEN_EXCHANGE, scope="read", **subject)
    assert narrow["scope"] == "read" and narrow["issued_token_type"] == ACCESS_TOKEN
    about = signed_in.introspect_token(metadata["introspection_endpoint"], narrow["access_token"]).json()
    assert about["active"] and about["username"] == "ada"
    subject["subject_token"] = narrow["access_token"]
    with pytest.raises(OAuthError) as refusal:
        signed_in.fetch_token(grant_type=TOKEN_EXCHANGE, scope="read write", **subject)
    assert refusal.value.error == "invalid_scope"


def test_a_pushed_request_is_taken_once(session, metadata, browser):
    verifier = generate_token(48)
    address, _ = session.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
    request = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}
    by = session.client_auth("client_secret_basic")
    pushed = session.post(
        metadata["pushed_authorization_request_endpoint"], data=request, auth=by, withhold_token=True
    )
    assert pushed.status_code == 201
    short, _ = OAuth2Session(session.client_id).create_authorization_url(
        metadata["authorization_endpoint"], request_uri=pushed.json()["request_uri"]
    )
    callback = browser.walk(short)
    assert session.fetch_token(authorization_response=callback, code_verifier=verifier, state=request["state"])
    with pytest.raises(RuntimeError, match="400"):
        browser.walk(short)


def test_a_client_registers_itself_and_signs_somebody_in(server, metadata, browser):
    wanted = {
        "client_name": "Registered by Authlib",
        "redirect_uris": [server.redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": SCOPE,
    }
    answer = OAuth2Session().post(metadata["registration_endpoint"], json=wanted, withhold_token=True)
    assert answer.status_code == 201
    client = answer.json()
    for claims in (ClientMetadataClaims, OpenIDClientMetadataClaims):
        claims(client, {}, claims.get_claims_options(metadata)).validate()
    website = Website(server, browser, client)
    website.visit("/sign-in")
    assert website.token["userinfo"]["sub"] == str(server.person["id"])

    # RFC 7592: it looks after its registration, and ends it.
    own = OAuth2Session(token={"access_token": client["registration_access_token"], "token_type": "Bearer"})
    assert own.get(client["registration_client_uri"]).json()["client_name"] == "Registered by Authlib"
    assert own.delete(client["registration_client_uri"]).status_code == 204
    assert own.get(client["registration_client_uri"]).status_code == 401
