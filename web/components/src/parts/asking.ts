// Asking for a reset inside a sign-in: R1, R2, R5, and how one went wrong.
import type { Offer, ResetRequested } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'
import { denied, identityFailed, identityOver, identityTrouble, type Known } from './ends.ts'
import { left } from './sign-in-kept.ts'
import { contact } from './support.ts'

/** A link that was asked for here. */
export interface Asked extends ResetRequested {
  /** When, by the element's clock; in milliseconds. */
  at: number
}

export type AskingStep = 'ask' | 'asked' | 'open' | 'denied' | 'identity-over'

export interface AskingOptions {
  offer: Offer
  asked: Asked | undefined
  go(step: AskingStep | 'code' | 'backup'): void
  /** Asks for a reset, or for its mail once more. */
  send(): Promise<Asked>
  keep(asked: Asked): void
  startOver(): void
}

/** Mails of one reset are so far apart at least, in milliseconds; what is asked for sooner is not sent. */
const apart = 2 * 60_000

/** The reset as it was last heard of: by the offer, or by what was asked since. */
export function known(offer: Offer, asked: Asked | undefined): Known | null {
  if (!asked) return offer.reset
  return { ...(offer.reset?.id === asked.id ? offer.reset : {}), id: asked.id, reference: asked.reference, state: asked.state }
}

export function isOpen(reset: Known | null): boolean {
  return reset !== null && ['identity_pending', 'in_review', 'approved', 'ready'].includes(reset.state)
}

/** Where somebody without phone and backup code goes: to the reset that there is, to how the last one ended, or to a new one. */
export function wayIn(reset: Known | null): AskingStep {
  if (reset && isOpen(reset)) return 'open'
  if (reset?.state === 'denied') return 'denied'
  return identityTrouble(reset) === 'over' ? 'identity-over' : 'ask'
}

export class Asking {
  readonly #host: NightlatchElement
  #said = '' // what became of the last mail that was asked for
  #noMailbox = false

  constructor(host: NightlatchElement) {
    this.#host = host
  }

  /** Whether something counts down. */
  counts(step: string, asked: Asked | undefined): boolean {
    return (step === 'asked' || step === 'open') && this.#wait(asked) > 0
  }

  render(step: AskingStep, o: AskingOptions): TemplateResult {
    switch (step) {
      case 'ask':
        return this.#ask(o)
      case 'asked':
        return this.#sent(o)
      case 'open':
        return this.#open(o)
      case 'denied':
        return denied(this.#host, { ...this.#about(o), buttons: [
          { label: this.#host.say('R7.start_again'), kind: 'main', click: () => o.go('ask') },
          { label: this.#host.say('common.back'), kind: 'link', click: () => o.go('code') },
        ] })
      case 'identity-over':
        return identityOver(this.#host, { ...this.#about(o), buttons: [
          { label: this.#host.say('I2.back'), click: () => o.go('code') },
          { label: this.#host.say('R7.start_again'), kind: 'link', click: () => o.go('ask') },
        ] })
    }
  }

  // R1

