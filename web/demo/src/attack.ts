import { lab, password } from './lab.ts'
import { empty, pocket, authenticatorOf } from './phones.ts'
import { program, type Counters } from './program.ts'
import { codeOf, stepOf, type Authenticator } from './totp.ts'

/** How often each outcome came: `signed in`, or the code of the refusal. */
export type Tally = Record<string, number>

export interface Result {
  tally: Tally
  counters: Counters
  ms: number
}

/** A reason why it cannot be tried now. */
export class NotNow extends Error {
  readonly why: 'needsPhone' | 'off' | 'locked'

  constructor(why: NotNow['why']) {
    super(why)
    this.why = why
  }
}

/** Adds an outcome. */
export function count(tally: Tally, outcome: string): Tally {
  return { ...tally, [outcome]: (tally[outcome] ?? 0) + 1 }
}

/** What an answer of POST /v1/verify amounts to. */
export function outcomeOf(status: number, body: unknown): string {
  if (status === 200) return 'signed in'
  const code = typeof body === 'object' && body !== null ? (body as { code?: unknown }).code : undefined
  return typeof code === 'string' ? code : `HTTP ${status}`
}

/** Six digits that none of the codes around now has. */
export function wrongCodes(n: number, right: ReadonlySet<string>): string[] {
  const codes: string[] = []
  for (let i = 0; codes.length < n; i = (i + 7919) % 1_000_000) {
    const code = String(i).padStart(6, '0')
    if (!right.has(code)) codes.push(code)
  }
  return codes
}

/** The steps whose codes this page has used. */
const spent = new Map<string, number>()

/** One right code, as often as that: each copy in a sign-in of its own, since the same request sent twice is the same sign-in. */
export async function copies(user: string, n: number, told: (done: number, of: 'prepared' | 'sent') => void): Promise<Result> {
  const a = authenticatorOf(pocket.get(empty), user)
  if (!a) throw new NotNow('needsPhone')
  let prepared = 0
  const challenges = await Promise.all(Array.from({ length: n }, async () => {
    const challenge = await challengeOf(user)
    told(++prepared, 'prepared')
    return challenge
  }))
  const code = await unspent(a, user)
  let sent = 0
  return measured(challenges.map((challenge) => () => verify(challenge, code)), () => told(++sent, 'sent'))
}

/** So many guesses, all of them wrong, in one sign-in. */
export async function guesses(user: string, n: number, told: (done: number) => void): Promise<Result> {
  const challenge = await challengeOf(user)
  const a = authenticatorOf(pocket.get(empty), user)
  const right = new Set<string>()
  // Those whose step is near would be told apart: they say that the phone's clock is off.
  if (a) for (let step = -25; step <= 25; step++) right.add(await codeOf(a, stepOf(a, lab.now()) + step))
  let sent = 0
  return measured(wrongCodes(n, right).map((code) => () => verify(challenge, code)), () => told(++sent))
}

async function challengeOf(user: string): Promise<string> {
  const offer = await program.loginUnseen(user, password)
  if ('session' in offer || !offer.methods.includes('totp')) throw new NotNow('off')
  if (offer.locked_until && Date.parse(offer.locked_until) > lab.now()) throw new NotNow('locked')
  return offer.challenge!
}

/** A right code that was not used yet, waiting for it if need be. One step early is taken as well. */
export async function unspent(a: Authenticator, user: string): Promise<string> {
  const { auth } = (await program.account(user)).item
  const last = Math.max(spent.get(a.key) ?? -1, auth?.last ?? -1)
  for (;;) {
    const now = stepOf(a, lab.now())
    const step = Math.max(now, last + 1)
    if (step <= now + 1) {
      spent.set(a.key, step)
      return codeOf(a, step)
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

async function verify(challenge: string, code: string): Promise<string> {
  const response = await fetch('/v1/verify', {
    method: 'POST', credentials: 'omit', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ challenge, method: 'totp', code }),
  })
  return outcomeOf(response.status, await response.json().catch(() => undefined))
}

async function measured(all: (() => Promise<string>)[], told: () => void): Promise<Result> {
  const before = await program.counters()
  const start = performance.now()
  let tally: Tally = {}
  await Promise.all(all.map(async (send) => {
    const outcome = await send().catch(() => 'no answer')
    tally = count(tally, outcome)
    told()
  }))
  const ms = performance.now() - start
  const after = await program.counters()
  return { tally, ms, counters: { reads: after.reads - before.reads, writes: after.writes - before.writes } }
}
