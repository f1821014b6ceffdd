"""requests-oauthlib, and of oauthlib below it what requests-oauthlib has no way of its own for."""

import time

import pytest
import requests
from oauthlib.oauth2 import BackendApplicationClient, DeviceClient, OAuth2Error
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError, MismatchingStateError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

SCOPE = ["openid", "profile", "email", "read"]


@pytest.fixture
def session(server):
    return OAuth2Session(server.web["client_id"], redirect_uri=server.redirect_uri, scope=SCOPE, pkce="S256")


@pytest.fixture
def secret(server):
    return server.web["client_secret"]


@pytest.fixture
def signed_in(session, secret, metadata, browser):
    """A session with tokens, and the address with the code that they were given for."""
    address, _ = session.authorization_url(metadata["authorization_endpoint"], prompt="consent")
    session.callback = browser.walk(address)
    session.fetch_token(metadata["token_endpoint"], authorization_response=session.callback, client_secret=secret)
    return session


def test_a_code_with_pkce_gives_tokens_for_userinfo(signed_in, server, metadata):
    assert set(signed_in.token["scope"]) == set(SCOPE)
    assert signed_in.token["id_token"].count(".") == 2
    person = signed_in.get(metadata["userinfo_endpoint"]).json()
    assert person["sub"] == str(server.person["id"])
    assert (person["email"], person["name"]) == ("ada@example.com", "Ada Lovelace")


def test_the_state_comes_back_and_another_is_refused(session, secret, metadata, browser):
    address, _ = session.authorization_url(metadata["authorization_endpoint"])
    callback = browser.walk(address)
    other = OAuth2Session(session.client_id, redirect_uri=session.redirect_uri, state="of another request")
    with pytest.raises(MismatchingStateError):
        other.fetch_token(metadata["token_endpoint"], authorization_response=callback, client_secret=secret)


def test_a_code_without_its_verifier_is_refused(session, secret, metadata, browser):
    address, state = session.authorization_url(metadata["authorization_endpoint"])
    callback = browser.walk(address)
    other = OAuth2Session(session.client_id, redirect_uri=session.redirect_uri, state=state)
    with pytest.raises(InvalidGrantError):
        other.fetch_token(metadata["token_endpoint"], authorization_response=callback, client_secret=secret)


def test_a_person_who_refuses_is_told_of_as_access_denied(session, secret, metadata, browser):
    address, _ = session.authorization_url(metadata["authorization_endpoint"], prompt="consent")
    callback = browser.walk(address, refuse=True)
    with pytest.raises(OAuth2Error) as refusal:
        session.fetch_token(metadata["token_endpoint"], authorization_response=callback, client_secret=secret)
    assert refusal.value.error == "access_denied"


def test_a_replayed_code_is_refused_and_ends_what_it_gave(signed_in, secret, metadata, is_taken):
    access_token = signed_in.token["access_token"]
    assert is_taken(access_token)
    with pytest.raises(InvalidGrantError):
        signed_in.fetch_token(
            metadata["token_endpoint"], authorization_response=signed_in.callback, client_secret=secret
        )
    assert not is_taken(access_token)


def test_a_refresh_gives_new_tokens_and_a_used_one_ends_them(signed_in, secret, metadata, is_taken):
    first = dict(signed_in.token)
    by = HTTPBasicAuth(signed_in.client_id, secret)
    second = signed_in.refresh_token(metadata["token_endpoint"], auth=by)
    assert second["access_token"] != first["access_token"] and is_taken(second["access_token"])
    assert second["refresh_token"] != first["refresh_token"]
    with pytest.raises(InvalidGrantError):
        signed_in.refresh_token(metadata["token_endpoint"], refresh_token=first["refresh_token"], auth=by)
    assert not is_taken(second["access_token"])


def test_an_expired_access_token_is_refreshed_on_the_way(signed_in, server, secret, metadata):
    kept = []
    session = OAuth2Session(
        signed_in.client_id,
        token={**signed_in.token, "expires_at": time.time() - 1},
        auto_refresh_url=metadata["token_endpoint"],
        auto_refresh_kwargs={"client_id": signed_in.client_id, "client_secret": secret},
        token_updater=kept.append,
    )
    assert session.get(metadata["userinfo_endpoint"]).json()["sub"] == str(server.person["id"])
    assert kept[0]["access_token"] != signed_in.token["access_token"]


def test_client_credentials_give_a_token_of_the_application(server, secret, metadata):
    client = BackendApplicationClient(server.web["client_id"], scope=["read"])
    session = OAuth2Session(client=client)
    token = session.fetch_token(metadata["token_endpoint"], client_secret=secret)
    assert token["scope"] == ["read"] and "refresh_token" not in token
    # It speaks for no person.
    assert session.get(metadata["userinfo_endpoint"]).status_code in (401, 403)


def test_a_wrong_client_secret_is_refused(server, metadata):
    session = OAuth2Session(client=BackendApplicationClient(server.web["client_id"], scope=["read"]))
    with pytest.raises(OAuth2Error) as refusal:
        session.fetch_token(metadata["token_endpoint"], client_secret="not the secret")
    assert refusal.value.error == "invalid_client"


def test_a_device_waits_until_somebody_has_typed_its_code(server, secret, metadata, browser):
    client = DeviceClient(server.web["client_id"], scope=["openid"], client_secret=secret)

    def post(endpoint, body):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return requests.post(metadata[endpoint], data=body, headers=form, timeout=30)

    def poll():
        body = client.prepare_request_body(begun["device_code"], include_client_id=True, client_secret=secret)
        return client.parse_request_body_response(post("token_endpoint", body).text)

    # oauthlib makes an address with a query of it; the parameters belong into the body (RFC 8628 section 3.1).
    _, _, parameters = client.prepare_request_uri(metadata["device_authorization_endpoint"]).partition("?")
    begun = post("device_authorization_endpoint", parameters).json()

    with pytest.raises(OAuth2Error) as refusal:
        poll()
    assert refusal.value.error == "authorization_pending"
    browser.walk(begun["verification_uri_complete"])
    time.sleep(begun["interval"])
    assert poll()["access_token"]


def test_a_revoked_token_is_refused(signed_in, secret, metadata, is_taken):
    access_token = signed_in.token["access_token"]
    uri, headers, body = signed_in._client.prepare_token_revocation_request(
        metadata["revocation_endpoint"], access_token, "access_token"
    )
    by = HTTPBasicAuth(signed_in.client_id, secret)
    answer = requests.post(uri, headers=headers, data=body, auth=by, timeout=30)
    assert answer.status_code == 200
    assert not is_taken(access_token)
