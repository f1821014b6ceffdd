// openid-client: what an application calls.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as client from 'openid-client';
import { isTaken, issuer, privateKey, server, subject, walk } from './server.js';

const SCOPE = 'openid profile email read';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const insecure = { execute: [client.allowInsecureRequests] };

let web, native;

before(async () => {
  web = await client.discovery(issuer, server.web.client_id, server.web.client_secret, undefined, insecure);
  const about = { id_token_signed_response_alg: server.native.signing_algorithm };
  native = await client.discovery(issuer, server.native.client_id, about, client.None(), insecure);
  // Signatures are checked although the token came from the server itself.
  for (const config of [web, native]) client.enableNonRepudiationChecks(config);
});

/** A request for a code, and what its answer is checked against. */
async function request(extra = {}) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(),
    expectedNonce: client.randomNonce(),
    expectedState: client.randomState(),
  };
  const parameters = {
    redirect_uri: server.redirect_uri,
    scope: SCOPE,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    nonce: checks.expectedNonce,
    state: checks.expectedState,
    ...extra,
  };
  return { checks, parameters };
}

/** Somebody signs in and agrees: the tokens, and what they were given for. */
async function signIn(config, { walkOptions = [], extra = { prompt: 'consent' }, dpop } = {}) {
  const { checks, parameters } = await request(extra);
  const callback = await walk(client.buildAuthorizationUrl(config, parameters), ...walkOptions);
  const options = dpop && { DPoP: dpop };
  const tokens = await client.authorizationCodeGrant(config, callback, checks, undefined, options);
  return { callback, checks, tokens };
}

/** By the server, with this error. */
const refusedAs = (error) => (thrown) => thrown.error === error || thrown.cause?.error === error;

/** By the library, with these words in its own reason. */
const refusedFor = (words) => (thrown) => `${thrown.message} ${thrown.cause?.message}`.includes(words);

test('an issuer that is not the one asked for is refused', async () => {
  const other = new URL(server.issuer_by_another_name);
  await assert.rejects(client.discovery(other, server.web.client_id, undefined, undefined, insecure), refusedFor('issuer does not match'));
});

test('metadata are found by the rule of RFC 8414 too', async () => {
  const config = await client.discovery(issuer, server.web.client_id, undefined, undefined, {
    ...insecure,
    algorithm: 'oauth2',
  });
  assert.equal(config.serverMetadata().issuer, server.issuer);
  assert.ok(config.serverMetadata().supportsPKCE());
});

test('a code with PKCE gives a verified ID token and userinfo', async () => {
  const { checks, tokens } = await signIn(web);
  const claims = tokens.claims();
  assert.equal(claims.sub, subject);
  assert.equal(claims.nonce, checks.expectedNonce);
  const person = await client.fetchUserInfo(web, tokens.access_token, claims.sub);
  assert.equal(person.email, 'ada@example.com');
  assert.equal(person.name, 'Ada Lovelace');
});

test('a public client signs somebody in without a secret', async () => {
  const { tokens } = await signIn(native);
  assert.equal(tokens.claims().sub, subject);
});

test('an ID token with another nonce is refused', async () => {
  const { checks, parameters } = await request();
  const callback = await walk(client.buildAuthorizationUrl(web, parameters));
  checks.expectedNonce = client.randomNonce();
  await assert.rejects(client.authorizationCodeGrant(web, callback, checks), refusedFor('"nonce"'));
});

test('an answer that names another issuer is refused', async () => {
  const { checks, parameters } = await request();
  const callback = await walk(client.buildAuthorizationUrl(web, parameters));
  assert.equal(callback.searchParams.get('iss'), server.issuer);
  callback.searchParams.set('iss', server.issuer_by_another_name);
  await assert.rejects(client.authorizationCodeGrant(web, callback, checks), refusedFor('"iss"'));
});

test('a code with another verifier is refused', async () => {
  const { checks, parameters } = await request();
  const callback = await walk(client.buildAuthorizationUrl(web, parameters));
  checks.pkceCodeVerifier = client.randomPKCECodeVerifier();
  await assert.rejects(client.authorizationCodeGrant(web, callback, checks), refusedAs('invalid_grant'));
});

