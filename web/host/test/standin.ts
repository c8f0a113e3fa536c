// As much of the service as a host sees, without a network.
import { type KeyObject, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { Host, type Options, memoryRedeemer, serviceKey } from '../src/index.ts';

export const issuer = 'https://2fa.example.com';
export const audience = 'https://shop.example.com';
export const key = 'key-of-the-local-server';
export const now = Date.UTC(2026, 2, 14, 15, 9, 26, 535);
export const expected = { user: 'auth0|alice', nonce: 'nOnCe-4f7s9d2k1j3h5g6a8q0w' };

/** A request as it arrives. */
export interface Arrived {
  method: string;
  url: URL;
  headers: Headers;
  body: string;
  redirect: string | undefined;
  signal: AbortSignal;
}

export type Handler = (request: Arrived) => Response | Promise<Response>;

/** A fetch that is answered by a handler. */
export function answeredBy(handler: Handler): typeof fetch {
  return async (input, init = {}) =>
    handler({
      method: init.method ?? 'GET',
      url: new URL(String(input)),
      headers: new Headers(init.headers),
      body: String(init.body ?? ''),
      redirect: init.redirect,
      signal: init.signal!,
    });
}

export function newHost(handler: Handler, edit: Partial<Options> = {}): Host {
  const clock = edit.now ?? (() => now);
  return new Host({
    url: issuer,
    audience,
    credentials: serviceKey(key),
    redeemer: memoryRedeemer(clock),
    fetch: answeredBy(handler),
    now: clock,
    ...edit,
  });
}

/** Publishes keys and signs, at a time that can be moved. Its answer for the keys can be made another. */
export class Keys {
  clock = now;
  fetches = 0;
  headers: Record<string, string> = {};
  instead: Handler | undefined;
  #pairs: { kid: string; privateKey: KeyObject; publicKey: KeyObject }[] = [];

  constructor() {
    this.rotate();
  }

  /** Publishes a new key, keeps the old ones, and signs with the new one. */
  rotate(): void {
    this.#pairs.push({ kid: `key-${this.#pairs.length + 1}`, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) });
  }

  /** Publishes only the newest. */
  withdraw(): void {
    this.#pairs = this.#pairs.slice(-1);
  }

  get jwks() {
    return { keys: this.#pairs.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid })) };
  }

  /** A new assertion, by the newest key or the one that is so many older. */
  assertion(edit: { kid?: string; older?: number; user?: string } = {}): string {
    const { kid, privateKey } = this.#pairs.at(-1 - (edit.older ?? 0))!;
    const iat = Math.floor(this.clock / 1000);
    const encode = (x: object) => Buffer.from(JSON.stringify(x)).toString('base64url');
    const text = [
      encode({ alg: 'ES256', typ: 'nightlatch+jwt', kid: edit.kid ?? kid }),
      encode({
        iss: issuer, aud: audience, sub: edit.user ?? expected.user, nonce: expected.nonce, iat, exp: iat + 60, jti: randomUUID(),
        auth_time: iat, method: 'totp', state: 'enabled', amr: ['pwd', 'otp', 'mfa'],
      }),
    ].join('.');
    return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  readonly handler: Handler = (request) => {
    if (request.url.href !== `${issuer}/.well-known/jwks.json` || request.method !== 'GET' || request.headers.has('authorization')) {
      return new Response('the keys are public', { status: 418 });
    }
    this.fetches++;
    return this.instead ? this.instead(request) : Response.json(this.jwks, { headers: this.headers });
  };

  host(edit: Partial<Options> = {}): Host {
    return newHost(this.handler, { now: () => this.clock, ...edit });
  }
}

/** What a promise ends with: what it threw, or undefined. */
export async function thrown(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (e) {
    return e;
  }
}

/** All that an error may show in a log. */
export function shown(e: unknown): string {
  let text = '';
  for (let cause = e; cause instanceof Error; cause = cause.cause) {
    text += `${cause.stack}\n${JSON.stringify(cause)}\n${JSON.stringify(Object.getOwnPropertyDescriptors(cause))}\n`;
  }
  return text;
}
