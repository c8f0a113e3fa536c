import { timingSafeEqual } from 'node:crypto';
import { compactVerify, errors } from 'jose';
import { Refused, Unavailable } from './errors.ts';
import type { KeySet } from './keys.ts';

const assertionType = 'nightlatch+jwt';
const maxAssertion = 8 << 10; // characters; one has about 600
// How far the host's clock and the service's may be apart, in seconds: an assertion is taken this long before its iat and
// after its exp.
const leeway = 10;

/** What the host knows of the pending sign-in. Both are required. */
export interface Expected {
  /** The user id whose password was right. */
  user: string;
  /** The one that was sent with the challenge. */
  nonce: string;
}

/** What an assertion says. */
export interface Claims {
  user: string;
  /** totp, backup_code or reset_link. */
  method: string;
  /** Of 2FA after this sign-in: enabled or disabled. */
  state: string;
  /** The host's own values, and otp and mfa, or backup_code, or reset_link. */
  amr: string[];
  /** Of the second factor: the auth_time for the host's session. */
  authTime: Date;
  issuedAt: Date;
  expiresAt: Date;
  /** The jti. */
  id: string;
}

/** Which service has made an assertion, for whom. */
export interface Parties {
  readonly issuer: string;
  readonly audience: string;
}

/**
 * Returns what the service has signed as an assertion (RFC 7515 §5.2, RFC 8725 §3.1, §3.11). The key is one of the service's
 * own, whatever the header says.
 */
export async function verifySignature(assertion: string, keys: KeySet): Promise<unknown> {
  if (typeof assertion !== 'string' || assertion.length > maxAssertion || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(assertion) ||
    !assertion.split('.').every(hasOneSpelling)) {
    throw new Refused('it is not a signed token');
  }
  try {
    const { payload } = await compactVerify(
      assertion,
      ({ typ, kid }) => {
        if (typ !== assertionType) {
          throw new Refused(`its typ is not ${assertionType}`);
        }
        if (typeof kid !== 'string') {
          throw new Refused('it does not name its key');
        }
        return keys.key(kid);
      },
      { algorithms: ['ES256'] },
    );
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch (e) {
    if (e instanceof Refused || e instanceof Unavailable) {
      throw e;
    }
    // The error itself may repeat what was sent.
    const wrong = e instanceof errors.JWSSignatureVerificationFailed;
    throw new Refused(wrong ? 'its signature is not the service\'s' : 'it is not JSON that was signed by ES256');
  }
}

/** Says whether nothing is to spare in base64url: bits that mean nothing would make several texts of one assertion. */
function hasOneSpelling(part: string): boolean {
  return Buffer.from(part, 'base64url').toString('base64url') === part;
}

/** Compares what was signed with what is expected. It also returns from when on no host would take the assertion. */
export function check(signed: unknown, { issuer, audience }: Parties, want: Expected, now: number): { claims: Claims; expires: Date } {
  if (typeof signed !== 'object' || signed === null || Array.isArray(signed)) {
    throw new Refused('it has no claims');
  }
  const claim = signed as Record<string, unknown>;
  const issued = seconds(claim, 'iat');
  const expires = seconds(claim, 'exp');
  const claims: Claims = {
    user: text(claim, 'sub'),
    method: text(claim, 'method'),
    state: text(claim, 'state'),
    amr: texts(claim, 'amr'),
    authTime: date(seconds(claim, 'auth_time')),
    issuedAt: date(issued),
    expiresAt: date(expires),
    id: text(claim, 'jti'),
  };
  const rules: [holds: boolean, otherwise: string][] = [
    [text(claim, 'iss') === issuer, 'it is of another issuer'],
    [text(claim, 'aud') === audience, 'it is for another audience'], // never a list: the service signs for one host
    [issued > 0, 'it has no iat'],
    [now >= 1000 * (issued - leeway), `it was issued in the future: ${clocks('issued', issued, now)}`],
    [now < 1000 * (expires + leeway), `it has expired: ${clocks('expired', expires, now)}`],
    [claims.id !== '', 'it has no jti'],
    [same(claims.user, want.user), 'it is for another user'],
    [same(text(claim, 'nonce'), want.nonce), 'it is for another sign-in'],
  ];
  for (const [holds, otherwise] of rules) {
    if (!holds) {
      throw new Refused(otherwise);
    }
  }
  return { claims, expires: date(expires + leeway) };
}

/** Tells both, since the one who reads it may have to set one of them right. */
function clocks(did: string, seconds: number, now: number): string {
  const [then, here] = [seconds, Math.floor(now / 1000)].map((time) => date(time).toISOString().replace('.000Z', 'Z'));
  return `${did} at ${then}, it is ${here} here`;
}

// A claim that is missing is an empty one, or the year 1970; one of another type refuses the assertion.

function text(claims: Record<string, unknown>, name: string): string {
  const value = claims[name] ?? '';
  if (typeof value !== 'string') {
    throw new Refused(`its ${name} is no text`);
  }
  return value;
}

function texts(claims: Record<string, unknown>, name: string): string[] {
  const value = claims[name] ?? [];
  if (!Array.isArray(value) || !value.every((member) => typeof member === 'string')) {
    throw new Refused(`its ${name} is no list of texts`);
  }
  return value;
}

const lastSecond = 8.64e12 - leeway; // that a Date can tell

function seconds(claims: Record<string, unknown>, name: string): number {
  const value = claims[name] ?? 0;
  if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) > lastSecond) {
    throw new Refused(`its ${name} is no time`);
  }
  return value;
}

function date(seconds: number): Date {
  return new Date(1000 * seconds);
}

/** Compares in a time that does not tell where they differ. In UTF-16, since UTF-8 has one spelling for all lone surrogates. */
function same(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a, 'utf16le'), Buffer.from(b, 'utf16le')];
  return x.length === y.length && timingSafeEqual(x, y);
}
