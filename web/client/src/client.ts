import createClient from 'openapi-fetch'

import type { components, paths } from './openapi.ts'
import { isObject, Refusal, Unreachable, type Code } from './refusal.ts'
import type {
  BackupCode, Case, Cases, CaseState, Checked, Confirmed, ConfirmedInSignIn, Decided, Decision, EnrollmentRequired, HistoryPage, LinkAbout,
  ResetRequested, SetUp, SignedIn, Status,
} from './types.ts'

export interface ClientOptions {
  /** Where the API is, without a slash at its end; empty: where the page is. */
  url?: string
  /**
   * The signed-in user's token, asked for at each request that needs it. To reject says that there is none, like a 401 of the
   * service; with what fetch rejects with (TypeError, DOMException), that it could not be asked for.
   */
  session?: () => string | undefined | Promise<string | undefined>
  /** Instead of the browser's own. */
  fetch?: typeof fetch
  /** How long an answer may take, in milliseconds. */
  timeout?: number
  /** Once it is aborted, nothing is sent any more, and of what was sent no answer is told. */
  signal?: AbortSignal
}

/** What a code, a grant or nothing stands for: who may begin or renew. */
export type Proof = { code: string } | { grant: string } | Record<string, never>

/** What an answer must have, to be one: the rest is the service's business. */
type Member<T> = T extends unknown ? keyof T : never
type Call<T> = () => Promise<{ data?: T; error?: unknown; response: Response }>

/** Answers with more to wait for are asked again, at most so many times in all. */
const tries = 3
/** A pause that the service asks for is kept up to this many seconds; of a longer one the user is told. */
const longestPause = 2

/** A key for one intent: the same intent sent again under it takes effect once. */
export function newKey(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24)))).replaceAll('+', '-').replaceAll('/', '_')
}

/**
 * The routes that a browser may call, one method each. Each resolves with the body of the answer, or rejects with a
 * {@link Refusal} or {@link Unreachable}, after it has sent again what is safe to send again: under the same
 * Idempotency-Key, or the same challenge and code, it takes effect once. (A wrong code whose answer was lost counts again;
 * a right one is the more likely, and whose user must not be told that it was used.)
 */
export class Client {
  readonly #api: ReturnType<typeof createClient<paths>>
  readonly #session: NonNullable<ClientOptions['session']>
  readonly #end: AbortSignal | undefined

