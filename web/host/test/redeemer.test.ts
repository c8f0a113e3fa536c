import { expect, test } from 'vitest';
import { memoryRedeemer } from '../src/index.ts';
import { maxRemembered } from '../src/redeemer.ts';
import { now } from './standin.ts';

const end = new Date(now + 70_000);

test('each jti is redeemed once, until it has expired', async () => {
  let clock = now;
  const r = memoryRedeemer(() => clock);
  expect(await r.redeem('a', end)).toBe(true);
  expect(await r.redeem('a', end)).toBe(false);
  expect(await r.redeem('b', end)).toBe(true);
  expect(await r.redeem('__proto__', end)).toBe(true);
  clock = end.getTime() - 1;
  expect(await r.redeem('a', end)).toBe(false);
  clock = end.getTime();
  await expect(r.redeem('a', end)).rejects.toThrow('already expired');
  await expect(r.redeem('never seen', end)).rejects.toThrow('already expired');
  await expect(r.redeem('never seen', new Date(NaN))).rejects.toThrow('already expired');
});

test('it is never larger than it may be, and forgets nothing that is still good to make room', async () => {
  let clock = now;
  const r = memoryRedeemer(() => clock);
  const soon = new Date(now + 10_000);
  for (let i = 0; i < maxRemembered; i++) {
    if (!(await r.redeem(`${i}`, i < 2 ? soon : end))) {
      throw new Error(`assertion ${i} was not the first`);
    }
  }
  await expect(r.redeem('one more', end)).rejects.toThrow('full');
  expect(await r.redeem('5', end)).toBe(false);
  clock = soon.getTime();
  expect(await r.redeem('one more', end)).toBe(true);
  expect(await r.redeem('two more', end)).toBe(true);
  await expect(r.redeem('three more', end)).rejects.toThrow('full');
  clock = end.getTime();
  expect(await r.redeem('three more', new Date(clock + 70_000))).toBe(true);
});

test('it has a clock of its own', async () => {
  expect(await memoryRedeemer().redeem('a', new Date(Date.now() + 60_000))).toBe(true);
});
