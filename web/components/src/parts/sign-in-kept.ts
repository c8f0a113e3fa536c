// What a reload of the page needs to go on with a sign-in. It is in this tab alone, and gone when the sign-in is.
import { forget, keep, kept, type Offer, type SignedIn } from '@nightlatch/client'

import type { Asked, AskingStep } from './asking.ts'

export type Method = 'totp' | 'backup_code' | 'reset_link'

export type Step =
  | 'code' // L1, X1, X2
  | 'backup' // B1
  | AskingStep // R1, R2, R5, R7, I1, I2
  | 'link' | 'dead-link' // R6, R10
  | 'enrol' // E0r
  | 'set-up' // E1 to E5 inside the sign-in, or after it; P2, P3
  | 'in' // B2
  | 'old-phone' // B3
  | 'moved' // P4
  | 'create' // E5, in the place of a code that was used
  | 'over' // L1c

/** A sign-in between its password and its end. */
export interface Kept {
  offer: Offer
  /** When the offer came, by the element's clock; in milliseconds. */
  since: number
  step: Step
  /** The token of a mailed link. */
  link?: string | undefined
  /** The challenge to set up under, if it is not the offer's. */
  enrol?: string | undefined
  /** How long codes are refused. */
  locked?: { totp?: Pause; backup_code?: Pause }
  suspended?: boolean
  asked?: Asked
  /** A backup code from before it is sent until its successor is saved: sent again, it has the same answer. */
  spent?: string | undefined
  /** The second factor was accepted. */
  accepted?: Accepted
  /** The host's session has begun. */
  opened?: boolean
  /** The grant is spent. */
  used?: boolean
  /** The Idempotency-Key under which a new backup code is created. */
  key?: string
}

/** A time by the element's clock, in milliseconds. */
export interface Pause {
  since: number
  until: number
}

/**
 * Milliseconds that are left of a pause. None before it began: the clock was put back meanwhile, as people are told to do
 * whose phone is fast, and it would be waited for hours. The service knows better.
 */
export function left(pause: Pause | undefined, now: number): number {
  return pause && now >= pause.since ? Math.max(0, pause.until - now) : 0
}

export interface Accepted {
  method: Method
  state: SignedIn['state']
  grant?: string | undefined
}

const name = 'sign-in'
/** Where the set-up that belongs to it is kept. */
export const setUpName = 'sign-in.set-up'
/** How long a challenge lives, in milliseconds. */
const challengeFor = 10 * 60_000
/** By when all is over that can follow, one thing after another: a second challenge, a set-up, a grant. */
const goesOnFor = 60 * 60_000

export function load(): Kept | undefined {
  return kept<Kept>(name)
}

export function store(at: Kept): void {
  keep(name, at)
}

export function drop(): void {
  forget(name)
  forget(setUpName)
}

/** Where a sign-in begins. */
export function begun(offer: Offer, link: string, now: number): Kept {
  // How far off is what the service says is known by its own clock: the offer came with the challenge.
  const served = offer.expires_at ? Date.parse(offer.expires_at) - challengeFor : now
  const locked = offer.locked_until ? { totp: { since: now, until: now + Date.parse(offer.locked_until) - served } } : {}
  return { offer, since: now, step: firstStep(offer, link), locked, suspended: offer.suspended, ...(link ? { link } : {}) }
}

function firstStep(offer: Offer, link: string): Step {
  if (offer.enrollment_required) return 'enrol'
  if (link) return offer.methods.includes('reset_link') ? 'link' : 'dead-link'
  return offer.reset && ['identity_pending', 'in_review', 'approved', 'ready'].includes(offer.reset.state) ? 'open' : 'code'
}

/** The backup code that was used, or may have been, while the one that comes in its place is not saved; undefined if none does. */
export function unsaved(at: Kept): string | undefined {
  return at.offer.policy.backup_use === 'reissue' ? at.spent : undefined
}

/** Whether the challenge is too old, and so is what may have been begun with it. */
export function isStale(at: Kept, now: number): boolean {
  return now - at.since > (at.accepted || at.spent || at.enrol ? goesOnFor : challengeFor)
}
