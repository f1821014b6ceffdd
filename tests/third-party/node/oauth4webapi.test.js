// oauth4webapi: each message of the protocol by itself, the request first and what is made of its answer then.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { isTaken, issuer, privateKey, server, subject, walk } from './server.js';

const SCOPE = 'openid profile email read';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const insecure = { [oauth.allowInsecureRequests]: true };

const web = { client_id: server.web.client_id };
const native = { client_id: server.native.client_id, id_token_signed_response_alg: server.native.signing_algorithm };
const signed = { client_id: server.signed.client_id, id_token_signed_response_alg: server.signed.signing_algorithm };
const bySecret = oauth.ClientSecretBasic(server.web.client_secret);

let as;

before(async () => {
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
});

/** A request for a code, and what its answer is checked against. */
async function request(client, extra = {}) {
  const [verifier, nonce, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomNonce(), oauth.generateRandomState()];
  const parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: server.redirect_uri,
    response_type: 'code',
    scope: SCOPE,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
    ...extra,
  });
  return { verifier, nonce, state, parameters };
}

const addressOf = (parameters) => `${as.authorization_endpoint}?${parameters}`;

/** Trades what came back for tokens. */
async function redeem(client, by, callback, asked, options = {}) {
  const checked = oauth.validateAuthResponse(as, client, callback, asked.state);
  const answer = await oauth.authorizationCodeGrantRequest(
    as, client, by, checked, server.redirect_uri, asked.verifier, { ...insecure, ...options },
  );
  const expected = { expectedNonce: asked.nonce, requireIdToken: true };
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, expected);
  await oauth.validateApplicationLevelSignature(as, answer, insecure);
  return tokens;
}

async function signIn(client, by, options) {
  const asked = await request(client, { prompt: 'consent' });
  const callback = await walk(addressOf(asked.parameters));
  return { asked, callback, tokens: await withNonce(() => redeem(client, by, callback, asked, options)) };
}

async function refresh(client, by, refreshToken, options = {}) {
  const answer = await oauth.refreshTokenGrantRequest(as, client, by, refreshToken, { ...insecure, ...options });
  return oauth.processRefreshTokenResponse(as, client, answer);
}

/** Once more where the first attempt was only told the server's nonce (RFC 9449 section 8). */
async function withNonce(attempt) {
  try {
    return await attempt();
  } catch (thrown) {
    if (!oauth.isDPoPNonceError(thrown)) throw thrown;
    return attempt();
  }
}

async function introspect(token) {
  const answer = await oauth.introspectionRequest(as, web, bySecret, token, insecure);
  return oauth.processIntrospectionResponse(as, web, answer);
}

const refusedAs = (error) => (thrown) => thrown.error === error;

test('an issuer that is not the one asked for is refused', async () => {
  const other = new URL(server.issuer_by_another_name);
  const answer = await oauth.discoveryRequest(other, insecure);
  await assert.rejects(oauth.processDiscoveryResponse(other, answer), { code: oauth.JSON_ATTRIBUTE_COMPARISON });
});

test('metadata are found by the rule of RFC 8414 too', async () => {
  const answer = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' });
  assert.equal((await oauth.processDiscoveryResponse(issuer, answer)).token_endpoint, as.token_endpoint);
});

test('a code with PKCE gives a verified ID token and userinfo', async () => {
  const { asked, tokens } = await signIn(web, bySecret);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  assert.equal(claims.sub, subject);
  assert.equal(claims.nonce, asked.nonce);
  const answer = await oauth.userInfoRequest(as, web, tokens.access_token, insecure);
  const person = await oauth.processUserInfoResponse(as, web, claims.sub, answer);
  assert.equal(person.email, 'ada@example.com');
});

test('a public client signs somebody in without a secret', async () => {
  const { tokens } = await signIn(native, oauth.None());
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject);
});

test('an ID token with another nonce is refused', async () => {
  const asked = await request(web);
  const callback = await walk(addressOf(asked.parameters));
  asked.nonce = oauth.generateRandomNonce();
  const isOfNonce = (thrown) => thrown.code === oauth.JWT_CLAIM_COMPARISON && thrown.cause.claim === 'nonce';
  await assert.rejects(redeem(web, bySecret, callback, asked), isOfNonce);
});

test('an answer that names another issuer, or none, is refused', async () => {
  const asked = await request(web);
  const callback = await walk(addressOf(asked.parameters));
  assert.ok(oauth.validateAuthResponse(as, web, callback, asked.state));
  callback.searchParams.set('iss', server.issuer_by_another_name);
  assert.throws(() => oauth.validateAuthResponse(as, web, callback, asked.state), /"iss"/);
  callback.searchParams.delete('iss');
  assert.throws(() => oauth.validateAuthResponse(as, web, callback, asked.state), /"iss"/);
});

