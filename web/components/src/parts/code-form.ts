import type { Refusal } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Button, NightlatchElement } from '../element.ts'

export interface CodeFormOptions {
  /** The label of the field. */
  label: string
  /** The label of the button that sends. */
  send: string
  /** The name of the action, as given to {@link NightlatchElement.act}. */
  action: string
  /** Sends the code. */
  submit: (code: string) => Promise<void>
  /** Deals with a refusal, usually by setting the element's trouble; false leaves it to the element. */
  refused: (error: Refusal) => boolean
  /** The backup code's length where an authenticator code is asked for and a backup code would do as well. */
  backup?: { length: number; use: (code: string) => void; offer: string; button: string }
  /** What it does takes something away. */
  danger?: boolean
  /** Letters too: a backup code. */
  letters?: boolean
  /** Nothing can be sent for now. */
  off?: boolean
  /** The way back, before the button that sends. */
  before?: Button
  /** Further buttons beside the one that sends. */
  more?: (Button | false | undefined)[]
}

/** What people put between the characters of a code. */
const separators = /[\s\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff._-]/g

/** A field for a code, and what sends it. Pasted spaces and hyphens are fine; what was typed stays when it was refused. */
export class CodeForm {
  #typed = ''
  #refused = ''
  readonly #host: NightlatchElement

  constructor(host: NightlatchElement) {
    this.#host = host
  }

  get #input(): HTMLInputElement | null {
    return this.#host.renderRoot.querySelector('input[name=code]')
  }

  /** Empties the field, for another screen. */
  clear(): void {
    this.#typed = ''
    this.#refused = ''
  }

  /** Ready to type the next one over it. */
  select(): void {
    void this.#host.updateComplete.then(() => {
      this.#input?.focus()
      this.#input?.select()
    })
  }

  /** Puts a code there that was typed elsewhere. */
  fill(code: string): void {
    this.#typed = code
  }

  render(o: CodeFormOptions): TemplateResult {
    const host = this.#host
    const bare = this.#typed.replace(separators, '')
    // Digits alone may be of an app that shows more than six: then the backup code is offered after a refusal, and nothing is held back.
    const digits = /^\d+$/.test(bare)
    const alike = o.backup && bare.length === o.backup.length && bare.length > 6
    const offered = alike && (!digits || bare === this.#refused) ? o.backup : undefined
    const empty = bare === ''
    return html`<form novalidate @submit=${(event: Event) => this.#submit(event, o, offered !== undefined && !digits)}>
      <label class="field" part="field">
        <span>${o.label}</span>
        <input
          class="code" part="input" name="code" data-focus
          type="text" .value=${this.#typed}
          inputmode=${o.letters ? 'text' : 'numeric'}
          autocomplete=${o.letters ? 'off' : 'one-time-code'}
          autocapitalize=${o.letters ? 'characters' : 'off'} autocorrect="off" spellcheck="false" maxlength="64"
          aria-invalid=${host.trouble && !host.trouble.again ? 'true' : nothing}
          @input=${(event: InputEvent) => this.#type((event.target as HTMLInputElement).value)}
        />
      </label>
      ${offered && html`<div class="notice" part="notice" role="status">
        <p>${offered.offer}</p>
        ${host.buttons({ label: offered.button, click: () => offered.use(this.#typed) })}
      </div>`}
      ${host.troubles()}
      <div class="buttons" part="buttons">
        ${o.before ? host.button(o.before) : nothing}
        <button type="submit" class=${o.danger ? 'danger' : 'main'} part=${o.danger ? 'button danger' : 'button main'} aria-disabled=${o.off || empty || host.busy ? 'true' : nothing}>
          ${o.send}${host.atWork(o.action)}
        </button>
        ${o.more?.map((b) => (b ? host.button(b) : nothing))}
      </div>
    </form>`
  }

  #type(text: string): void {
    this.#typed = text
    this.#host.requestUpdate()
  }

  #submit(event: Event, o: CodeFormOptions, offered: boolean): void {
    event.preventDefault()
    const code = this.#typed.replace(separators, '')
    if (offered) return this.#host.renderRoot.querySelector<HTMLElement>('.notice button')?.focus() // the question is there: it wants an answer
    if (code === '' || o.off) {
      this.#input?.focus()
      return
    }
    const host = this.#host
    void host.act(o.action, () => o.submit(code), (error) => {
      this.#refused = code
      const dealt = o.refused(error)
      this.select()
      return dealt
    })
  }
}