test('a person who refuses is told of as access_denied', async () => {
  const { checks, parameters } = await request({ prompt: 'consent' });
  const callback = await walk(client.buildAuthorizationUrl(web, parameters), '--refuse');
  await assert.rejects(client.authorizationCodeGrant(web, callback, checks), refusedAs('access_denied'));
});

test('a replayed code is refused and ends what it gave', async () => {
  const { callback, checks, tokens } = await signIn(web);
  assert.ok(await isTaken(tokens.access_token));
  await assert.rejects(client.authorizationCodeGrant(web, callback, checks), refusedAs('invalid_grant'));
  assert.ok(!(await isTaken(tokens.access_token)));
});

test('a refresh gives new tokens and a used one ends them', async () => {
  const { tokens: first } = await signIn(web);
  const second = await client.refreshTokenGrant(web, first.refresh_token);
  assert.equal(second.claims().sub, first.claims().sub);
  assert.notEqual(second.access_token, first.access_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.ok(await isTaken(second.access_token));
  await assert.rejects(client.refreshTokenGrant(web, first.refresh_token), refusedAs('invalid_grant'));
  assert.ok(!(await isTaken(second.access_token)));
});

test('client credentials give a token of the application', async () => {
  const tokens = await client.clientCredentialsGrant(web, { scope: 'read' });
  assert.equal(tokens.scope, 'read');
  const about = await client.tokenIntrospection(web, tokens.access_token);
  assert.equal(about.active, true);
  assert.equal(about.sub, undefined);
});

test('a secret is taken in the header and in the body, and a wrong one in neither', async () => {
  const grant = async (by) => {
    const config = await client.discovery(issuer, server.web.client_id, undefined, by, insecure);
    return client.clientCredentialsGrant(config, { scope: 'read' });
  };
  for (const by of [client.ClientSecretBasic, client.ClientSecretPost]) {
    assert.ok((await grant(by(server.web.client_secret))).access_token);
  }
  await assert.rejects(grant(client.ClientSecretPost('not the secret')), refusedAs('invalid_client'));
  // RFC 6749 section 5.2: who has tried the header is told by a header.
  const isChallenged = (thrown) => thrown.cause[0].scheme === 'basic' && thrown.status === 401;
  await assert.rejects(grant(client.ClientSecretBasic('not the secret')), isChallenged);
});

test('an assertion by the registered key and no other proves a client', async () => {
  const about = { id_token_signed_response_alg: server.signed.signing_algorithm };
  const configure = (key) =>
    client.discovery(issuer, server.signed.client_id, about, client.PrivateKeyJwt(key), insecure);
  const own = await privateKey();
  const signed = await configure(own);
  client.enableNonRepudiationChecks(signed);
  const { tokens } = await signIn(signed);
  assert.equal(tokens.claims().sub, subject);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const other = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
  const forged = await configure({ key: other.privateKey, kid: own.kid });
  await assert.rejects(client.clientCredentialsGrant(forged), refusedAs('invalid_client'));
});

test('a device gets tokens once somebody has typed its code', async () => {
  const begun = await client.initiateDeviceAuthorization(web, { scope: SCOPE });
  const [tokens] = await Promise.all([
    client.pollDeviceAuthorizationGrant(web, begun),
    walk(begun.verification_uri_complete),
  ]);
  assert.equal(tokens.claims().sub, subject);
});

test('a device whose code is refused is told so', async () => {
  const begun = await client.initiateDeviceAuthorization(native, { scope: SCOPE });
  await walk(begun.verification_uri_complete, '--refuse');
  await assert.rejects(client.pollDeviceAuthorizationGrant(native, begun), refusedAs('access_denied'));
});

test('a pushed request is taken once', async () => {
  const { checks, parameters } = await request();
  const address = await client.buildAuthorizationUrlWithPAR(web, parameters);
  assert.deepEqual([...address.searchParams.keys()].sort(), ['client_id', 'request_uri']);
  const tokens = await client.authorizationCodeGrant(web, await walk(address), checks);
  assert.equal(tokens.claims().nonce, checks.expectedNonce);
  await assert.rejects(walk(address), /: 400/);
});

test('a signed request object is taken', async () => {
  const signing = await privateKey();
  const about = { id_token_signed_response_alg: server.signed.signing_algorithm };
  const by = client.PrivateKeyJwt(signing);
  const signed = await client.discovery(issuer, server.signed.client_id, about, by, insecure);
  const { checks, parameters } = await request();
  const address = await client.buildAuthorizationUrlWithJAR(signed, parameters, signing);
  const tokens = await client.authorizationCodeGrant(signed, await walk(address), checks);
  assert.equal(tokens.claims().sub, subject);
});

test('a signed answer is read and verified', async () => {
  const config = await client.discovery(issuer, server.web.client_id, server.web.client_secret, undefined, insecure);
  client.useJwtResponseMode(config);
  const { checks, parameters } = await request();
  const callback = await walk(client.buildAuthorizationUrl(config, parameters));
  assert.deepEqual([...callback.searchParams.keys()], ['response']);
  const tokens = await client.authorizationCodeGrant(config, callback, checks);
  assert.equal(tokens.claims().sub, subject);
});

test('a code comes with an ID token that vouches for it', async () => {
  const { client_id, client_secret } = server.hybrid;
  const config = await client.discovery(issuer, client_id, client_secret, undefined, insecure);
  client.useCodeIdTokenResponseType(config);
  const { checks, parameters } = await request();
  const callback = await walk(client.buildAuthorizationUrl(config, parameters));
  const fragment = new URLSearchParams(callback.hash.slice(1));
  assert.ok(fragment.get('code') && fragment.get('id_token'));
  const tokens = await client.authorizationCodeGrant(config, new URL(callback), checks);
  assert.equal(tokens.claims().sub, subject);
  // c_hash: the code of one answer beside the ID token of another.
  const other = new URLSearchParams((await walk(client.buildAuthorizationUrl(config, parameters))).hash.slice(1));
  other.set('id_token', fragment.get('id_token'));
  callback.hash = other;
  await assert.rejects(client.authorizationCodeGrant(config, callback, checks), refusedFor('c_hash'));
});

test('a token bound to a key is of use with that key only', async () => {
  const [own, other] = await Promise.all([client.randomDPoPKeyPair(), client.randomDPoPKeyPair()]);
  const dpop = client.getDPoPHandle(native, own);
  const { tokens } = await signIn(native, { dpop });
  assert.equal(tokens.token_type, 'dpop');
  const person = await client.fetchUserInfo(native, tokens.access_token, subject, { DPoP: dpop });
  assert.equal(person.sub, subject);
  const swapped = { DPoP: client.getDPoPHandle(native, other) };
  const isRefused = (thrown) => thrown.status === 401 && thrown.cause[0].parameters.error === 'invalid_token';
  await assert.rejects(client.fetchUserInfo(native, tokens.access_token, subject, swapped), isRefused);
  assert.ok(!(await isTaken(tokens.access_token)));
});

test('the refresh token of a public client is bound to its key', async () => {
  const [own, other] = await Promise.all([client.randomDPoPKeyPair(), client.randomDPoPKeyPair()]);
  const dpop = client.getDPoPHandle(native, own);
  const { tokens } = await signIn(native, { dpop });
  const refresh = (options) => client.refreshTokenGrant(native, tokens.refresh_token, undefined, options);
  await assert.rejects(refresh({ DPoP: client.getDPoPHandle(native, other) }), refusedAs('invalid_dpop_proof'));
  await assert.rejects(refresh(), refusedAs('invalid_dpop_proof'));
  // Neither attempt has cost the owner of the key the token.
  assert.equal((await refresh({ DPoP: dpop })).token_type, 'dpop');
});

test('a token is exchanged for a narrower one and never for a wider', async () => {
  const { tokens } = await signIn(web);
  const exchange = (subject_token, scope) =>
    client.genericGrantRequest(web, TOKEN_EXCHANGE, { subject_token, subject_token_type: ACCESS_TOKEN, scope });
  const narrow = await exchange(tokens.access_token, 'read');
  assert.equal(narrow.scope, 'read');
  assert.equal(narrow.issued_token_type, ACCESS_TOKEN);
  assert.equal((await client.tokenIntrospection(web, narrow.access_token)).username, 'ada');
  await assert.rejects(exchange(narrow.access_token, 'read write'), refusedAs('invalid_scope'));
});

test('a token is active until it is revoked', async () => {
  const { tokens } = await signIn(web);
  const about = await client.tokenIntrospection(web, tokens.access_token);
  assert.equal(about.active, true);
  assert.equal(about.sub, subject);
  await client.tokenRevocation(web, tokens.access_token);
  assert.deepEqual(await client.tokenIntrospection(web, tokens.access_token), { active: false });
});

test('signing out ends the session and comes back', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'browser-'));
  after(() => rmSync(directory, { recursive: true }));
  const walkOptions = ['--cookies', join(directory, 'cookies')];
  const { tokens } = await signIn(web, { walkOptions });
  // The session is there: nobody has to sign in.
  await signIn(web, { walkOptions, extra: { prompt: 'none' } });
  const state = client.randomState();
  const address = client.buildEndSessionUrl(web, {
    post_logout_redirect_uri: server.post_logout_redirect_uri,
    id_token_hint: tokens.id_token,
    state,
  });
  // What a thief of the cookies has: it ends too, not just the browser's own memory.
  const stolen = ['--cookies', join(directory, 'stolen')];
  copyFileSync(walkOptions[1], stolen[1]);
  const back = await walk(address, ...walkOptions);
  assert.equal(String(back), `${server.post_logout_redirect_uri}?state=${state}`);
  for (const options of [walkOptions, stolen]) {
    const silently = signIn(web, { walkOptions: options, extra: { prompt: 'none' } });
    await assert.rejects(silently, refusedAs('login_required'));
  }
  assert.ok(!(await isTaken(tokens.access_token)));
});

