// The routes that the local server has besides the API: the demo host's two, and those to look inside with.
import type { Offer, Policy, Status } from '@nightlatch/client'

export interface Mail {
  id: string
  at: string
  to: string[]
  subject: string
  text: string
}

/** An account as the engine stores it. Its secrets are sealed. */
export type Version = Record<string, unknown> & {
  version?: number
  events?: StoredEvent[]
  /** The authenticator in force; without one two-factor authentication is off. */
  auth?: { last?: number }
  codes?: { locked_until?: string }
}

export interface StoredEvent {
  id: string
  at: string
  type: string
  outcome?: string
  method?: string
  operation?: string
  reason?: string
}

export interface Stored {
  item: Version
  /** Newest first; the first is the item. */
  versions: Version[]
}

/** What the store was asked for since the start: strongly consistent reads, and conditional writes. */
export interface Counters {
  reads: number
  writes: number
}

export interface Clock {
  offset_seconds: number
  now: string
}

export type PasswordStep = Offer | { session: string }

/** An answer that was no. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function ask<T>(method: 'GET' | 'POST', path: string, body?: unknown, options: RequestInit & { send?: typeof fetch } = {}): Promise<T> {
  const { send = fetch, ...init } = options
  const response = await send(new Request(path, {
    ...init, method, cache: 'no-store',
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...init.headers } }),
  }))
  const answer = await response.json()
  if (!response.ok) throw new Refused(response.status, answer.detail ?? answer.message ?? response.statusText)
  return answer as T
}

export const program = {
  mails: () => ask<Mail[]>('GET', '/dev/mail.json'),
  account: (user: string) => ask<Stored>('GET', `/dev/account/${encodeURIComponent(user)}`),
  counters: () => ask<Counters>('GET', '/dev/counters'),
  clock: () => ask<Clock>('GET', '/dev/clock'),
  setClock: (offset_seconds: number) => ask<Clock>('POST', '/dev/clock', { offset_seconds }),
  policy: () => ask<Policy>('GET', '/dev/policy'),
  setPolicy: (preset: string) => ask<Policy>('POST', '/dev/policy', { preset }),
  admin: (operation: string, user: string) => ask<Status>('POST', '/dev/admin', { operation, user, operator: 'operator@example.com', reason: 'asked for in the lab' }),

  /** The password step of the demo host. The language is the user's, for the mails. */
  login: (email: string, password: string, lang: string, send: typeof fetch = fetch) =>
    ask<PasswordStep>('POST', '/demo/login', { email, password }, { send, headers: { 'accept-language': lang } }),
  /** The same for somebody whom this browser is not to remember: without cookies. */
  loginUnseen: (email: string, password: string) => ask<PasswordStep>('POST', '/demo/login', { email, password }, { credentials: 'omit' }),
  redeem: async (assertion: string, send: typeof fetch = fetch) => (await ask<{ session: string }>('POST', '/demo/session', { assertion }, { send })).session,
}
