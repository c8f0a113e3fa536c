import type { SetUp } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'
import { copy } from './take-away.ts'

export interface ScannedKeyOptions {
  headline: TemplateResult
  setUp: SetUp
  /** To another phone, which is not this one: what is said of the old one. */
  moving: false | 'P2.body' | 'P2.body.gone'
  cancel: () => void
  next: () => void
}

/** The key of a new authenticator (E1, P2): to scan, to type, to copy, or to open in an app on this phone. */
export class ScannedKey {
  readonly #host: NightlatchElement
  #said = '' // what became of the last copy
  #of = '' // the set-up that this was about

  constructor(host: NightlatchElement) {
    this.#host = host
  }

  render(o: ScannedKeyOptions): TemplateResult {
    const host = this.#host
    const phone = !o.moving && globalThis.matchMedia?.('(pointer: coarse)').matches
    const key = this.#key(o.setUp.manual_secret)
    const keyFirst = host.preset === 'miaxdx' // whose help page has it above the barcode
    return html`
      ${o.headline}
      ${o.moving ? host.paragraph(host.say(o.moving)) : nothing}
      ${host.paragraph(host.say(phone ? 'E1.body.phone' : 'E1.body.1'))}
      ${keyFirst ? key : nothing}
      ${o.setUp.qr_png.startsWith('data:image/png;') ? html`<img class="qr" part="qr" src=${o.setUp.qr_png} alt=${host.say('label.qr')} />` : nothing}
      ${keyFirst ? nothing : key}
      <p class="muted">${host.sentences(host.say('E1.body.3'), host.say('E1.expires', { time: host.phrases.time(o.setUp.expires_at, host.clock()) }))}</p>
      <p class="muted" role="status">${this.#of === o.setUp.enrollment_id ? this.#said : ''}</p>
      ${host.troubles()}
      <div class="buttons" part="buttons">
        ${phone && o.setUp.otpauth_uri.startsWith('otpauth:') ? html`<a class="button" part="button" href=${o.setUp.otpauth_uri}>${host.say('E1.open_app')}</a>` : nothing}
        ${host.button({ label: host.say('E1.copy_key'), click: () => void this.#copy(o.setUp) })}
        ${host.button({ label: host.say(o.moving ? 'P2.cancel' : 'E1.cancel'), action: 'cancel', click: o.cancel })}
        ${host.button({ label: host.say(o.moving ? 'P2.next' : 'E1.next'), kind: 'main', click: o.next })}
      </div>`
  }

  #key(key: string): TemplateResult {
    const host = this.#host
    return html`
      ${host.paragraph(host.say('E1.body.2'))}
      <p part="key"><span class="muted">${host.say('label.key')}</span><br /><code class="key" translate="no" dir="ltr">${grouped(key)}</code></p>`
  }

  async #copy(setUp: SetUp): Promise<void> {
    this.#said = this.#host.say((await copy(setUp.manual_secret)) ? 'common.copied' : 'common.copy_failed')
    this.#of = setUp.enrollment_id
    this.#host.requestUpdate()
  }
}

/** A key in groups of four, as people read and type it. Apps ignore the spaces. */
function grouped(key: string): string {
  return key.replace(/(.{4})(?=.)/g, '$1 ')
}
