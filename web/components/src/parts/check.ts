import type { Status } from '@nightlatch/client'
import { html, type TemplateResult } from 'lit'

import { backupInstead, codeRefused, wrong, type Card, type Screen } from './card.ts'
import { CodeForm } from './code-form.ts'
import { MoveScreen } from './move.ts'
import { skewed } from './verdicts.ts'

/** Check 2FA (K1 to K4, C1): a dry run, which changes nothing. */
export class CheckScreen implements Screen {
  readonly #card: Card
  readonly #status: Status
  readonly #form: CodeForm
  #right: 'fresh' | 'spent' | undefined

  constructor(card: Card, status: Status) {
    this.#card = card
    this.#status = status
    this.#form = new CodeForm(card)
  }

  render(): TemplateResult {
    return this.#right ? this.#done(this.#right) : this.#ask()
  }

  #ask(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('K1.headline'))}
      ${card.paragraph(card.sentences(card.say('K1.body.1'), card.say('K1.body.2')))}
      ${this.#form.render({
        label: card.say('label.code'),
        send: card.say('K1.check'),
        action: 'check',
        submit: (code) => this.#check(code),
        refused: (error) => codeRefused(card, this, this.#status, error),
        backup: backupInstead(card, this, this.#status),
        more: [
          { label: card.say('K1.cancel'), click: () => card.home() },
          { label: card.say('K1.move'), kind: 'link', click: () => card.show(new MoveScreen(card, this.#status)) },
        ],
      })}`
  }

  async #check(code: string): Promise<void> {
    const card = this.#card
    const checked = await card.service.check(code)
    if (checked.valid) card.step(() => (this.#right = checked.spent ? 'spent' : 'fresh'))
    else {
      card.trouble = skewed(card, checked) ?? wrong(card, checked.attempts_remaining)
      this.#form.select()
    }
  }

  #done(right: 'fresh' | 'spent'): TemplateResult {
    const card = this.#card
    const row = right === 'fresh' ? 'K2' : 'K3'
    return html`
      ${card.headline(card.say(`${row}.headline`))}
      ${card.paragraph(card.say(`${row}.body`))}
      ${card.buttons({ label: card.say(`${row}.done`), kind: 'main', click: () => card.home() })}`
  }
}
