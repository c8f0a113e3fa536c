import type { Status } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Button } from '../element.ts'
import type { Card } from './card.ts'
import { CheckScreen } from './check.ts'
import { DisableScreen } from './disable.ts'
import { HistoryScreen } from './history.ts'
import { ResetScreen } from './reset.ts'
import { SetUpSteps } from './set-up.ts'

/** Where a first set-up is kept in this tab. */
export const keptSetUp = 'set-up'

/** What the card needs to begin what its buttons say. */
export interface HomeOptions {
  status: Status
  /** It was turned off without the phone: the password alone protects the account until it is set up again. */
  turnedOff: boolean
  /** A word on what has happened. */
  notice: string
  setUp(): void
  move(): void
  renew(): void
  discard(): void
}

/** The card itself (E0, E4) below its heading: what needs attention, how the account stands, and what can be done. */
export function home(card: Card, o: HomeOptions): TemplateResult {
  const { state } = o.status
  return html`
    <div role="status">${o.notice ? html`<div class="notice" part="notice"><p>${o.notice}</p></div>` : nothing}</div>
    ${notices(card, o)}
    ${state === 'enabled' ? enabled(card, o) : state === 'disabled' || state === 'pending' ? disabled(card, o) : unknown(card)}`
}

/** The name of the card, and how the account stands. */
export function heading(card: Card, status: Status | undefined): TemplateResult {
  const badge = status && card.named(`card.badge.${status.state}`)
  return html`<div class="heading">
    ${card.headline(card.say('E0.headline'))}
    ${badge ? html`<span class=${status.state === 'enabled' ? 'badge on' : 'badge'} part="badge">${badge}</span>` : nothing}
  </div>`
}

function disabled(card: Card, o: HomeOptions): TemplateResult {
  const pending = o.status.pending !== null
  return html`
    ${card.paragraph(card.say('E0.body'))}
    ${card.troubles()}
    ${card.buttons(
      pending || o.turnedOff ? false : { label: card.say('E0.enable'), kind: 'main', action: 'begin', click: o.setUp },
      history(card),
    )}`
}

/** A newer service says what this does not know: nothing is offered that may be wrong. */
function unknown(card: Card): TemplateResult {
  return html`
    ${card.paragraph(card.say('card.unavailable'))}
    ${card.troubles()}
    ${card.buttons(history(card))}`
}

function enabled(card: Card, o: HomeOptions): TemplateResult {
  const { status } = o
  const { phrases } = card
  const { present, issued_at } = status.backup_code
  const required = status.policy.enforcement === 'required'
  const revokes = present && status.policy.backup_rotate === 'revoke_then_create'
  const moves = required || card.preset !== 'mirox' // whose help page has three actions, and this one inside Check 2FA
  return html`
    <p part="body">
      ${status.activated_at ? html`${card.say('card.since', { moment: phrases.moment(status.activated_at) })}<br />` : nothing}
      ${issued_at ? card.say('card.backup_code', { day: phrases.day(issued_at) }) : nothing}
    </p>
    ${required && card.preset !== 'miaxdx' ? card.paragraph(card.say('D0.body')) : nothing}
    ${card.troubles()}
    ${card.buttons(
      { label: card.say('card.check'), click: () => card.show(new CheckScreen(card, status)) },
      present && { label: card.say(revokes ? 'card.revoke_code' : 'card.new_code'), click: o.renew },
      moves && card.preset !== 'miaxdx' && { label: card.say('card.move'), click: o.move },
      !required && { label: card.say('card.disable'), kind: 'danger', click: () => card.show(new DisableScreen(card, status)) },
    )}
    ${card.preset === 'miaxdx' ? html`
      <h3>${card.say('card.move.headline')}</h3>
      ${required ? card.paragraph(card.say('D0.body')) : nothing}
      ${card.buttons({ label: card.say('D0.move'), click: o.move })}` : nothing}
    ${card.buttons(history(card))}`
}

function history(card: Card): Button {
  return { label: card.say('card.history'), kind: 'link', click: () => {
    const screen = new HistoryScreen(card)
    card.show(screen)
    screen.start()
  } }
}

/** What needs attention. */
function notices(card: Card, o: HomeOptions): TemplateResult[] {
  const { status } = o
  const now = card.clock()
  const all: TemplateResult[] = []
  const say = (text: string, ...buttons: (Button | false)[]) => {
    all.push(html`<div class="notice" part="notice"><p>${text}</p>${buttons.length ? card.buttons(...buttons) : nothing}</div>`)
  }

  const lockedFor = status.locked_until ? Date.parse(status.locked_until) - now : 0
  if (lockedFor > 0) say(card.say('card.locked', { time: card.phrases.time(now + lockedFor, now), until: card.phrases.until(now + lockedFor, now) }), password(card))
  if (status.suspended) say(card.say('card.suspended'), password(card))
  if (status.pending?.replacement) {
    all.push(html`<div class="notice" part="notice">
      <strong>${card.say('P5.headline')}</strong>
      <p>${card.say('P5.body')}</p>
      ${card.buttons(
        { label: card.say('P5.finish'), kind: 'main', click: o.move },
        { label: card.say('P5.discard'), action: 'discard', click: o.discard },
      )}
    </div>`)
  } else if (status.pending) {
    say(card.say('card.pending'),
      { label: card.say('card.pending.start_again'), kind: 'main', action: 'begin', click: o.setUp },
      { label: card.say('card.pending.discard'), action: 'discard', click: o.discard })
  } else if (o.turnedOff && status.state === 'disabled') {
    say(card.say('card.off'), { label: card.say('card.off.set_up'), kind: 'main', action: 'begin', click: o.setUp })
  }
  if (status.state === 'enabled' && !status.backup_code.present) say(card.say('card.no_code'), { label: card.say('card.create_code'), kind: 'main', click: o.renew })
  const reset = status.reset
  if (reset && ['identity_pending', 'in_review', 'approved', 'ready'].includes(reset.state)) {
    say(card.sentences(card.say('card.reset', { reference: reset.reference })), { label: card.say('card.reset.cancel'), kind: 'danger', click: () => card.show(new ResetScreen(card, reset)) })
  }
  return all
}

function password(card: Card): Button {
  return { label: card.say('common.change_password'), click: () => card.emit('nightlatch-change-password') }
}

/** The steps of a first set-up, from a session. */
export function firstSetUp(card: Card): SetUpSteps {
  return new SetUpSteps(card, {
    replacement: false,
    keptAs: keptSetUp,
    begin: (key) => card.service.beginEnrollment({}, key),
    confirm: (id, code, key) => card.service.confirmEnrollment(id, code, key),
    discard: () => card.service.discardEnrollment(),
    account: () => card.account,
    activated: ({ activated_at }, told) => told || card.emit('nightlatch-enabled', { activated_at }),
    done: () => card.home(),
    cancel: () => card.home(),
  })
}