  #ask(o: AskingOptions): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say('R1.headline'))}
      <ol part="body">
        <li>${host.say('R1.body.1')}</li>
        <li>${host.say('R1.body.2')}</li>
        <li>${this.#result(o.offer.policy.reset_wait)}</li>
      </ol>
      ${host.paragraph(host.say('R1.body.4', { email: o.offer.email_hint }))}
      ${host.troubles()}
      ${host.buttons(
        { label: host.say('R1.send'), kind: 'main', action: 'ask', click: () => this.#send(o) },
        o.offer.methods.includes('backup_code') && { label: host.say('R1.found_code'), click: () => o.go('backup') },
        { label: host.say('R1.back'), kind: 'link', click: () => o.go('code') },
      )}`
  }

  #result(wait: string): string {
    const hours = Math.ceil(duration(wait) / 3600)
    if (hours === 0) return this.#host.say('R1.body.3')
    return hours > 24 && hours % 24 === 0 ? this.#host.say('R1.body.3.days', { n: hours / 24 }) : this.#host.say('R1.body.3.hours', { n: hours })
  }

  #send(o: AskingOptions): void {
    void this.#host.act('ask', async () => {
      const again = o.asked !== undefined || isOpen(o.offer.reset)
      const asked = await o.send()
      this.#noMailbox = false
      // In review, or waiting: then there was no link to send.
      const step = asked.state === 'identity_pending' ? 'asked' : 'open'
      this.#said = again && asked.state !== 'in_review' && asked.state !== 'approved' ? this.#host.say('R2.sent_again') : ''
      o.keep(asked)
      o.go(step)
    }, (refusal) => {
      if (refusal.code !== 'reset_limit') return false
      const until = refusal.problem.locked_until ?? this.#host.clock() + refusal.retryAfter * 1000
      this.#host.trouble = { body: this.#host.say('common.error.reset_limit', { moment: this.#host.phrases.moment(until) }) }
      return true
    })
  }

  // R2

  #sent(o: AskingOptions): TemplateResult {
    const host = this.#host
    const { reference, email_hint: email } = o.asked ?? { reference: o.offer.reset?.reference ?? '', email_hint: o.offer.email_hint }
    return html`
      ${host.headline(host.say('R2.headline'))}
      ${host.paragraph(host.say('R2.body.1', { email }))}
      <p part="body"><strong>${host.say('R2.body.2', { reference })}</strong></p>
      ${host.paragraph(host.say('R2.body.3'))}
      <p class="muted" role="status">${this.#said}</p>
      ${this.#noMailbox ? this.#unreachable(o, reference) : nothing}
      ${host.troubles()}
      ${host.buttons(
        this.#sendAgain(o, 'R2.send_again'),
        !this.#noMailbox && { label: host.say('R2.no_mailbox'), kind: 'link', click: () => { this.#noMailbox = true; host.requestUpdate() } },
        { label: host.say('R2.back_to_sign_in'), kind: 'link', click: o.startOver },
      )}`
  }

  #unreachable(o: AskingOptions, reference: string): TemplateResult {
    const host = this.#host
    const { support } = o.offer
    return html`<div class="notice" part="notice" role="status">
      ${support ? html`<p>${host.say('R2.no_mailbox.body', { support, reference })}</p>` : nothing}
      <div class="buttons" part="buttons">${contact(host, { support, reference, label: host.say('common.contact_support') })}</div>
    </div>`
  }

  #sendAgain(o: AskingOptions, key: 'R2.send_again' | 'R5.send_again') {
    const host = this.#host
    const wait = this.#wait(o.asked)
    const label = wait > 0 ? host.say('R2.send_again.wait', { clock: host.phrases.clock(wait / 1000) }) : host.say(key)
    return { label, disabled: wait > 0, action: 'ask', click: () => this.#send(o) }
  }

  #wait(asked: Asked | undefined): number {
    return left(asked && { since: asked.at, until: asked.at + apart }, this.#host.clock())
  }

  // R5, I1

  #open(o: AskingOptions): TemplateResult {
    const host = this.#host
    const reset = known(o.offer, o.asked)
    const code = { label: host.say('R5.enter_code'), click: () => o.go('code') }
    if (reset && identityTrouble(reset) === 'again') {
      return identityFailed(host, { ...this.#about(o), buttons: [
        { ...this.#sendAgain(o, 'R5.send_again'), ...(o.asked ? {} : { label: host.say('I1.try_again') }), kind: 'main' }, code,
      ] })
    }
    const mailed = reset?.state === 'identity_pending' || reset?.state === 'ready'
    return html`
      ${host.headline(host.say('R5.headline'))}
      <p part="body"><strong>${reset ? this.#state(reset, o.offer) : nothing}</strong></p>
      ${reset ? host.paragraph(host.say('R2.body.2', { reference: reset.reference })) : nothing}
      ${host.paragraph(host.say('R5.found'))}
      <p class="muted" role="status">${this.#said}</p>
      ${host.troubles()}
      ${host.buttons({ ...code, kind: 'main' }, mailed && this.#sendAgain(o, 'R5.send_again'))}
      ${host.buttons({ label: host.say('L1.start_over'), kind: 'link', click: o.startOver })}`
  }

  #state(reset: Known, offer: Offer): string {
    const host = this.#host
    switch (reset.state) {
      case 'identity_pending':
        return host.say('R5.body.identity_pending')
      case 'in_review':
        if (reset.entered_at) return host.say('R5.body.in_review', { day: host.phrases.day(reset.entered_at) })
        break
      case 'approved':
        if (reset.effective_at) return host.say('R5.body.approved', { moment: host.phrases.moment(reset.effective_at) })
        break
      case 'ready':
        if (offer.email_hint) return host.say('R5.body.ready', { email: offer.email_hint })
        break
    }
    return host.named(`reset.state.${reset.state}`)
  }

  #about(o: AskingOptions): { reset: Known; support: string } {
    return { reset: known(o.offer, o.asked) ?? { reference: '', state: 'expired' }, support: o.offer.support }
  }
}

/** A duration as the API writes it, such as 24h or 1m30s, in seconds. */
export function duration(text: string): number {
  const unit = { h: 3600, m: 60, s: 1 }
  return [...text.matchAll(/([\d.]+)([hms])/g)].reduce((sum, [, n, u]) => sum + Number(n) * unit[u as keyof typeof unit], 0)
}
