import { type CryptoKey, importJWK } from 'jose';
import { limited, object, problem, read } from './call.ts';
import { Refused, Unavailable } from './errors.ts';

const second = 1000;
const freshFor = 3600 * second; // how long keys are used before they are fetched again, unless they say less
const staleFor = 24 * 3600 * second; // how long they are used while fetching fails: a new key is published a day before it signs
const fetchGap = 60 * second; // between fetches, as long as there are keys at all
const fetchFor = 5 * second; // a fetch, at most

/**
 * The service's public signing keys, fetched when they are needed. They are used as long as their cache-control says, an
 * hour at most, and for a day while fetching fails. A key that is not among them has them fetched again, but not within a
 * minute of the last time, so that nobody can make a host hammer the service with key ids of their own.
 */
export class KeySet {
  readonly #url: URL;
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  readonly #patience: number;

  #keys: Map<string, CryptoKey> | undefined;
  #fresh = freshFor;
  #got = -Infinity; // when the fetch that got keys began
  #tried = -Infinity; // when the last one began
  #error: unknown; // of the last one
  #going: Promise<void> | undefined; // the one that is going on

  constructor(url: URL, send: typeof fetch, now: () => number, timeout: number) {
    this.#url = url;
    this.#fetch = send;
    this.#now = now;
    this.#patience = Math.min(fetchFor, timeout);
  }

  /** The key with the given id. Refused when the service has no such key, Unavailable when that cannot be told. */
  async key(id: string): Promise<CryptoKey> {
    if (this.#due(id, this.#now())) {
      this.#going ??= this.#renew(this.#now()).finally(() => (this.#going = undefined));
      await this.#going;
    }
    const usable = this.#usable(this.#now());
    const key = this.#keys?.get(id);
    if (usable && key) {
      return key;
    }
    if (!usable || this.#error !== undefined) {
      // An unknown one may be a new one.
      throw new Unavailable('the signing keys cannot be had', { cause: this.#error });
    }
    throw new Refused('the service has no such signing key');
  }

  #usable(now: number): boolean {
    return this.#keys !== undefined && within(staleFor, this.#got, now);
  }

  /** Says whether keys must be fetched before this one is looked up. */
  #due(id: string, now: number): boolean {
    if (!this.#usable(now)) {
      return true;
    }
    if (within(fetchGap, this.#tried, now)) {
      return false;
    }
    return !this.#keys?.has(id) || !within(this.#fresh, this.#got, now);
  }

  async #renew(began: number): Promise<void> {
    this.#tried = began;
    try {
      const { keys, fresh } = await limited(this.#patience, (signal) => this.#get(signal));
      this.#keys = keys;
      this.#fresh = fresh;
      this.#got = began;
      this.#error = undefined;
    } catch (error) {
      this.#error = error;
    }
  }

  async #get(signal: AbortSignal): Promise<{ keys: Map<string, CryptoKey>; fresh: number }> {
    const { response, text } = await read(this.#fetch, this.#url, { headers: { accept: 'application/json' }, signal });
    if (response.status !== 200) {
      throw problem(response, text);
    }
    const age = /(?:^|[\s,])max-age=(\d{1,9})\b/i.exec(response.headers.get('cache-control') ?? '')?.[1];
    const fresh = age === undefined ? freshFor : Math.min(freshFor, Number(age) * second);
    return { keys: await parseKeys(text), fresh };
  }
}

/** Says whether less than a time has passed since another. A clock that was put back makes it false. */
function within(time: number, since: number, now: number): boolean {
  return since <= now && now - since < time;
}

/**
 * Reads the ES256 keys of a JWK set (RFC 7517 §5, RFC 7518 §6.2), and passes over others: the service may sign by another
 * algorithm one day. A set without any is an error, so that it never takes the place of one that has some.
 */
async function parseKeys(text: string): Promise<Map<string, CryptoKey>> {
  const { keys: set } = object(text);
  const keys = new Map<string, CryptoKey>();
  for (const jwk of Array.isArray(set) ? set : []) {
    const { kty, crv, x, y, d, kid, use, alg } = (jwk ?? {}) as Record<string, unknown>;
    const ours = kty === 'EC' && crv === 'P-256' && d === undefined && (use ?? 'sig') === 'sig' && (alg ?? 'ES256') === 'ES256';
    if (!ours || typeof kid !== 'string' || kid === '' || typeof x !== 'string' || typeof y !== 'string') {
      continue;
    }
    try {
      keys.set(kid, (await importJWK({ kty, crv, x, y }, 'ES256')) as CryptoKey);
    } catch {
      // Not on the curve.
    }
  }
  if (keys.size === 0) {
    throw new Unavailable('JWK set: no ES256 key');
  }
  return keys;
}
