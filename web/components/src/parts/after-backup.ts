import { newKey } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'
import { SavedCode } from './saved-code.ts'
import type { Kept, Step } from './sign-in-kept.ts'

export interface AfterBackupOptions {
  at(): Kept
  go(step: Step, change?: Partial<Kept>): void
  /** Whether the host's session has begun. Where it will not, the element is elsewhere by then. */
  opened(): Promise<boolean>
  /** The new code is saved. */
  saved(): void
  /** Whether the page has given the session that it takes to go on here; else the application goes on by itself. */
  canGoOn(): boolean
  setUp(): void
  create(grant: string, key: string): Promise<string>
  finish(): void
  /** The same, and the user has said that nothing is to be done about it now. */
  later(): void
}

/** After a sign-in with the backup code: what the policy says next (B2, B3, E5, P4). */
export class AfterBackup {
  readonly #host: NightlatchElement
  readonly #o: AfterBackupOptions
  readonly #saved: SavedCode
  #code: string | undefined // the new one

  constructor(host: NightlatchElement, options: AfterBackupOptions) {
    this.#host = host
    this.#o = options
    this.#saved = new SavedCode(host)
  }

  /** Shows the code that has come in the place of the one that was used. */
  show(code: string): void {
    this.#code = code
    this.#saved.reset()
    this.#o.go('in')
  }

  /** Creates a code, where the policy leaves that to the user. The key is kept: asked for again, it is the same code. */
  create(): void {
    const { accepted, key = newKey() } = this.#o.at()
    const grant = accepted?.grant
    if (grant === undefined || !this.#o.canGoOn()) return this.#o.finish()
    this.#code = undefined
    this.#o.go('create', { key })
    void this.#host.act('create', async () => {
      const code = await this.#o.create(grant, key)
      this.#saved.reset()
      this.#code = code
      this.#o.go('create', { used: true })
    })
  }

  render(step: 'in' | 'old-phone' | 'create' | 'moved'): TemplateResult {
    switch (step) {
      case 'in':
        return this.#o.at().spent === undefined ? this.#in() : this.#inItsPlace()
      case 'old-phone':
        return this.#oldPhone()
      case 'create':
        return this.#created()
      case 'moved':
        return this.#moved()
    }
  }

  // B2

  #in(): TemplateResult {
    const host = this.#host
    const off = this.#o.at().offer.policy.backup_use === 'disable_2fa'
    const row = off ? 'B2.disable_2fa' : 'B2.require_manual_new'
    return html`
      ${host.headline(host.say(`${row}.headline`))}
      ${host.paragraph(host.say(`${row}.body.1`))}
      ${host.paragraph(host.say(`${row}.body.2`))}
      ${host.troubles()}
      ${host.buttons(
        { label: host.say(off ? 'B2.disable_2fa.set_up' : 'B2.require_manual_new.set_up_phone'), kind: 'main', action: 'begin', click: () => (this.#o.canGoOn() ? this.#o.setUp() : this.#o.finish()) },
        !off && { label: host.say('B2.require_manual_new.create'), action: 'create', click: () => this.create() },
        { label: host.say(`${row}.later`), kind: 'link', click: () => this.#o.later() },
      )}`
  }

  #inItsPlace(): TemplateResult {
    const host = this.#host
    const goOn = async () => {
      if (await this.#o.opened()) this.#o.saved()
    }
    return html`
      ${host.headline(host.say('B2.reissue.headline'))}
      ${this.#code === undefined ? this.#fetching() : html`
        ${host.paragraph(host.sentences(host.say('B2.reissue.body.1'), host.say('B2.reissue.body.2')))}
        ${this.#saved.render({
          code: this.#code,
          account: this.#o.at().offer.account,
          next: { label: host.say('B2.reissue.continue'), action: 'open', click: () => void host.act('open', goOn) },
        })}`}`
  }

  /** Until the code is there: after a reload, once more. */
  #fetching(): TemplateResult {
    return html`
      ${this.#host.busy ? html`<p class="muted" role="status">${this.#host.say('common.working')}</p>` : nothing}
      ${this.#host.troubles()}`
  }

  // B3, and P4 that it leads to

  #oldPhone(): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say('B3.headline'))}
      ${host.paragraph(host.say('B3.body'))}
      ${host.troubles()}
      ${host.buttons(
        { label: host.say('B3.set_up_phone'), kind: 'main', action: 'begin', click: () => (this.#o.canGoOn() ? this.#o.setUp() : this.#o.finish()) },
        { label: host.say('B3.have_phone'), click: () => this.#o.later() },
      )}`
  }

  #moved(): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say('P4.headline'))}
      ${host.paragraph(host.say('P4.body.1.gone'))}
      ${this.#o.at().offer.policy.backup_use === 'reissue' ? host.paragraph(host.say('P4.body.2')) : nothing}
      ${host.buttons({ label: host.say('P4.done'), kind: 'main', click: () => this.#o.finish() })}`
  }

  // E5

  #created(): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say('E5.headline'))}
      ${this.#code === undefined
        ? html`${this.#fetching()}${host.buttons({ label: host.say('B2.require_manual_new.later'), kind: 'link', click: () => this.#o.later() })}`
        : html`
          ${host.paragraph(host.sentences(host.say('E5.body.1'), host.say('E5.body.2')))}
          ${this.#saved.render({ code: this.#code, account: this.#o.at().offer.account, next: { label: host.say('E5.finish'), click: () => this.#o.finish() } })}`}`
  }
}
