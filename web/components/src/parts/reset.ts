import type { ResetStatus } from '@nightlatch/client'
import { html, type TemplateResult } from 'lit'

import type { Card, Screen } from './card.ts'

/** Cancelling an open reset from the card (R8, R9). */
export class ResetScreen implements Screen {
  readonly #card: Card
  readonly #reset: ResetStatus
  #canceled = false

  constructor(card: Card, reset: ResetStatus) {
    this.#card = card
    this.#reset = reset
  }

  render(): TemplateResult {
    return this.#canceled ? this.#done() : this.#ask()
  }

  #ask(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('R8.headline'))}
      ${card.paragraph(card.sentences(card.say('R8.body.1.no_ip', { moment: card.phrases.moment(this.#reset.requested_at) }), card.say('R8.body.2')))}
      ${card.troubles()}
      ${card.buttons(
        { label: card.say('R8.cancel'), kind: 'danger', action: 'cancel', click: () => void card.act('cancel', () => this.#cancel(), (error) => this.#refused(error.code)) },
        { label: card.say('R8.keep'), click: () => card.home() },
      )}`
  }

  async #cancel(): Promise<void> {
    await this.#card.service.cancelReset()
    this.#card.step(() => (this.#canceled = true))
  }

  #refused(code: string): boolean {
    if (code !== 'conflict' && code !== 'not_found') return false
    this.#card.home(this.#card.say('common.error.conflict'))
    return true
  }

  #done(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('R9.headline'))}
      ${card.paragraph(card.say('R9.body'))}
      ${card.buttons(
        { label: card.say('R9.change_password'), click: () => card.emit('nightlatch-change-password') },
        { label: card.say('R9.done'), kind: 'main', click: () => card.home() },
      )}`
  }
}
