import type { StoredEvent, Version } from './program.ts'

/**
 * What has happened, as a line that a step of a tour can wait for: `event <type> <outcome> <method>`,
 * `answer <path> <code>` or `lab <what>`.
 */
export type Fact = string

/** An event as a fact. */
export function factOf(e: StoredEvent): Fact {
  return ['event', e.type, e.outcome, e.method].filter((part) => part !== undefined && part !== '').join(' ')
}

/** What happened after a version of the account, oldest first. Of one that was never looked at everything is old. */
export function factsSince(versions: readonly Version[], seen: number | undefined): { facts: Fact[]; seen: number } {
  const newest = versions[0]?.version ?? 0
  // A lower version than the one seen is another account, of another data directory.
  const since = seen === undefined ? newest : seen > newest ? 0 : seen
  const facts = versions.filter((v) => (v.version ?? 0) > since).reverse().flatMap((v) => (v.events ?? []).map(factOf))
  return { facts, seen: newest }
}

/** An answer of the API as a fact. */
export function answered(path: string, status: number, body: unknown): Fact {
  const b = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  if (path === '/v1/check' && status === 200) return `answer /v1/check ${b['valid'] ? 'valid' : b['reason']}`
  return `answer ${path} ${status >= 200 && status < 300 ? 'ok' : (b['reason'] ?? b['code'] ?? status)}`
}

/** A step is done when all that it waits for has happened, in this order. A fact is met by one that begins like it. */
export function isDone(waitsFor: readonly Fact[], facts: readonly Fact[]): boolean {
  let next = 0
  for (const fact of facts) {
    const want = waitsFor[next]
    if (want === undefined) break
    if (fact === want || fact.startsWith(want + ' ')) next++
  }
  return next === waitsFor.length
}
