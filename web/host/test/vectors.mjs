// Writes pkg/host/testdata/assertions.json: assertions, and what every host must say of them. It is made with node:crypto
// alone, by neither of the helpers that are held against it, and with new keys, which nobody keeps:
//
//	node web/host/test/vectors.mjs
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const issuer = 'https://2fa.example.com';
const audience = 'https://shop.example.com';
const user = 'auth0|alice';
const nonce = 'nOnCe-4f7s9d2k1j3h5g6a8q0w';
const iat = Date.UTC(2026, 2, 14, 15, 9, 26) / 1000;
const exp = iat + 60;

const ec = (namedCurve = 'P-256') => generateKeyPairSync('ec', { namedCurve });
const jwk = (key) => key.export({ format: 'jwk' });
const keys = { one: ec(), two: ec(), encryption: ec(), withheld: ec(), private: ec(), p384: ec('P-384'), stranger: ec() };
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const { d: _, ...publicPart } = jwk(keys.private.privateKey);
const notOnCurve = { ...jwk(keys.one.publicKey), y: jwk(keys.two.publicKey).y, kid: 'not-on-the-curve' };

const jwks = {
  keys: [
    { ...jwk(keys.one.publicKey), kid: 'key-1', use: 'sig', alg: 'ES256' },
    { ...jwk(keys.two.publicKey), kid: 'key-2' },
    { ...jwk(keys.encryption.publicKey), kid: 'encryption', use: 'enc' },
    { ...jwk(keys.withheld.publicKey), kid: 'other-alg', alg: 'ECDH-ES' },
    // A set with a private key in it is nobody's to trust. The file has no private key in it: this d is of no use.
    { ...publicPart, d: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE', kid: 'private' },
    { ...jwk(keys.p384.publicKey), kid: 'p-384' },
    { ...jwk(keys.stranger.publicKey) }, // without a kid
    notOnCurve,
    { kty: 'AKP', kid: 'post-quantum', alg: 'ML-DSA-44', pub: 'AAAA' },
    { kty: 'oct', kid: 'oct', k: 'AAAA' },
  ],
};

const encode = (x) => Buffer.from(typeof x === 'string' || Buffer.isBuffer(x) ? x : JSON.stringify(x)).toString('base64url');
const ecdsa = (text, key, dsaEncoding = 'ieee-p1363') => sign('sha256', Buffer.from(text), { key, dsaEncoding });

let count = 0;
const claims = (edit = {}) => ({
  iss: issuer, aud: audience, sub: user, iat, exp, jti: `jti-${++count}`, nonce,
  auth_time: iat, method: 'totp', state: 'enabled', amr: ['pwd', 'otp', 'mfa'], ...edit,
});
const good = { alg: 'ES256', typ: 'nightlatch+jwt', kid: 'key-1' };

/** Signs a header and a payload; a payload that is a text is taken as it is. */
function token(header, payload, signature = (text) => ecdsa(text, keys.one.privateKey)) {
  const text = `${encode(header)}.${encode(payload)}`;
  return `${text}.${encode(signature(text))}`;
}
const by = (key) => (text) => ecdsa(text, key.privateKey);
const hmac = (secret) => (text) => createHmac('sha256', secret).update(text).digest();

/** The token with bits to spare in a part's last character: the same bytes, and not the text that was signed. */
function respelled(token, part) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const parts = token.split('.');
  const bytes = Buffer.from(parts[part], 'base64url');
  parts[part] = parts[part].slice(0, -1) + alphabet[alphabet.indexOf(parts[part].at(-1)) + 1];
  if (!bytes.equals(Buffer.from(parts[part], 'base64url'))) {
    throw new Error(`part ${part} has no bits to spare`);
  }
  return parts.join('.');
}

const cases = [];
const accepted = (name, payload = claims(), { header = good, key = keys.one, ...rest } = {}) =>
  cases.push({ name, verdict: 'accepted', assertion: token(header, payload, by(key)), claims: payload, ...rest });
const refused = (name, assertion, rest = {}) => cases.push({ name, verdict: 'refused', assertion, ...rest });
const refusedClaims = (name, edit, rest) => refused(name, token(good, claims(edit)), rest);
const refusedHeader = (name, edit, signature) => refused(name, token({ ...good, ...edit }, claims(), signature), {});

