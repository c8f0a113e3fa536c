import { html, type TemplateResult } from 'lit'

import type { Card, Screen } from './card.ts'

export interface BackInOptions {
  setUpPhone(): void
  create(): void
  later(): void
}

/** After a sign-in with the only backup code (B2 of who creates the next one by hand): a new phone, or a new code. */
export class BackInScreen implements Screen {
  readonly #card: Card
  readonly #o: BackInOptions

  constructor(card: Card, options: BackInOptions) {
    this.#card = card
    this.#o = options
  }

  render(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('B2.require_manual_new.headline'))}
      ${card.paragraph(card.say('B2.require_manual_new.body.1'))}
      ${card.paragraph(card.say('B2.require_manual_new.body.2'))}
      ${card.troubles()}
      ${card.buttons(
        { label: card.say('B2.require_manual_new.set_up_phone'), kind: 'main', click: () => this.#o.setUpPhone() },
        { label: card.say('B2.require_manual_new.create'), click: () => this.#o.create() },
        { label: card.say('B2.require_manual_new.later'), kind: 'link', click: () => this.#o.later() },
      )}`
  }
}
