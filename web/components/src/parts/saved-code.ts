import { html, type TemplateResult } from 'lit'

import type { Button, NightlatchElement } from '../element.ts'
import { copy, download, printed } from './take-away.ts'

export interface SavedCodeOptions {
  code: string
  /** Whose account it is, for the file and the printed page. */
  account: string
  /** Goes on; possible once the user says that it is saved. */
  next: Button
  more?: (Button | false | undefined)[]
}

/** A backup code, to be saved: copied, downloaded or printed. The way on opens when the user says that it is. */
export class SavedCode {
  #ticked = false
  #said = '' // what became of the last copy or download
  readonly #host: NightlatchElement

  constructor(host: NightlatchElement) {
    this.#host = host
  }

  render(o: SavedCodeOptions): TemplateResult {
    const host = this.#host
    const about = { code: o.code, account: o.account }
    return html`
      <output class="code-shown" part="code" translate="no" dir="ltr">${o.code}</output>
      ${host.buttons(
        { label: host.say('E2.copy'), click: () => void this.#copy(o.code) },
        { label: host.say('E2.download'), click: () => { download(host, about); this.#tell('common.downloaded') } },
        { label: host.say('E2.print'), click: () => printed(host, about) },
      )}
      <p class="muted" role="status">${this.#said}</p>
      <label class="tick"><input type="checkbox" .checked=${this.#ticked} @change=${this.#tick}/><span>${host.say('E2.saved')}</span></label>
      ${host.troubles()}
      ${host.buttons(...(o.more ?? []), { ...o.next, kind: 'main', disabled: !this.#ticked || Boolean(o.next.disabled) })}`
  }

  /** Forgets that it was saved: another code is another matter. */
  reset(): void {
    this.#ticked = false
    this.#said = ''
  }

  readonly #tick = (event: Event): void => {
    this.#ticked = (event.target as HTMLInputElement).checked
    this.#host.requestUpdate()
  }

  async #copy(code: string): Promise<void> {
    this.#tell((await copy(code)) ? 'common.copied' : 'common.copy_failed')
  }

  #tell(key: 'common.copied' | 'common.copy_failed' | 'common.downloaded'): void {
    this.#said = this.#host.say(key)
    this.#host.requestUpdate()
  }
}