test('a code with another verifier is refused', async () => {
  const asked = await request(web);
  const callback = await walk(addressOf(asked.parameters));
  asked.verifier = oauth.generateRandomCodeVerifier();
  await assert.rejects(redeem(web, bySecret, callback, asked), refusedAs('invalid_grant'));
});

test('a code is of no use to another client', async () => {
  const asked = await request(web);
  const callback = await walk(addressOf(asked.parameters));
  await assert.rejects(redeem(native, oauth.None(), callback, asked), refusedAs('invalid_grant'));
});

test('a replayed code is refused and ends what it gave', async () => {
  const { asked, callback, tokens } = await signIn(web, bySecret);
  assert.ok(await isTaken(tokens.access_token));
  await assert.rejects(redeem(web, bySecret, callback, asked), refusedAs('invalid_grant'));
  assert.ok(!(await isTaken(tokens.access_token)));
  await assert.rejects(refresh(web, bySecret, tokens.refresh_token), refusedAs('invalid_grant'));
});

test('a refresh gives new tokens and a used one ends them', async () => {
  const { tokens: first } = await signIn(web, bySecret);
  const second = await refresh(web, bySecret, first.refresh_token);
  assert.notEqual(second.access_token, first.access_token);
  assert.ok(await isTaken(second.access_token));
  await assert.rejects(refresh(web, bySecret, first.refresh_token), refusedAs('invalid_grant'));
  assert.ok(!(await isTaken(second.access_token)));
  await assert.rejects(refresh(web, bySecret, second.refresh_token), refusedAs('invalid_grant'));
});

test('each way to prove a client gives it a token of its own', async () => {
  const ways = [
    [web, oauth.ClientSecretBasic(server.web.client_secret)],
    [web, oauth.ClientSecretPost(server.web.client_secret)],
    [signed, oauth.PrivateKeyJwt(await privateKey())],
  ];
  for (const [client, by] of ways) {
    const answer = await oauth.clientCredentialsGrantRequest(as, client, by, { scope: 'read' }, insecure);
    assert.equal((await oauth.processClientCredentialsResponse(as, client, answer)).scope, 'read');
  }
  // Who has registered a key has no other way.
  const answer = await oauth.clientCredentialsGrantRequest(as, signed, ways[1][1], { scope: 'read' }, insecure);
  await assert.rejects(oauth.processClientCredentialsResponse(as, signed, answer), refusedAs('invalid_client'));
});

test('an API verifies an access token by itself', async () => {
  const { tokens } = await signIn(signed, oauth.PrivateKeyJwt(await privateKey()));
  const called = (token) => new Request(issuer, { headers: { authorization: `Bearer ${token}` } });
  const claims = await oauth.validateJwtAccessToken(as, called(tokens.access_token), issuer.origin, insecure);
  assert.equal(claims.sub, subject);
  assert.equal(claims.client_id, signed.client_id);
  assert.equal(claims.scope.split(' ').sort().join(' '), SCOPE.split(' ').sort().join(' '));
  // An ID token is no access token, and this one is for nobody else.
  await assert.rejects(oauth.validateJwtAccessToken(as, called(tokens.id_token), issuer.origin, insecure), /"typ"/);
  const elsewhere = oauth.validateJwtAccessToken(as, called(tokens.access_token), 'https://other.example', insecure);
  await assert.rejects(elsewhere, /"aud"/);
});

test('a device waits until somebody has typed its code', async () => {
  const begun = await oauth.processDeviceAuthorizationResponse(
    as, native, await oauth.deviceAuthorizationRequest(as, native, oauth.None(), { scope: SCOPE }, insecure),
  );
  const poll = async () => {
    const answer = await oauth.deviceCodeGrantRequest(as, native, oauth.None(), begun.device_code, insecure);
    return oauth.processDeviceCodeResponse(as, native, answer);
  };
  await assert.rejects(poll(), refusedAs('authorization_pending'));
  await assert.rejects(poll(), refusedAs('slow_down'));
  await walk(begun.verification_uri_complete);
  // RFC 8628 section 3.5: who was told to slow down waits five seconds longer.
  await new Promise((resolve) => setTimeout(resolve, (begun.interval + 5) * 1000));
  const tokens = await poll();
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject);
  await assert.rejects(poll(), refusedAs('invalid_grant'));
});

test('a pushed request is taken once', async () => {
  const asked = await request(web);
  const answer = await oauth.pushedAuthorizationRequest(as, web, bySecret, asked.parameters, insecure);
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, web, answer);
  const address = addressOf(new URLSearchParams({ client_id: web.client_id, request_uri }));
  assert.ok(await redeem(web, bySecret, await walk(address), asked));
  await assert.rejects(walk(address), /: 400/);
});

