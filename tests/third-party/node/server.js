// The server that is tested, a person's browser, and whether the server takes a token.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

export const server = JSON.parse(readFileSync(process.env.VESTIBULE_UNDER_TEST, 'utf8'));
export const issuer = new URL(server.issuer);
export const subject = String(server.person.id);

/** With which the application `signed` signs. */
export async function privateKey() {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const key = await crypto.subtle.importKey('jwk', server.private_key, algorithm, false, ['sign']);
  return { key, kid: server.private_key.kid };
}

/** Where a browser of its own ends up that begins at this address, as a URL. */
export async function walk(address, ...options) {
  const [program, script] = server.browser;
  const who = ['--username', server.person.username, '--password', server.password];
  const { stdout } = await promisify(execFile)(program, [script, String(address), ...who, ...options]);
  return new URL(stdout.trim());
}

export async function isTaken(accessToken) {
  const answer = await fetch(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${accessToken}` } });
  if (answer.status !== 200 && answer.status !== 401) throw new Error(`userinfo: ${answer.status}`);
  return answer.status === 200;
}
