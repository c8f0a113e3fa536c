import type { Status } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Card, Screen } from './card.ts'
import { contact } from './support.ts'
import { withoutPhone } from './without-phone.ts'

/** Too many wrong codes (X1): a countdown, and what can be done meanwhile. */
export class Paused implements Screen {
  readonly #card: Card
  readonly #status: Status
  readonly #until: number
  readonly #back: () => void

  constructor(card: Card, status: Status, until: number, back: () => void) {
    this.#card = card
    this.#status = status
    this.#until = until
    this.#back = back
  }

  render(): TemplateResult {
    const card = this.#card
    const now = card.clock()
    const left = this.#until - now
    card.tick(left > 0)
    const until = { time: card.phrases.time(this.#until, now), until: card.phrases.until(this.#until, now) }
    return html`
      ${card.headline(card.say('X1.headline'))}
      ${left > 0 ? card.paragraph(card.say('X1.body.1', until)) : nothing}
      ${card.paragraph(card.sentences(card.say('X1.body.2'), card.say('X1.body.3')))}
      ${left > 0
        ? html`<p role="timer" part="countdown"><strong>${card.say('X1.countdown', { clock: card.phrases.clock(left / 1000) })}</strong></p>`
        : html`<p role="status"><strong>${card.say('X1.over')}</strong></p>`}
      ${card.troubles()}
      <div class="buttons" part="buttons">
        ${left > 0 ? nothing : card.button({ label: card.say('X1.try_again'), kind: 'main', click: this.#back })}
        ${waysOn(card, this.#status, this)}
      </div>`
  }
}

/** Too many wrong codes in a month (X2): codes of the app are no longer the way in. */
export class SwitchedOff implements Screen {
  readonly #card: Card
  readonly #status: Status

  constructor(card: Card, status: Status) {
    this.#card = card
    this.#status = status
  }

  render(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('X2.headline'))}
      ${card.paragraph(card.say('X2.body'))}
      ${card.troubles()}
      <div class="buttons" part="buttons">${waysOn(card, this.#status, this)}</div>`
  }
}

/** What is left to somebody whose codes are refused. */
function waysOn(card: Card, status: Status, screen: Screen): TemplateResult {
  return html`
    ${status.backup_code.present ? card.button({ label: card.say('X1.use_code'), click: () => withoutPhone(card, status, screen) }) : nothing}
    ${card.button({ label: card.say('X1.change_password'), click: () => card.emit('nightlatch-change-password') })}
    ${card.button({ label: card.say('common.back'), click: () => card.home() })}
    ${noWayIn(card, status)}`
}

/** Neither phone nor backup code: the recovery begins at the sign-in, where there is one; otherwise support helps. */
export function noWayIn(card: Card, status: Status): TemplateResult {
  const label = card.say('X1.no_way_in')
  if (status.policy.recovery !== 'identity_review') return contact(card, { support: card.support, label, kind: 'link' })
  return card.button({ label, kind: 'link', click: () => card.emit('nightlatch-reauthenticate', { max_age: 0, method: 'recovery' }) })
}