  constructor(options: ClientOptions = {}) {
    const send = options.fetch ?? globalThis.fetch.bind(globalThis)
    const timeout = options.timeout ?? 15_000
    this.#session = options.session ?? (() => undefined)
    this.#end = options.signal
    this.#api = createClient<paths>({
      baseUrl: options.url ?? '',
      cache: 'no-store',
      credentials: 'omit', // tokens alone say who calls: no cookie of the page's origin has any business here
      referrerPolicy: 'no-referrer',
      fetch: (request) => send(new Request(request, { signal: AbortSignal.timeout(timeout) })),
    })
  }

  // A session's

  beginEnrollment(proof: Proof = {}, key = newKey()): Promise<SetUp> {
    return this.#send('enrollment_id', async () => this.#api.POST('/v1/enroll', { body: proof, headers: await this.#headers(key) }))
  }

  confirmEnrollment(enrollment_id: string, code: string, key = newKey()): Promise<Confirmed> {
    return this.#send('activated_at', async () => this.#api.POST('/v1/enroll/confirm', { body: { enrollment_id, code }, headers: await this.#headers(key) }))
  }

  discardEnrollment(): Promise<void> {
    return this.#send(undefined, async () => this.#api.DELETE('/v1/enroll', { headers: await this.#headers() }))
  }

  /** A dry run. It is not sent again by itself: a wrong code would count twice. */
  check(code: string): Promise<Checked> {
    return this.#send('valid', async () => this.#api.POST('/v1/check', { body: { code }, headers: await this.#headers() }), 1)
  }

  createBackupCode(proof: Proof, key = newKey()): Promise<BackupCode> {
    return this.#send('backup_code', async () => this.#api.POST('/v1/backup-code', { body: proof, headers: await this.#headers(key) }))
  }

  /** Resolves with the grant for the create that follows. */
  async revokeBackupCode(code: string, key = newKey()): Promise<string> {
    const { grant } = await this.#send('grant', async () => this.#api.POST('/v1/backup-code/revoke', { body: { code }, headers: await this.#headers(key) }))
    return grant
  }

  async disable(code: string, key = newKey()): Promise<void> {
    await this.#send('state', async () => this.#api.POST('/v1/disable', { body: { code }, headers: await this.#headers(key) }))
  }

  status(): Promise<Status> {
    return this.#send('policy', async () => this.#api.GET('/v1/status', { headers: await this.#headers() }))
  }

  history(cursor?: string, limit?: number): Promise<HistoryPage> {
    const query = { ...(cursor === undefined ? {} : { cursor }), ...(limit === undefined ? {} : { limit }) }
    return this.#send('events', async () => this.#api.GET('/v1/history', { params: { query }, headers: await this.#headers() }))
  }

  async cancelReset(): Promise<void> {
    await this.#send('state', async () => this.#api.DELETE('/v1/reset', { headers: await this.#headers() }))
  }

  // A challenge's

  verify(challenge: string, method: components['schemas']['VerifyRequest']['method'], code: string): Promise<SignedIn | EnrollmentRequired> {
    return this.#inSignIn('state', () => this.#api.POST('/v1/verify', { body: { challenge, method, code } }))
  }

  beginEnrollmentInSignIn(challenge: string, key = newKey()): Promise<SetUp> {
    return this.#inSignIn('enrollment_id', () => this.#api.POST('/v1/verify/enroll', { body: { challenge }, headers: { 'idempotency-key': key } }))
  }

  confirmEnrollmentInSignIn(challenge: string, enrollment_id: string, code: string, key = newKey()): Promise<ConfirmedInSignIn> {
    const body = { challenge, enrollment_id, code }
    return this.#inSignIn('activated_at', () => this.#api.POST('/v1/verify/enroll/confirm', { body, headers: { 'idempotency-key': key } }))
  }

  requestReset(challenge: string): Promise<ResetRequested> {
    return this.#inSignIn('reference', () => this.#api.POST('/v1/reset-request', { body: { challenge } }))
  }

  // A mailed link's

  showResetLink(token: string): Promise<LinkAbout> {
    return this.#send('purpose', () => this.#api.POST('/v1/reset/show', { body: { token } }))
  }

  /** Resolves with the address where the identity check goes on, for one use. */
  async goToIdentityCheck(token: string): Promise<string> {
    const { url } = await this.#send('url', () => this.#api.POST('/v1/reset/identity', { body: { token } }))
    return url
  }

  async cancelResetByLink(token: string): Promise<void> {
    await this.#send('state', () => this.#api.POST('/v1/reset/cancel', { body: { token } }))
  }

  // A reviewer's

  /** Cases by their state; those that wait for a reviewer unless another is asked for. */
  reviews(state?: CaseState, cursor?: string): Promise<Cases> {
    const query = { ...(state === undefined ? {} : { state }), ...(cursor === undefined ? {} : { cursor }) }
    return this.#send('cases', async () => this.#api.GET('/v1/reviews', { params: { query }, headers: await this.#headers() }))
  }

  review(id: string): Promise<Case> {
    return this.#send('case_version', async () => this.#api.GET('/v1/reviews/{id}', { params: { path: { id } }, headers: await this.#headers() }))
  }

  /** Not sent again by itself: whether it was decided, the case says. */
  decide(id: string, decision: Decision): Promise<Decided> {
    return this.#send('state', async () => this.#api.POST('/v1/reviews/{id}/decision', {
      params: { path: { id } }, body: decision, headers: await this.#headers(),
    }), 1)
  }

  async #headers(key?: string): Promise<Record<string, string>> {
    const session = await this.#token()
    return { ...(session ? { authorization: `Bearer ${session}` } : {}), ...(key ? { 'idempotency-key': key } : {}) }
  }

  async #token(): Promise<string | undefined> {
    try {
      return await this.#session()
    } catch (cause) {
      throw cause instanceof TypeError || cause instanceof DOMException ? cause : Object.assign(new Refusal(401, undefined, null), { cause })
    }
  }

  /** Under a challenge, and without a session: whoever answers 401 there says that the sign-in is over. */
  #inSignIn<T>(member: Member<T>, call: Call<T>): Promise<T> {
    return this.#send(member, call, tries, 'challenge_expired')
  }

  async #send<T>(member: Member<T> | undefined, call: Call<T>, times = tries, over?: Code): Promise<T> {
    for (let tried = 1; ; tried++) {
      const failure = await this.#once(member, call, over)
      if (!(failure instanceof Error)) return failure.data
      const again = failure instanceof Unreachable || (failure instanceof Refusal && failure.code === 'unavailable')
      const pause = failure instanceof Refusal ? failure.retryAfter : 0
      if (!again || tried >= times || pause > longestPause || isOffline() || this.#end?.aborted) throw failure
      // Whoever collided once does not collide at the same moment again.
      await new Promise((resolve) => setTimeout(resolve, Math.max(pause * 1000, 250 * tried) * (1 + Math.random() / 2)))
    }
  }

  async #once<T>(member: Member<T> | undefined, call: Call<T>, over?: Code): Promise<{ data: T } | Refusal | Unreachable> {
    let answer: Awaited<ReturnType<typeof call>>
    try {
      this.#end?.throwIfAborted()
      answer = await call()
      this.#end?.throwIfAborted()
    } catch (cause) {
      return cause instanceof Refusal ? cause : new Unreachable(cause) // also a body that breaks off, or is no JSON: what was said is not known
    }
    const { data, error, response } = answer
    if (response.ok && (member === undefined || (isObject(data) && member in data))) return { data: data as T }
    if (response.ok) return new Unreachable(new Error(`an answer without ${String(member)}`)) // it is somebody else's
    return new Refusal(response.status, error, response.headers.get('retry-after'), over)
  }
}

function isOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false
}