test('a client registers itself and signs somebody in', async () => {
  const metadata = {
    client_name: 'Registered by openid-client',
    redirect_uris: [server.redirect_uri],
    token_endpoint_auth_method: 'client_secret_post', // what the library then does
  };
  const config = await client.dynamicClientRegistration(issuer, metadata, undefined, insecure);
  assert.equal(config.clientMetadata().client_name, metadata.client_name);
  const { tokens } = await signIn(config);
  assert.equal(tokens.claims().aud, config.clientMetadata().client_id);
});

test('a client that registers for it is answered in signed tokens of its algorithm', async () => {
  const metadata = {
    redirect_uris: [server.redirect_uri],
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
    userinfo_signed_response_alg: 'ES256',
    introspection_signed_response_alg: 'ES256',
  };
  const config = await client.dynamicClientRegistration(issuer, metadata, undefined, insecure);
  client.enableNonRepudiationChecks(config);
  const algorithmOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url')).alg;
  const { tokens } = await signIn(config);
  assert.equal(algorithmOf(tokens.id_token), 'ES256');
  assert.equal((await client.fetchUserInfo(config, tokens.access_token, subject)).email, 'ada@example.com');
  assert.equal((await client.tokenIntrospection(config, tokens.access_token)).sub, subject);
});

test('a client registers one way to prove itself and is held to it', async () => {
  const { keys: [jwk] } = server.signed.jwks;
  const ways = {
    client_secret_basic: client.ClientSecretBasic(),
    client_secret_post: client.ClientSecretPost(),
    client_secret_jwt: client.ClientSecretJwt(),
    private_key_jwt: client.PrivateKeyJwt(await privateKey()),
  };
  for (const [method, by] of Object.entries(ways)) {
    const metadata = {
      redirect_uris: [server.redirect_uri],
      token_endpoint_auth_method: method,
      ...(method === 'private_key_jwt' && { jwks: { keys: [jwk] } }),
    };
    const config = await client.dynamicClientRegistration(issuer, metadata, by, insecure);
    const { tokens } = await signIn(config);
    assert.ok((await client.tokenIntrospection(config, tokens.access_token)).active, method);
    const own = config.clientMetadata();
    const otherWay = method === 'client_secret_post' ? client.ClientSecretJwt : client.ClientSecretPost;
    const other = otherWay(own.client_secret ?? 'a client with a key has none');
    const otherwise = await client.discovery(issuer, own.client_id, undefined, other, insecure);
    await assert.rejects(client.tokenIntrospection(otherwise, tokens.access_token), refusedAs('invalid_client'), method);
  }
});

test('an address that is none is not registered', async () => {
  const metadata = { redirect_uris: ['https://client.example/callback#fragment'] };
  const registered = client.dynamicClientRegistration(issuer, metadata, undefined, insecure);
  await assert.rejects(registered, refusedAs('invalid_redirect_uri'));
});
