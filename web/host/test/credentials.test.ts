import { createHash, createHmac } from 'node:crypto';
import { inspect } from 'node:util';
import { expect, test, vi } from 'vitest';
import { Unavailable, serviceKey, sigV4 } from '../src/index.ts';
import { type Arrived, key, newHost, thrown } from './standin.ts';

const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const provider = async () => ({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey, sessionToken: 'session/token==' });

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Encodes all but the unreserved characters of RFC 3986. */
const unreserved = (text: string) => [...Buffer.from(text)].map((byte) => {
  const c = String.fromCharCode(byte);
  return /[\w.~-]/.test(c) ? c : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}).join('');
const eachSegment = (path: string, f: (segment: string) => string) => path.split('/').map(f).join('/');

/** The signature of a request that has arrived, made again from the description of Signature Version 4 alone. */
function signature({ url, headers, body }: Arrived, path: string, signed: string, scope: string, date: string): string {
  const lines = signed.split(';').map((name) => `${name}:${name === 'host' ? url.host : headers.get(name)}\n`).join('');
  const canonical = ['POST', path, '', lines, signed, sha256(body)].join('\n');
  const signingKey = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  return hmac(signingKey, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex');
}

// AWS's own example, of "Examples of the complete Signature Version 4 signing process": this holds the test's signature.
test('the signature that is made again is the one that AWS describes', () => {
  const derived = '20150830/us-east-1/iam/aws4_request'.split('/').reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
  const canonical = ['GET', '/', 'Action=ListUsers&Version=2010-05-08',
    'content-type:application/x-www-form-urlencoded; charset=utf-8\nhost:iam.amazonaws.com\nx-amz-date:20150830T123600Z\n',
    'content-type;host;x-amz-date', sha256('')].join('\n');
  expect(sha256(canonical)).toBe('f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59');
  const toSign = ['AWS4-HMAC-SHA256', '20150830T123600Z', '20150830/us-east-1/iam/aws4_request', sha256(canonical)].join('\n');
  expect(hmac(derived as Buffer, toSign).toString('hex')).toBe('5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7');
});

// Once with the path as it was sent, and once with one that was decoded and encoded twice: a gateway may do either.
test.each(['alice', 'alice@example.com', 'auth0|123', 'a b', 'a+b=c&d$e:f', "(a)!*'", 'é素', 'a/b', '=a', '100%', 'a~b'])(
  'a request for %s is signed',
  async (user) => {
    let got: Arrived | undefined;
    const host = newHost((arrived) => ((got = arrived), new Response(null, { status: 204 })), {
      url: 'https://abc123.execute-api.eu-central-1.amazonaws.com/prod',
      credentials: sigV4({ provider, region: 'eu-central-1' }),
    });
    await host.report(user, { type: 'login' });

    const scope = '20260314/eu-central-1/execute-api/aws4_request';
    const [, signed, sent] = /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20260314\/eu-central-1\/execute-api\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/
      .exec(got!.headers.get('authorization')!)!;
    expect(got!.headers.get('x-amz-date')).toBe('20260314T150926Z');
    expect(got!.headers.get('x-amz-security-token')).toBe('session/token==');
    expect(got!.headers.has('host')).toBe(false);
    expect(signed!.split(';')).toEqual(expect.arrayContaining(['content-type', 'host', 'x-amz-date', 'x-amz-security-token']));
    const path = got!.url.pathname;
    const decoded = eachSegment(path, decodeURIComponent);
    for (const canonical of [eachSegment(path, unreserved), eachSegment(decoded, (s) => unreserved(unreserved(s)))]) {
      expect(sent).toBe(signature(got!, canonical, signed!, scope, '20260314T150926Z'));
    }
  },
);

test('a role is asked each time, and needs no session token', async () => {
  const turns = vi.fn(async () => ({ accessKeyId: `AKID${turns.mock.calls.length}`, secretAccessKey }));
  const seen: string[] = [];
  const host = newHost(({ headers }) => {
    seen.push(/Credential=(\w+)/.exec(headers.get('authorization')!)![1]! + (headers.get('x-amz-security-token') ?? ''));
    return new Response(null, { status: 204 });
  }, { credentials: sigV4({ provider: turns, region: 'eu-central-1' }) });
  await host.report('alice', { type: 'login' });
  await host.report('alice', { type: 'login' });
  expect(seen).toEqual(['AKID1', 'AKID2']);
});

test.each<[string, () => Promise<never>]>([
  ['rejects', () => Promise.reject(new Error('no role'))],
  ['throws', () => { throw new Error('no role'); }],
  ['gives nothing', async () => undefined as never],
  ['gives half', async () => ({ accessKeyId: 'AKIDEXAMPLE' }) as never],
])('nothing is sent when the provider %s', async (_, provider) => {
  const sent = vi.fn(() => new Response(null, { status: 204 }));
  const host = newHost(sent, { credentials: sigV4({ provider, region: 'eu-central-1' }) });
  const e = await thrown(host.report('alice', { type: 'login' }));
  expect(e).toBeInstanceOf(Unavailable);
  expect((e as Error).cause).toBeInstanceOf(Error);
  expect(sent).not.toHaveBeenCalled();
});

test.each<[string, () => unknown]>([
  ['no key', () => serviceKey('')],
  ['a key with a line', () => serviceKey('hunter2\n')],
  ['a key with a letter é', () => serviceKey('hunter2é')],
  ['a key that is none', () => serviceKey(undefined as unknown as string)],
  ['a role of nobody', () => sigV4({ region: 'eu-central-1' } as never)],
  ['a role of no region', () => sigV4({ provider } as never)],
])('%s is refused, and not told', (_, make) => {
  expect(make).toThrow(TypeError);
  expect(make).not.toThrow(/hunter2/);
});

test('a service key does not show', () => {
  const credentials = serviceKey(key);
  const host = newHost(() => Response.json({}), { credentials });
  for (const text of [inspect(credentials, { depth: 9, showHidden: true }), JSON.stringify(credentials), inspect(host, { depth: 9, showHidden: true })]) {
    expect(text).not.toContain(key);
  }
});
