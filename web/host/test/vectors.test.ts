import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Redeemed, Refused } from '../src/index.ts';
import { newHost, shown, thrown } from './standin.ts';

interface Case {
  name: string;
  verdict: 'accepted' | 'refused';
  assertion: string;
  at?: number;
  user?: string;
  nonce?: string;
  claims?: { sub: string; method: string; state: string; amr: string[]; auth_time: number; iat: number; exp: number; jti: string };
}

// What the Go helper says of the same assertions, pkg/host/vectors_test.go holds it to.
const file = JSON.parse(readFileSync(new URL('../../../pkg/host/testdata/assertions.json', import.meta.url), 'utf8'));
const cases: Case[] = file.cases;

test.each(cases)('$name: $verdict', async ({ verdict, assertion, at = file.at, user = file.user, nonce = file.nonce, claims }) => {
  const host = newHost(() => Response.json(file.jwks), {
    url: file.issuer, audience: file.audience, now: () => 1000 * file.iat + at,
  });
  const verified = host.verifyAssertion(assertion, { user, nonce });
  if (verdict === 'refused') {
    const e = await thrown(verified);
    expect(e).toBeInstanceOf(Refused);
    expect(e).not.toBeInstanceOf(Redeemed);
    for (const part of assertion.split('.').filter((part) => part.length > 20)) {
      expect(shown(e)).not.toContain(part);
    }
    return;
  }
  const date = (seconds: number) => new Date(1000 * seconds);
  expect(await verified).toEqual({
    user, method: claims!.method, state: claims!.state, amr: claims!.amr, authTime: date(claims!.auth_time),
    issuedAt: date(claims!.iat), expiresAt: date(claims!.exp), id: claims!.jti,
  });
  expect(await thrown(host.verifyAssertion(assertion, { user, nonce }))).toBeInstanceOf(Redeemed);
});

test('there are some of each', () => {
  const of = (verdict: string) => cases.filter((c) => c.verdict === verdict).length;
  expect(of('accepted')).toBeGreaterThanOrEqual(5);
  expect(of('refused')).toBeGreaterThanOrEqual(50);
  expect(of('accepted') + of('refused')).toBe(cases.length);
});
