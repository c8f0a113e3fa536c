import { Refusal, Unreachable } from '@nightlatch/client'

/** What came of an assertion at the host: its session has begun; it said no; or nothing was heard of it in time. */
export type Redeemed = { session: string | undefined } | 'refused' | 'late'

export interface Redemption {
  assertion: string
  /** The host's exchange of the assertion for its session. */
  redeem(assertion: string): Promise<string | void>
  /** Asks the service for its answer again; undefined when there is no assertion in it any more. */
  again(): Promise<string | undefined>
  /** Told once an answer is waited for longer than people expect. */
  waiting?(): void
}

/** How long an assertion can be redeemed, in milliseconds. */
const life = 60_000
/** After so many milliseconds people are told that it takes longer than usual. */
const usual = 4_000

/**
 * Has the host redeem an assertion. What is not answered is tried again for as long as the assertion lives, and then once
 * more with what the service says by then: the same assertion, should this clock be ahead of it. It never rejects.
 */
export async function redeemed(r: Redemption): Promise<Redeemed> {
  const slow = setTimeout(() => r.waiting?.(), usual)
  try {
    const first = await whileItLives(r.assertion, r.redeem)
    if (first !== 'late') return first
    const assertion = await r.again().catch(() => undefined)
    return assertion ? await whileItLives(assertion, r.redeem) : 'late'
  } finally {
    clearTimeout(slow)
  }
}

async function whileItLives(assertion: string, redeem: Redemption['redeem']): Promise<Redeemed> {
  const end = Date.now() + life
  for (let pause = 500; Date.now() < end; pause = Math.min(2 * pause, 8_000)) {
    try {
      // One at a time: a host redeems an assertion once, so a second try beside the first would be refused. What has
      // reached it in time may still be answered when the time is over.
      const opened = redeem(assertion).then((session) => ({ session: session || undefined }))
      return await Promise.race([opened, after(end + life - Date.now()).then(() => 'late' as const)])
    } catch (error) {
      if (!unanswered(error)) return 'refused'
    }
    await after(Math.min(pause, end - Date.now()))
  }
  return 'late'
}

/** Whether an error says that no answer came, and not that the answer was no: what fetch throws, and bodies that break off. */
export function unanswered(error: unknown): boolean {
  return error instanceof Unreachable || error instanceof TypeError || error instanceof SyntaxError ||
    (error instanceof DOMException && ['AbortError', 'NetworkError', 'TimeoutError'].includes(error.name)) ||
    (error instanceof Refusal && error.code === 'unavailable')
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}
