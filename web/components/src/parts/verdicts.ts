// What is said of a code that was not accepted, wherever it was typed.
import type { Checked, Problem, Refusal } from '@nightlatch/client'
import { html } from 'lit'

import type { NightlatchElement, Trouble } from '../element.ts'

/**
 * A code of another time (C1): the phone's clock is off, by how much and which way, and how to put it right; undefined if
 * that is not what is wrong.
 */
export function skewed(host: NightlatchElement, problem: Pick<Problem | Checked, 'reason' | 'drift_seconds'>): Trouble | undefined {
  const drift = problem.drift_seconds
  if (problem.reason !== 'clock_skew' || drift === undefined) return undefined
  const n = Math.max(1, Math.round(Math.abs(drift) / 60))
  return {
    headline: host.say(drift < 0 ? 'C1.headline.slow' : 'C1.headline.fast', { n }),
    body: host.sentences(host.say('C1.body.1'), host.say('C1.body.2')),
    more: html`<details part="details">
      <summary>${host.say('C1.how')}</summary>
      <ul>
        <li>${host.say('C1.how.iphone')}</li>
        <li>${host.say('C1.how.android')}</li>
      </ul>
    </details>`,
  }
}

/** A right code that was used before (L1b): the next one comes in a moment. */
export function reused(host: NightlatchElement, problem: Pick<Problem, 'retry_after'>): Trouble {
  return { headline: host.say('L1b.headline'), body: host.say('L1b.body', { seconds: problem.retry_after ?? 30 }) }
}

/** Until when codes are refused, by the element's clock. How long it takes is trusted before a time of day is: clocks differ. */
export function pausedUntil(host: NightlatchElement, error: Refusal): number {
  const now = host.clock()
  return error.retryAfter > 0 ? now + error.retryAfter * 1000 : Date.parse(error.problem.locked_until ?? '') || now + 60_000
}

/** Too many wrong codes (X1), where there is no screen for it: until when none is accepted. */
export function locked(host: NightlatchElement, error: Refusal): Trouble {
  const now = host.clock()
  const until = pausedUntil(host, error)
  return {
    headline: host.say('X1.headline'),
    body: host.say('X1.body.1', { time: host.phrases.time(until, now), until: host.phrases.until(until, now) }),
  }
}

/** Whether a refusal is the last word on a request: not, when it may be sent again later, or after another sign-in. */
export function isFinal(error: Refusal): boolean {
  return error.status < 500 && error.status !== 401 && error.status !== 429
}
