import { generateKeyPairSync } from 'node:crypto';
import { afterEach, expect, test, vi } from 'vitest';
import { type Host, Refused, Unavailable } from '../src/index.ts';
import { type Handler, Keys, answeredBy, expected, thrown } from './standin.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

afterEach(() => void vi.useRealTimers());

/** Verifies a new assertion, and compares what is thrown and the number of fetches so far. */
async function verify(keys: Keys, host: Host, wanted: typeof Refused | typeof Unavailable | undefined, fetches: number) {
  const e = await thrown(host.verifyAssertion(keys.assertion(), expected));
  expect(e && (e as Error).name).toBe(wanted?.name);
  expect(keys.fetches).toBe(fetches);
}

const down: Handler = () => new Response(null, { status: 503 });

test('keys are kept for an hour', async () => {
  const keys = new Keys();
  const host = keys.host();
  expect(keys.fetches).toBe(0);
  await verify(keys, host, undefined, 1);
  keys.clock += hour - second;
  await verify(keys, host, undefined, 1);
  keys.clock += second;
  await verify(keys, host, undefined, 2);
  keys.clock += minute;
  await verify(keys, host, undefined, 2);
  keys.clock -= 2 * hour; // a clock that was put back
  await verify(keys, host, undefined, 3);
  await verify(keys, host, undefined, 3);
});

test.each<[string | undefined, number]>([
  ['public, max-age=3600', hour],
  ['public, max-age=600', 10 * minute],
  ['max-age=86400', hour],
  ['max-age=0', minute], // not oftener than once a minute
  ['s-maxage=600', hour],
  ['max-age=soon', hour],
  ['no-store', hour],
  [undefined, hour],
])('cache-control: %s', async (header, kept) => {
  const keys = new Keys();
  keys.headers = header === undefined ? {} : { 'cache-control': header };
  const host = keys.host();
  await verify(keys, host, undefined, 1);
  keys.clock += kept - second;
  await verify(keys, host, undefined, 1);
  keys.clock += second;
  await verify(keys, host, undefined, 2);
});

test('an unknown key is fetched, at most once a minute', async () => {
  const keys = new Keys();
  const host = keys.host();
  await verify(keys, host, undefined, 1);
  keys.rotate();
  await verify(keys, host, Refused, 1);
  keys.clock += minute - second;
  await verify(keys, host, Refused, 1);
  keys.clock += second;
  await verify(keys, host, undefined, 2);
  await host.verifyAssertion(keys.assertion({ older: 1 }), expected); // the former key

  for (let i = 0; i < 100; i++) {
    expect(await thrown(host.verifyAssertion(keys.assertion({ kid: `of nobody ${i}` }), expected))).toBeInstanceOf(Refused);
  }
  expect(keys.fetches).toBe(2);

  const former = () => keys.assertion({ kid: 'key-1' });
  keys.withdraw();
  keys.clock += hour;
  await verify(keys, host, undefined, 3);
  expect(await thrown(host.verifyAssertion(former(), expected))).toBeInstanceOf(Refused);
});

test('without keys nobody gets in, and every sign-in tries again', async () => {
  const keys = new Keys();
  keys.instead = down;
  const host = keys.host();
  await verify(keys, host, Unavailable, 1);
  await verify(keys, host, Unavailable, 2);
  keys.instead = undefined;
  await verify(keys, host, undefined, 3);
  await verify(keys, host, undefined, 3);
});

test('the keys at hand are used for a day, and fetching is tried once a minute', async () => {
  const keys = new Keys();
  const host = keys.host();
  await verify(keys, host, undefined, 1);
  keys.instead = down;
  keys.clock += hour;
  await verify(keys, host, undefined, 2);
  keys.clock += 59 * second;
  await verify(keys, host, undefined, 2);
  keys.clock += second;
  await verify(keys, host, undefined, 3);
  keys.clock += 22 * hour + 58 * minute + 59 * second;
  await verify(keys, host, undefined, 4);
  keys.clock += second;
  await verify(keys, host, Unavailable, 5);
  await verify(keys, host, Unavailable, 6);
  keys.instead = undefined;
  await verify(keys, host, undefined, 7);
});

test('whether an unknown key is a new one cannot be told while fetching fails', async () => {
  const keys = new Keys();
  const host = keys.host();
  await verify(keys, host, undefined, 1);
  keys.rotate();
  keys.instead = down;
  keys.clock += minute;
  await verify(keys, host, Unavailable, 2);
  await verify(keys, host, Unavailable, 2);
  keys.instead = undefined;
  keys.clock += minute;
  await verify(keys, host, undefined, 3);
});

const pair = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const set = (...keys: unknown[]): Handler => () => Response.json({ keys });
const text = (body: string, init?: ResponseInit): Handler => () => new Response(body, init);
const p256 = pair('P-256');
const jwk = { ...p256.publicKey.export({ format: 'jwk' }), kid: 'key-1' };