test('a token bound to a key is of use with that key only', async () => {
  const [own, other] = await Promise.all([oauth.generateKeyPair('ES256'), oauth.generateKeyPair('ES256')]);
  const { tokens } = await signIn(web, bySecret, { DPoP: oauth.DPoP(web, own) });
  assert.equal(tokens.token_type, 'dpop');
  const about = await introspect(tokens.access_token);
  assert.equal(about.cnf.jkt, await oauth.DPoP(web, own).calculateThumbprint());
  const ask = async (DPoP) => {
    const answer = await oauth.userInfoRequest(as, web, tokens.access_token, { ...insecure, DPoP });
    return oauth.processUserInfoResponse(as, web, subject, answer);
  };
  const dpop = oauth.DPoP(web, own);
  assert.equal((await withNonce(() => ask(dpop))).sub, subject);
  const isRefused = (thrown) => thrown.status === 401 && thrown.cause[0].parameters.error === 'invalid_token';
  const swapped = oauth.DPoP(web, other);
  await assert.rejects(ask(swapped), oauth.isDPoPNonceError);
  await assert.rejects(ask(swapped), isRefused);
  assert.ok(!(await isTaken(tokens.access_token)));
});

test('a code that is bound to a key gives nothing to another', async () => {
  const [own, other] = await Promise.all([oauth.generateKeyPair('ES256'), oauth.generateKeyPair('ES256')]);
  const asked = await request(native, { dpop_jkt: await oauth.DPoP(native, own).calculateThumbprint() });
  const callback = await walk(addressOf(asked.parameters));
  const swapped = { DPoP: oauth.DPoP(native, other) };
  const attempt = () => redeem(native, oauth.None(), callback, asked, swapped);
  await assert.rejects(withNonce(attempt), refusedAs('invalid_grant'));
});

test('the refresh token of a public client is bound to its key', async () => {
  const [own, other] = await Promise.all([oauth.generateKeyPair('ES256'), oauth.generateKeyPair('ES256')]);
  const { tokens } = await signIn(native, oauth.None(), { DPoP: oauth.DPoP(native, own) });
  const by = (keyPair) => {
    const proof = { DPoP: oauth.DPoP(native, keyPair) };
    return withNonce(() => refresh(native, oauth.None(), tokens.refresh_token, proof));
  };
  await assert.rejects(by(other), refusedAs('invalid_dpop_proof'));
  assert.equal((await by(own)).token_type, 'dpop');
});

test('a token is exchanged for a narrower one and never for a wider', async () => {
  const { tokens } = await signIn(web, bySecret);
  const exchange = async (subject_token, scope) => {
    const parameters = { subject_token, subject_token_type: ACCESS_TOKEN, scope };
    const answer = await oauth.genericTokenEndpointRequest(as, web, bySecret, TOKEN_EXCHANGE, parameters, insecure);
    return oauth.processGenericTokenEndpointResponse(as, web, answer);
  };
  const narrow = await exchange(tokens.access_token, 'read');
  assert.equal(narrow.scope, 'read');
  assert.equal(narrow.issued_token_type, ACCESS_TOKEN);
  await assert.rejects(exchange(narrow.access_token, 'read write'), refusedAs('invalid_scope'));
});

test('a token is active until it is revoked', async () => {
  const { tokens } = await signIn(web, bySecret);
  const about = await introspect(tokens.access_token);
  assert.equal(about.active, true);
  assert.equal(about.sub, subject);
  assert.equal(about.client_id, web.client_id);
  const answer = await oauth.revocationRequest(as, web, bySecret, tokens.access_token, insecure);
  await oauth.processRevocationResponse(answer);
  assert.deepEqual(await introspect(tokens.access_token), { active: false });
});

test('a client registers itself and signs somebody in', async () => {
  const metadata = { client_name: 'Registered by oauth4webapi', redirect_uris: [server.redirect_uri] };
  const answer = await oauth.dynamicClientRegistrationRequest(as, metadata, insecure);
  const registered = await oauth.processDynamicClientRegistrationResponse(answer);
  const by = oauth.ClientSecretBasic(registered.client_secret);
  const { tokens } = await signIn(registered, by);
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).aud, registered.client_id);
});

test('an API finds its authorization server by its own metadata', async () => {
  const resource = issuer.origin;
  const answer = await oauth.resourceDiscoveryRequest(new URL(resource), insecure);
  const found = await oauth.processResourceDiscoveryResponse(new URL(resource), answer);
  assert.deepEqual(found.authorization_servers, [server.issuer]);
});