// at: milliseconds after iat. Everything else is at 535.
accepted('as it should be');
accepted('by the backup code', claims({ method: 'backup_code', state: 'disabled', amr: ['pwd', 'backup_code'] }));
accepted('by a mailed link', claims({ method: 'reset_link', state: 'disabled', amr: ['pwd', 'reset_link'] }));
accepted('by the other key', claims(), { header: { ...good, kid: 'key-2' }, key: keys.two });
accepted('with a claim more', claims({ acr: 'x', nbf: exp }));
accepted('with a header more', claims(), { header: { ...good, cty: 'x', x: [1] } });
accepted('with a critical extension that changes nothing', claims(), { header: { ...good, crit: ['b64'], b64: true } });
accepted('10 seconds before it was made', claims(), { at: -10_000 });
accepted('a moment before it is too old', claims(), { at: 69_999 });
accepted('a user in other letters', claims({ sub: 'é素😀 "x"\\' }), { user: 'é素😀 "x"\\' });

refused('empty', '');
refused('no token', 'assertion');
refused('two parts', token(good, claims()).split('.').slice(0, 2).join('.'));
refused('four parts', token(good, claims()) + '.AAAA');
refused('an empty signature', token(good, claims(), () => ''));
refused('a signature of zeros', token(good, claims(), () => Buffer.alloc(64)));
refused('a signature cut', token(good, claims()).slice(0, -4));
['header', 'payload', 'signature'].forEach((name, part) =>
  refused(`a ${name} with bits to spare`, respelled(token(good, claims({ acr: 'xx' })), part)));
refused('a signature in DER', token(good, claims(), (text) => ecdsa(text, keys.one.privateKey, 'der')));
refused('a signature over other claims', token(good, claims(), () => ecdsa(`${encode(good)}.${encode(claims())}`, keys.one.privateKey)));
refused('longer than it may be', token(good, claims({ acr: 'x'.repeat(6 << 10) })));
{
  const [header, payload, signature] = token(good, claims()).split('.');
  refused('JSON serialisation', JSON.stringify({ protected: header, payload, signature }));
  refused('padded', `${header}.${payload}==.${signature}`);
  refused('in base64 that is not for URLs', `${header}.${payload}.+${signature.slice(1)}`);
}

refusedHeader('alg none', { alg: 'none' }, () => '');
refusedHeader('alg none with a signature', { alg: 'none' });
refusedHeader('alg nOnE', { alg: 'nOnE' }, () => '');
refusedHeader('no alg', { alg: undefined });
refusedHeader('alg is a list', { alg: ['ES256'] });
{
  const spki = (format) => keys.one.publicKey.export({ type: 'spki', format });
  refusedHeader('HS256 with the key in DER', { alg: 'HS256' }, hmac(spki('der')));
  refusedHeader('HS256 with the key in PEM', { alg: 'HS256' }, hmac(spki('pem')));
  refusedHeader('HS256 with the key in JSON', { alg: 'HS256' }, hmac(JSON.stringify(jwks.keys[0])));
  refusedHeader('HS256 with the symmetric key of the set', { alg: 'HS256', kid: 'oct' }, hmac(Buffer.from('AAAA', 'base64url')));
}
refusedHeader('RS256', { alg: 'RS256' }, (text) => sign('sha256', Buffer.from(text), rsa.privateKey));
refusedHeader('ES384', { alg: 'ES384', kid: 'p-384' }, (text) => sign('sha384', Buffer.from(text), { key: keys.p384.privateKey, dsaEncoding: 'ieee-p1363' }));
refusedHeader('ES256 on another curve', { kid: 'p-384' }, by(keys.p384));
refusedHeader('a stranger’s key', {}, by(keys.stranger));
refusedHeader('a stranger’s key, in the header', { jwk: jwk(keys.stranger.publicKey) }, by(keys.stranger));
refusedHeader('a stranger’s key, in the header, without a kid', { jwk: jwk(keys.stranger.publicKey), kid: undefined }, by(keys.stranger));
refusedHeader('a stranger’s key, at a URL', { jku: 'https://attacker.example/jwks.json', kid: 'x' }, by(keys.stranger));
refusedHeader('a key without a kid', { kid: undefined }, by(keys.stranger));
refusedHeader('a key without a kid, by an empty one', { kid: '' }, by(keys.stranger));
refusedHeader('another key’s kid', { kid: 'key-2' });
refusedHeader('a kid of no key', { kid: 'key-3' });
refusedHeader('a kid of no key, but of every object', { kid: '__proto__' });
refusedHeader('a kid that is no text', { kid: 1 });
refusedHeader('a key for encryption', { kid: 'encryption' }, by(keys.encryption));
refusedHeader('a key of another algorithm', { kid: 'other-alg' }, by(keys.withheld));
refusedHeader('a key that is published with its private part', { kid: 'private' }, by(keys.private));
refusedHeader('a key that is not on the curve', { kid: 'not-on-the-curve' });
refusedHeader('no typ', { typ: undefined });
refusedHeader('typ JWT', { typ: 'JWT' });
refusedHeader('typ in capitals', { typ: 'NIGHTLATCH+JWT' });
refusedHeader('typ of a longer name', { typ: 'nightlatch+jwt+x' });
refusedHeader('typ of a media type', { typ: 'application/nightlatch+jwt' });
refusedHeader('typ is a list', { typ: ['nightlatch+jwt'] });
refusedHeader('an extension that is critical', { crit: ['x'], x: 1 });
refusedHeader('a payload that is not encoded, critically', { crit: ['b64'], b64: false });
refused('a header that is no JSON', token('alg', claims()));
refused('a payload that is no JSON', token(good, user));
refused('a payload of null', token(good, 'null'));
refused('a payload that is a list', token(good, '[]'));
refused('a payload that is cut', token(good, JSON.stringify(claims()).slice(0, -1)));
refused('an empty payload', token(good, ''));

