import { expect, test } from 'vitest';
import { Host, type Options, memoryRedeemer, serviceKey, sigV4 } from '../src/index.ts';
import { audience, issuer, key } from './standin.ts';

const good: Options = { url: issuer, audience, credentials: serviceKey(key), redeemer: memoryRedeemer() };

test.each<[string, Partial<Options>]>([
  ['as little as can be', {}],
  ['with a path', { url: 'https://api.example.com/stage/' }],
  ['localhost', { url: 'http://localhost:8787' }],
  ['127.0.0.1', { url: 'http://127.0.0.1:8787' }],
  ['::1', { url: 'http://[::1]:8787' }],
  ['a role', { credentials: sigV4({ provider: async () => ({ accessKeyId: 'a', secretAccessKey: 's' }), region: 'eu-central-1' }) }],
])('%s', (_, edit) => {
  expect(new Host({ ...good, ...edit })).toBeInstanceOf(Host);
});

const url = 'url must';
test.each<[string, Record<string, unknown>, string]>([
  ['no URL', { url: '' }, url],
  ['undefined', { url: undefined }, url],
  ['a URL object', { url: new URL(issuer) }, url],
  ['no scheme', { url: '2fa.example.com' }, url],
  ['no host', { url: 'https://' }, url],
  ['a port only', { url: 'https://:443' }, url],
  ['a path only', { url: 'https:/v1' }, url],
  ['other scheme', { url: 'ftp://2fa.example.com' }, url],
  ['no URL at all', { url: 'https://a b' }, url],
  ['backslashes', { url: 'https:\\\\2fa.example.com' }, url],
  ['a backslash', { url: 'https://2fa.example.com\\@attacker.example' }, url],
  ['a line', { url: 'https://2fa.exam\nple.com' }, url],
  ['plain HTTP', { url: 'http://2fa.example.com' }, 'url must be https'],
  ['almost loopback', { url: 'http://localhost.example.com' }, 'url must be https'],
  ['almost 127.0.0.1', { url: 'http://127.0.0.1.example.com' }, 'url must'],
  ['any address', { url: 'http://0.0.0.0:8787' }, 'url must be https'],
  ['a user', { url: 'https://u:hunter2@2fa.example.com' }, url],
  ['an empty user', { url: 'https://@2fa.example.com' }, url],
  ['a user, unparsable', { url: 'https://u:hunter2@2fa.example.com:x' }, url],
  ['a query', { url: issuer + '?a=b' }, url],
  ['an empty query', { url: issuer + '?' }, url],
  ['a query after a path', { url: issuer + '/?' }, url],
  ['a fragment', { url: issuer + '/#a' }, url],
  ['no audience', { audience: '' }, 'audience'],
  ['an empty issuer', { issuer: '' }, 'issuer'],
  ['no credentials', { credentials: undefined }, 'credentials'],
  ['a bare key', { credentials: 'hunter2' }, 'credentials'],
  ['no redeemer', { redeemer: undefined }, 'redeemer'],
  ['a redeemer that is none', { redeemer: {} }, 'redeemer'],
  ['a fetch that is none', { fetch: 'hunter2' }, 'fetch'],
  ['a clock that is none', { now: 7 }, 'now'],
  ['no time', { timeout: 0 }, 'timeout'],
  ['no number of milliseconds', { timeout: NaN }, 'timeout'],
  ['a time that is too long for a timer', { timeout: 2 ** 31 }, 'timeout'],
])('%s is refused', (_, edit, told) => {
  const make = () => new Host({ ...good, ...edit } as Options);
  expect(make).toThrow(TypeError);
  expect(make).toThrow(`nightlatch: ${told}`);
  expect(make).not.toThrow(/hunter2/);
});
