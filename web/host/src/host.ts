import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { type Claims, type Expected, type Parties, check, verifySignature } from './assertion.ts';
import { type Caller, object, post, userInPath } from './call.ts';
import type { Credentials } from './credentials.ts';
import { Redeemed, Refused, Unavailable } from './errors.ts';
import { KeySet } from './keys.ts';
import type { Redeemer } from './redeemer.ts';
import type { ChallengeRequest, ChallengeResponse, HostEvent } from './types.ts';

// How many reports may be under way beside the answers. While the service is down each takes up to the timeout, and guesses
// of passwords must not fill the memory.
const maxLater = 100;

/** Which service a host asks, and what an assertion must say. */
export interface Options {
  /** Where the service is, as in "https://2fa.example.com". It may have a path, and is https unless it is on the loopback interface. */
  url: string;
  /** The "aud" of assertions: the name under which the service knows this host. */
  audience: string;
  /** Prove to the service that it is this host which calls: sigV4 on AWS, a serviceKey for the local server. */
  credentials: Credentials;
  /**
   * Remembers which assertions were used. A host of more than one process needs one that all of them share, in its
   * database, say; memoryRedeemer is for one process.
   */
  redeemer: Redeemer;
  /** The "iss" of assertions. Default: url, without a slash at its end. */
  issuer?: string;
  /** Sends the requests. Default: the global fetch. */
  fetch?: typeof fetch;
  /** The clock, in milliseconds since 1970. Default: Date.now. */
  now?: () => number;
  /** How long a call may take with its retries, in milliseconds. Default: 10000. */
  timeout?: number;
}

/**
 * Asks the service and verifies its assertions. Make one and keep it.
 *
 * A session may be granted in two places only: where challenge answered `required: false`, and where verifyAssertion
 * returned. Whatever either throws, nobody is signed in.
 */
export class Host {
  readonly #caller: Caller;
  readonly #parties: Parties;
  readonly #keys: KeySet;
  readonly #redeemer: Redeemer;
  readonly #later = new Set<Promise<void>>();

  /** Sends nothing yet. Throws a TypeError that names the option which is wrong. */
  constructor(options: Options) {
    const { audience, credentials, redeemer, now = Date.now, timeout = 10_000 } = options;
    const base = baseURL(options.url);
    const { issuer = base, fetch: send = (...request) => fetch(...request) } = options;
    must(isText(issuer), 'issuer must be a text');
    must(isText(audience), 'audience is required');
    must(typeof credentials?.authorize === 'function', 'credentials are required: serviceKey or sigV4 makes them');
    must(typeof redeemer?.redeem === 'function', 'redeemer is required');
    must(typeof send === 'function', 'fetch must be a function');
    must(typeof now === 'function', 'now must be a function');
    must(timeout > 0 && timeout < 2 ** 31, 'timeout must be a number of milliseconds');
    this.#caller = { base, credentials, fetch: send, now, timeout };
    this.#parties = { issuer, audience };
    this.#keys = new KeySet(new URL(base + '/.well-known/jwks.json'), send, now, timeout);
    this.#redeemer = redeemer;
  }

