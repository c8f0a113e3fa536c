import type { Status } from '@nightlatch/client'
import { html, type TemplateResult } from 'lit'

import { backupInstead, codeRefused, type Card, type Screen } from './card.ts'
import { CodeForm } from './code-form.ts'
import { Intent } from './intent.ts'

/** Turning it off (D1, D2). */
export class DisableScreen implements Screen {
  readonly #card: Card
  readonly #status: Status
  readonly #form: CodeForm
  readonly #intent = new Intent()
  #off = false

  constructor(card: Card, status: Status) {
    this.#card = card
    this.#status = status
    this.#form = new CodeForm(card)
  }

  render(): TemplateResult {
    return this.#off ? this.#done() : this.#ask()
  }

  #ask(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('D1.headline'))}
      ${card.paragraph(card.sentences(card.say('D1.body.1'), card.say('D1.body.2'), card.say('D1.body.3')))}
      ${this.#form.render({
        label: card.say('label.code'),
        send: card.say('D1.disable'),
        danger: true,
        action: 'disable',
        submit: (code) => this.#disable(code),
        refused: (error) => codeRefused(card, this, this.#status, error),
        backup: backupInstead(card, this, this.#status),
        more: [{ label: card.say('D1.keep'), click: () => card.home() }],
      })}`
  }

  async #disable(code: string): Promise<void> {
    const card = this.#card
    await card.service.disable(code, this.#intent.key(code))
    card.emit('nightlatch-disabled')
    card.step(() => (this.#off = true))
  }

  #done(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('D2.headline'))}
      <p><span class="badge" part="badge">${card.say('card.badge.disabled')}</span></p>
      ${card.paragraph(card.say('D2.body'))}
      ${card.buttons({ label: card.say('D2.done'), kind: 'main', click: () => card.home() })}`
  }
}