refusedClaims('another issuer', { iss: 'https://2fa.example.org' });
refusedClaims('the issuer with a slash', { iss: issuer + '/' });
refusedClaims('no issuer', { iss: undefined });
refusedClaims('another audience', { aud: 'https://other.example.com' });
refusedClaims('no audience', { aud: undefined });
refusedClaims('a list of audiences', { aud: [audience, 'https://other.example.com'] });
refusedClaims('a list of one audience', { aud: [audience] });
refusedClaims('another user', { sub: 'auth0|bob' });
refusedClaims('the user in capitals', { sub: 'AUTH0|ALICE' });
refusedClaims('the user and more', { sub: user + ' ' });
refusedClaims('the user in another normal form', { sub: 'e\u0301' }, { user: 'é' });
refusedClaims('no user', { sub: undefined });
refusedClaims('a user that is a number', { sub: 7 }, { user: '7' });
refusedClaims('a user that is a list', { sub: [user] });
refusedClaims('no user on either side', { sub: '' }, { user: '' });
refusedClaims('another user is expected', {}, { user: 'auth0|bob' });
refusedClaims('another nonce', { nonce: nonce.slice(0, -1) + 'W' });
refusedClaims('an empty nonce', { nonce: '' });
refusedClaims('no nonce', { nonce: undefined });
refusedClaims('part of the nonce', { nonce: nonce.slice(0, 8) });
refusedClaims('no nonce on either side', { nonce: '' }, { nonce: '' });
refusedClaims('no jti', { jti: undefined });
refusedClaims('an empty jti', { jti: '' });
refusedClaims('no exp', { exp: undefined });
refusedClaims('exp is a text', { exp: String(exp) });
refusedClaims('exp is huge', { exp: 1e300 });
refusedClaims('exp with a fraction', { exp: exp + 0.5 });
refusedClaims('expired', {}, { at: 70_000 });
refusedClaims('expired a year ago', {}, { at: 365 * 86400_000 });
refusedClaims('no iat', { iat: undefined });
refusedClaims('iat is a text', { iat: String(iat) });
refusedClaims('from before 1970', { iat: -1 });
refusedClaims('issued in the future', {}, { at: -10_001 });
refusedClaims('issued in a year', { iat: iat + 365 * 86400, exp: exp + 365 * 86400 });
refusedClaims('amr is no list', { amr: 'otp' });
refusedClaims('amr with a number in it', { amr: ['pwd', 1] });
refusedClaims('auth_time is a text', { auth_time: String(iat) });

const about = 'Assertions, and what every host must say of them, in Go and in Node.js: made by web/host/test/vectors.mjs.';
const file = new URL('../../../pkg/host/testdata/assertions.json', import.meta.url);
writeFileSync(file, JSON.stringify({ about, issuer, audience, user, nonce, iat, at: 535, jwks, cases }, null, 1) + '\n');
