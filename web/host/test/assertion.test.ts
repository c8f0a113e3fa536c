import { expect, test, vi } from 'vitest';
import { type Redeemer, Redeemed, Refused, Unavailable } from '../src/index.ts';
import { Keys, expected, now, shown, thrown } from './standin.ts';

// Which assertions are refused, vectors.test.ts says.

test('of any number who present an assertion at the same time, one gets in', async () => {
  const keys = new Keys();
  const host = keys.host();
  const assertion = keys.assertion();
  const all = await Promise.allSettled(Array.from({ length: 100 }, () => host.verifyAssertion(assertion, expected)));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(all.filter((one) => one.status === 'rejected' && one.reason instanceof Redeemed)).toHaveLength(99);
});

test('the redeemer is told how long to remember, and only of what is good', async () => {
  const keys = new Keys();
  const redeem = vi.fn(async () => true);
  const host = keys.host({ redeemer: { redeem } });
  for (const bad of [keys.assertion({ user: 'auth0|bob' }), keys.assertion({ kid: 'key-7' }), keys.assertion() + 'A', '']) {
    expect(await thrown(host.verifyAssertion(bad, expected))).toBeInstanceOf(Refused);
  }
  expect(redeem).not.toHaveBeenCalled();
  const { id } = await host.verifyAssertion(keys.assertion(), expected);
  expect(redeem.mock.calls).toEqual([[id, new Date(Math.floor(now / 1000) * 1000 + 70_000)]]);
});

const cause = new Error('database down');
test.each<[string, () => unknown]>([
  ['throws', () => { throw cause; }],
  ['rejects', () => Promise.reject(cause)],
  ['says nothing', () => undefined],
  ['resolves to nothing', async () => undefined],
  ['says 1', async () => 1],
  ['says "true"', async () => 'true'],
  ['says null', async () => null],
  ['tells of a row', async () => ({ rowCount: 1 })],
])('nobody gets in on a redeemer that %s', async (_, redeem) => {
  const keys = new Keys();
  const host = keys.host({ redeemer: { redeem } as Redeemer });
  expect(await thrown(host.verifyAssertion(keys.assertion(), expected))).toBeInstanceOf(Unavailable);
});

test('the cause of a redeemer that fails is told', async () => {
  const keys = new Keys();
  const host = keys.host({ redeemer: { redeem: () => Promise.reject(cause) } });
  expect(await thrown(host.verifyAssertion(keys.assertion(), expected))).toHaveProperty('cause', cause);
});

test.each([undefined, null, 7, {}, ['x'], 'A'.repeat(1 << 24)])('what is no assertion is refused', async (assertion) => {
  expect(await thrown(new Keys().host().verifyAssertion(assertion as string, expected))).toBeInstanceOf(Refused);
});

test.each([undefined, {}, { user: 'auth0|alice' }, { nonce: 'n' }, { user: '', nonce: '' }, { user: 7, nonce: 7 }])(
  'nothing is as expected where nothing is expected',
  async (nothing) => {
    const keys = new Keys();
    expect(await thrown(keys.host().verifyAssertion(keys.assertion(), nothing as typeof expected))).toBeInstanceOf(Refused);
    expect(keys.fetches).toBe(0);
  },
);

test('the issuer may be another than the URL', async () => {
  const keys = new Keys();
  const host = keys.host({ issuer: 'https://login.example.com' });
  expect(await thrown(host.verifyAssertion(keys.assertion(), expected))).toBeInstanceOf(Refused);
  await keys.host({ issuer: 'https://2fa.example.com', audience: 'https://shop.example.com' }).verifyAssertion(keys.assertion(), expected);
});

test('what is expected is read once', async () => {
  const keys = new Keys();
  const want = { ...expected };
  const verified = keys.host().verifyAssertion(keys.assertion({ user: 'auth0|bob' }), want);
  want.user = 'auth0|bob'; // while the keys are on their way
  expect(await thrown(verified)).toBeInstanceOf(Refused);
});

test.each([
  ['issued in the future: issued at 2026-03-15T15:09:26Z, it is 2026-03-14T15:09:26Z here', 86_400_000],
  ['expired: expired at 2026-03-13T15:10:26Z, it is 2026-03-14T15:09:26Z here', -86_400_000],
])('whoever has to set a clock right is told both: %s', async (told, ahead) => {
  const keys = new Keys();
  keys.clock += ahead;
  const e = await thrown(keys.host({ now: () => now }).verifyAssertion(keys.assertion(), expected));
  expect(e).toBeInstanceOf(Refused);
  expect(shown(e)).toContain(told);
});
