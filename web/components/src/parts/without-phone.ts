import type { Status } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Card, Screen } from './card.ts'
import { noWayIn } from './paused.ts'

/** Shows the way on without the phone, from a screen that asks for its code. */
export function withoutPhone(card: Card, status: Status, screen: Screen): void {
  card.show(new WithoutPhone(card, status, () => card.show(screen)))
}

/** The old phone is gone, or its codes are refused: the way on begins at the sign-in, with the backup code. */
class WithoutPhone implements Screen {
  readonly #card: Card
  readonly #status: Status
  readonly #back: () => void

  constructor(card: Card, status: Status, back: () => void) {
    this.#card = card
    this.#status = status
    this.#back = back
  }

  render(): TemplateResult {
    const card = this.#card
    const { backup_code, policy } = this.#status
    const again = () => card.emit('nightlatch-reauthenticate', { max_age: 0, method: 'backup_code' })
    return html`
      ${card.headline(card.say('P1.no_old_phone'))}
      ${card.paragraph(card.say(!backup_code.present ? 'card.no_code' : policy.backup_use === 'disable_2fa' ? 'B1.body.disable_2fa' : 'P1.no_old_phone.body'))}
      ${card.troubles()}
      <div class="buttons" part="buttons">
        ${card.button({ label: card.say('common.back'), click: this.#back })}
        ${backup_code.present ? card.button({ label: card.say('common.sign_in_again'), kind: 'main', click: again }) : nothing}
        ${noWayIn(card, this.#status)}
      </div>`
  }
}
