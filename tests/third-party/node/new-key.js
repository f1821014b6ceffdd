// Writes a new key of a client that signs its assertions: the private JWK, and the JWK set to register.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const [privateFile, publicFile] = process.argv.slice(2);
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const about = { kid: randomUUID(), use: 'sig', alg: 'ES256' };
writeFileSync(privateFile, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), ...about }), { mode: 0o600 });
writeFileSync(publicFile, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), ...about }] }));
