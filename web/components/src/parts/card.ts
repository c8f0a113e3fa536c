// What the screens of the security card have in common.
import type { Client, Refusal, Status } from '@nightlatch/client'
import type { TemplateResult } from 'lit'

import type { NightlatchElement, Trouble } from '../element.ts'
import { Paused, SwitchedOff } from './paused.ts'
import { pausedUntil, reused, skewed } from './verdicts.ts'
import { withoutPhone } from './without-phone.ts'

/** What stands for the right to move to another phone, or to a new backup code. */
export type Proof = NonNullable<Parameters<Client['beginEnrollment']>[0]>

/** One screen of the card. */
export interface Screen {
  render(): TemplateResult
}

/** The card as its screens see it. */
export interface Card extends NightlatchElement {
  readonly service: Client
  /** The account's name in the authenticator app; empty: not known. */
  readonly account: string
  /** Where users write to for help; empty: the application knows. */
  readonly support: string
  /** Shows a screen in the place of the present one. */
  show(screen: Screen): void
  /** Back to the card itself, as the account stands now; with a word on what has happened, where that is no result. */
  home(notice?: string): void
}

/** Deals with the refusal of a code of the authenticator in force, wherever on the card it was asked for. */
export function codeRefused(card: Card, screen: Screen, status: Status, error: Refusal): boolean {
  const { problem } = error
  switch (error.code) {
    case 'invalid_code':
      card.trouble = skewed(card, problem) ?? wrong(card, problem.attempts_remaining)
      return true
    case 'code_reused':
      card.trouble = reused(card, problem)
      return true
    case 'invalid_request':
      card.trouble = { body: card.say('label.code.malformed') }
      return true
    case 'locked':
      card.show(new Paused(card, status, pausedUntil(card, error), () => card.show(screen)))
      return true
    case 'suspended':
      card.show(new SwitchedOff(card, status))
      return true
    case 'already_enabled':
    case 'not_enabled':
    case 'no_backup_code':
    case 'policy_forbids':
    case 'conflict':
      card.home(card.say(`common.error.${error.code}`))
      return true
  }
  return false
}

/** A wrong code (K4). */
export function wrong(card: NightlatchElement, attempts: number | undefined): Trouble {
  return {
    headline: card.say('K4.headline'),
    body: card.sentences(card.say('K4.body.1'), attempts === undefined ? '' : card.say('K4.body.2', { n: attempts })),
  }
}

/** What a field for an authenticator code does when a backup code is typed into it: there is another place for that. */
export function backupInstead(card: Card, screen: Screen, status: Status): { length: number; use: () => void; offer: string; button: string } {
  const use = () => withoutPhone(card, status, screen)
  return { length: status.policy.backup_length, use, offer: card.say('L1.looks_like_code'), button: card.say('L1.use_it') }
}