  /**
   * Asks, after the password was right, whether a second factor is due. If the answer's `required` is false, the user is
   * in. Otherwise the browser takes the answer's `challenge` to the service.
   *
   * Throws Rejected (NotEnabled with `expect: 'enabled'`: an alarm) or Unavailable. An answer that does not say whether a
   * second factor is due, or says two things, is Unavailable.
   *
   * It is tried up to three times while the service cannot be reached, answers 503 or is throttled; each try that got
   * through shows as a challenge_issued in the history, and only the last one's challenge is returned.
   */
  async challenge(request: ChallengeRequest): Promise<ChallengeResponse> {
    must(isText(request.user_id), 'user_id is required');
    must(isText(request.nonce), 'nonce is required: newNonce makes one');
    return offerOf(await post(this.#caller, '/v1/challenges', request, 200), request.expect);
  }

  /**
   * Tells the service what happened at the login of a user: a sign-in without a second factor, a wrong password, a new
   * password or address, an account that is deleted. Wait for it: a new password voids what was begun with the old one only
   * once the service knows of it. A wrong password alone is for reportPasswordFailed.
   *
   * It is tried up to three times while the service cannot be reached, answers 503 or is throttled, and one that got through
   * without an answer happens twice. A login or password_failed makes two rows in the history then, rather than none. Of the others
   * the second changes nothing more, but for what was begun in the seconds between: a challenge or a grant is void after a
   * second password_changed, a set-up is gone after a second deleted. When it throws, report again.
   *
   * A password_failed is not tried again when it is throttled: somebody who tries passwords makes many, and they must not
   * stand in the way of the others, which share the throttle.
   */
  async report(user: string, event: HostEvent): Promise<void> {
    must(isText(user), 'a user is required');
    await post(this.#caller, `/v1/users/${userInPath(user)}/events`, event, 204, event.type === 'password_failed');
  }

  /**
   * Reports a wrong password of a user, and where it came from. It returns at once: answer first, then call this. Only a
   * known user has a wrong password to be reported, so an answer whose time or status depends on the report tells which
   * addresses there are. What must not get lost, and all the rest is that, is for report, which is waited for.
   *
   * What report would throw goes to `failed`; it is to be logged, and is no reason to answer otherwise. What `failed` throws
   * is printed, and goes no further. No more than 100 reports are under way at once: one beyond that is not sent, and
   * `failed` is called with Unavailable.
   *
   * A report that is throttled is not tried again, unlike the others: while somebody tries passwords, the history misses
   * some of them, and a password_changed gets through.
   *
   * It is for programs that live on after an answer. In Lambda, which freezes them then, put the report in a queue of your
   * own before the answer, and do so for unknown addresses, too; or answer each wrong password after the same time,
   * whatever has become of a report that was begun when it came in.
   */
  reportPasswordFailed(user: string, from: Pick<HostEvent, 'ip' | 'user_agent'>, failed: (error: unknown) => void): void {
    must(typeof failed === 'function', 'failed is required');
    // An unhandled rejection would end the program.
    const tell = async (error: unknown) => {
      try {
        await failed(error); // which may be async
      } catch (e) {
        console.error('nightlatch: the failed of reportPasswordFailed has failed:', e);
      }
    };
    if (this.#later.size === maxLater) {
      void tell(new Unavailable(`${maxLater} reports are under way already`));
      return;
    }
    const event: HostEvent = { ...from, type: 'password_failed' };
    const sent = this.report(user, event).catch(tell).finally(() => this.#later.delete(sent));
    this.#later.add(sent);
  }

  /**
   * Waits until no reportPasswordFailed is under way, which takes `timeout` at most once there are no new ones: call it where a
   * program shuts down, after its server has closed and before process.exit.
   */
  async flush(): Promise<void> {
    while (this.#later.size > 0) {
      await Promise.allSettled(this.#later);
    }
  }

  /**
   * Says whether an assertion is the service's, for this host, this user and this sign-in, and redeems it. Only when it
   * returns is the user in.
   *
   * Throws Refused, Redeemed (which is Refused, too) when it is good but was used before, and Unavailable when it could not
   * be told. The host's clock may differ from the service's by 10 seconds. The service's keys are fetched once an hour;
   * while that fails, those at hand are used for a day.
   */
  async verifyAssertion(assertion: string, expected: Expected): Promise<Claims> {
    if (!isText(expected?.user) || !isText(expected.nonce)) {
      throw new Refused('what is expected has no user, or no nonce');
    }
    const want = { user: expected.user, nonce: expected.nonce };
    const signed = await verifySignature(assertion, this.#keys);
    const { claims, expires } = check(signed, this.#parties, want, this.#caller.now());
    // Last, so that an assertion which is refused for anything else is not used up.
    let first: unknown;
    try {
      first = await this.#redeemer.redeem(claims.id, expires);
    } catch (cause) {
      throw new Unavailable('the redeemer has failed', { cause });
    }
    if (first === false) {
      throw new Redeemed();
    }
    if (first !== true) {
      throw new Unavailable('the redeemer has said neither true nor false');
    }
    return claims;
  }
}

/**
 * A new nonce for a pending sign-in: 128 random bits. Keep it where the browser cannot change it, and use it for one
 * sign-in.
 */
export function newNonce(): string {
  return randomBytes(16).toString('base64url');
}

/** Reads the answer of /v1/challenges. What decides is looked at closely; the rest is for the browser. */
function offerOf(body: string, expect: ChallengeRequest['expect']): ChallengeResponse {
  const offer = object(body);
  const { required, enrollment_required: toEnroll = false, methods, challenge = '', expires_at: ends = null } = offer;
  if (typeof required !== 'boolean') {
    throw new Unavailable('the answer does not say whether a second factor is required');
  }
  if (
    typeof toEnroll !== 'boolean' ||
    !Array.isArray(methods) ||
    !methods.every((method) => isText(method)) ||
    typeof challenge !== 'string' ||
    (ends !== null && !(typeof ends === 'string' && Date.parse(ends) > 0))
  ) {
    throw new Unavailable('the answer is not that of a challenge');
  }
  if (required !== (challenge !== '') || required !== methods.length > 0 || (toEnroll && !required)) {
    throw new Unavailable('the answer contradicts itself');
  }
  if (expect === 'enabled' && (!required || toEnroll)) {
    throw new Unavailable('2FA was expected to be on, and the answer is neither that nor an error');
  }
  return offer as unknown as ChallengeResponse;
}

/** Checks where the service is. Over plain HTTP credentials and challenges could be read, and keys be replaced. */
function baseURL(given: string): string {
  // A URL that the parser would mend is none: what it is made of is compared as it is written.
  must(isText(given) && /^https?:\/\/[^/\s\\]+(\/[^\s\\]*)?$/.test(given) && URL.canParse(given), 'url must be like "https://2fa.example.com"');
  const { protocol, hostname, username, password } = new URL(given);
  must(protocol === 'https:' || loopback(hostname), 'url must be https, unless it is on the loopback interface');
  must(username + password === '' && !/[?#@]/.test(given), 'url must not have a user, a query or a fragment');
  return given.replace(/\/+$/, '');
}

function loopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
}

/** A text that is not empty, and that UTF-8 can spell. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !/\p{Surrogate}/u.test(value);
}

function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) {
    throw new TypeError(`nightlatch: ${otherwise}`);
  }
}