test.each<[string, Handler]>([
  ['empty', text('')],
  ['a page', text('<!doctype html><title>Sign in to the Wi-Fi</title>')],
  ['null', text('null')],
  ['a list', text('[]')],
  ['no keys', set()],
  ['keys are a text', text('{"keys":"key-1"}')],
  ['keys are an object', text(`{"keys":{"0":${JSON.stringify(jwk)}}}`)],
  ['keys are numbers', set(1, 2)],
  ['keys are null', set(null)],
  ['not on the curve', set({ ...jwk, x: jwk.y })],
  ['of another length', set({ ...jwk, x: 'AAAA' })],
  ['coordinates are numbers', set({ ...jwk, x: 1, y: 2 })],
  ['a symmetric key', set({ kty: 'oct', kid: 'key-1', k: 'AAAA' })],
  ['Ed25519', set({ ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid: 'key-1' })],
  ['RSA', set({ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }), kid: 'key-1' })],
  ['P-384', set({ ...pair('P-384').publicKey.export({ format: 'jwk' }), kid: 'key-1' })],
  ['P-384 that says P-256', set({ ...pair('P-384').publicKey.export({ format: 'jwk' }), crv: 'P-256', kid: 'key-1' })],
  ['for encryption', set({ ...jwk, use: 'enc' })],
  ['of another alg', set({ ...jwk, alg: 'ECDH-ES' })],
  ['a private key', set({ ...p256.privateKey.export({ format: 'jwk' }), kid: 'key-1' })],
  ['without a kid', set({ ...jwk, kid: undefined })],
  ['with an empty kid', set({ ...jwk, kid: '' })],
  ['with a kid that is a number', set({ ...jwk, kid: 1 })],
  ['cut', text(JSON.stringify({ keys: [jwk] }).slice(0, -1))],
  ['huge', text(JSON.stringify({ keys: [jwk], x: 'x'.repeat(65 << 10) }))],
  ['not found', text(JSON.stringify({ keys: [jwk] }), { status: 404 })],
  ['an error with keys', text(JSON.stringify({ keys: [jwk] }), { status: 500 })],
  ['created', text(JSON.stringify({ keys: [jwk] }), { status: 201 })],
  ['nothing', () => new Response(null, { status: 204 })],
  ['elsewhere', text(JSON.stringify({ keys: [jwk] }), { status: 302, headers: { location: '/elsewhere' } })],
  ['no answer', () => Promise.reject(new TypeError('fetch failed'))],
])('a key set that is %s takes the place of none', async (_, bad) => {
  const keys = new Keys();
  keys.instead = bad;
  const host = keys.host();
  await verify(keys, host, Unavailable, 1);
  keys.instead = undefined;
  await verify(keys, host, undefined, 2);
  keys.instead = bad;
  keys.clock += hour;
  await verify(keys, host, undefined, 3);
});

test('keys of other kinds may stand beside ours', async () => {
  const keys = new Keys();
  keys.instead = set({ kty: 'AKP', kid: 'pq', alg: 'ML-DSA-44', pub: 'AAAA' }, 7, null, ...keys.jwks.keys);
  await verify(keys, keys.host(), undefined, 1);
});

test('all who wait share one fetch', async () => {
  const keys = new Keys();
  let answer = () => {};
  keys.instead = () => new Promise((resolve) => (answer = () => resolve(Response.json(keys.jwks))));
  const host = keys.host();
  const all = Array.from({ length: 50 }, () => host.verifyAssertion(keys.assertion(), expected));
  await vi.waitUntil(() => keys.fetches > 0);
  answer();
  expect(await Promise.all(all)).toHaveLength(50);
  expect(keys.fetches).toBe(1);
});

test('a fetch that is never answered ends after five seconds, and then the keys at hand are used', async () => {
  const keys = new Keys();
  const host = keys.host();
  const slow = async () => {
    vi.useFakeTimers();
    let aborted: AbortSignal | undefined;
    keys.instead = ({ signal }) => ((aborted = signal), new Promise(() => {}));
    const ended = vi.fn();
    const e = thrown(host.verifyAssertion(keys.assertion(), expected)).finally(ended);
    await vi.advanceTimersByTimeAsync(4999);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    vi.useRealTimers();
    const ending = await e;
    expect(aborted!.aborted).toBe(true);
    return ending;
  };
  expect(await slow()).toBeInstanceOf(Unavailable);
  keys.instead = undefined;
  await verify(keys, host, undefined, 2);
  keys.clock += hour;
  expect(await slow()).toBeUndefined();
});

test('the keys are fetched by the fetch that was given', async () => {
  const keys = new Keys();
  const send = vi.fn(answeredBy(keys.handler));
  await keys.host({ fetch: send }).verifyAssertion(keys.assertion(), expected);
  expect(send.mock.calls.map(([url]) => String(url))).toEqual(['https://2fa.example.com/.well-known/jwks.json']);
  expect(send.mock.calls[0]![1]).toMatchObject({ redirect: 'manual' });
});
