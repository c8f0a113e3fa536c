import { html, nothing, svg, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import { lab, Panel } from '../lab.ts'
import { add, another, change, empty, held, pocket, remove, take, write, type Phone } from '../phones.ts'
import { codeShown, scan, typeInto } from '../screen.ts'
import { base32, codeOf, readAddress, stepOf, type Authenticator } from '../totp.ts'
import { words } from '../words.ts'
import { duration } from './top.ts'

const w = words.phone
const around = 2 * Math.PI * 9

/** A phone with an authenticator app, beside the application: no other is needed. */
@customElement('lab-phone')
export class PhonePanel extends Panel {
  @state() private now = Math.floor(lab.now() / 1000)
  @state() private codes: Record<string, string> = {}
  @state() private typing = false
  @state() private said = ''
  @state() private heard = '' // what the paper says
  #ticking: ReturnType<typeof setInterval> | undefined
  #made = ''

  override connectedCallback(): void {
    super.connectedCallback()
    this.#ticking = setInterval(() => void this.#tick(), 250)
    addEventListener('storage', this.#elsewhere)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearInterval(this.#ticking)
    removeEventListener('storage', this.#elsewhere)
  }

  readonly #elsewhere = (event: StorageEvent): void => {
    if (pocket.isIn(event)) this.requestUpdate()
  }

  get #phone(): Phone {
    return held(pocket.get(empty))
  }

  /** The time by this phone. */
  get #time(): number {
    return lab.now() + this.#phone.drift * 1000
  }

  async #tick(): Promise<void> {
    this.now = Math.floor(this.#time / 1000)
    const entries = this.#phone.entries
    const wanted = entries.map((e) => `${e.key}.${stepOf(e, this.#time)}`).join()
    if (wanted === this.#made) return
    this.#made = wanted
    this.codes = Object.fromEntries(await Promise.all(entries.map(async (e) => [e.key, await codeOf(e, stepOf(e, this.#time))] as const)))
  }

  protected override render(): TemplateResult {
    const p = pocket.get(empty)
    const phone = held(p)
    return html`
      <h2 class="tiny" id="phone-title">${w.title}</h2>
      <div class="phones" role="group" aria-label=${w.pick}>
        ${p.phones.map((one, i) => html`<button type="button" class="small" aria-pressed=${one === phone} @click=${() => this.#put(take(p, i))}>${one.name}${one.lost ? ' ✕' : ''}</button>`)}
        <button type="button" class="small plus" title=${w.another} aria-label=${w.another} @click=${() => this.#put(another(p))}>+</button>
        <button type="button" class="small push" @click=${() => this.#lose(!phone.lost)}>${phone.lost ? w.find : w.lose}</button>
      </div>
      <div class="device ${phone.lost ? 'gone' : ''}">
        <div class="status"><span>${new Date(this.now * 1000).toLocaleTimeString('en-GB')}</span>${phone.drift ? html`<span class="chip amber">${duration(Math.abs(phone.drift))} ${phone.drift < 0 ? w.slow : w.fast}</span>` : nothing}</div>
        ${phone.lost ? html`<div class="blank"><strong>${w.lost}</strong><p>${w.lostBody}</p></div>` : this.#app(phone)}
      </div>
      <div class="row wrap controls">
        <span class="label">${w.clock}</span>
        <button type="button" class="small" aria-disabled=${phone.lost} @click=${() => this.#wind(phone.drift - 60)}>${w.back}</button>
        <button type="button" class="small" aria-disabled=${phone.lost} @click=${() => this.#wind(phone.drift + 60)}>${w.ahead}</button>
        ${phone.drift && !phone.lost ? html`<button type="button" class="small" @click=${() => this.#wind(0)}>${w.automatic}</button>` : nothing}
      </div>
      ${this.#paper()}`
  }

  #app(phone: Phone): TemplateResult {
    return html`
      ${phone.entries.length === 0 ? html`<div class="blank"><strong>${w.none}</strong><p>${w.noneBody}</p></div>` : html`<ul class="codes">${phone.entries.map((e) => this.#entry(e))}</ul>`}
      <p class="heard" role="status">${this.said}</p>
      ${this.typing
        ? html`<form class="row" @submit=${this.#addKey}><label class="field"><span>${w.keyLabel}</span><input name="key" autocomplete="off" autocapitalize="characters" spellcheck="false" /></label><button class="small" type="submit">${w.addKey}</button></form>`
        : nothing}
      <div class="row">
        <button type="button" class="main" @click=${this.#scan}>${w.scan}</button>
        <button type="button" aria-expanded=${this.typing} @click=${() => (this.typing = !this.typing)}>${w.key}</button>
      </div>`
  }

  #entry(e: Authenticator): TemplateResult {
    const code = this.codes[e.key] ?? ''
    const left = e.period - (this.now % e.period)
    return html`<li>
      <button type="button" class="entry" title=${w.type} @click=${() => this.#type(code)}>
        <span class="issuer"><bdi>${e.issuer}</bdi> <small><bdi>${e.account}</bdi></small></span>
        <span class="digits" translate="no">${code.slice(0, 3)} ${code.slice(3)}</span>
        ${svg`<svg class="ring ${left <= 5 ? 'late' : ''}" viewBox="0 0 24 24" width="26" height="26" role="img" aria-label="${left} ${w.seconds}">
          <circle cx="12" cy="12" r="9" class="track"/><circle cx="12" cy="12" r="9" class="left" stroke-dasharray="${(around * left) / e.period} ${around}" transform="rotate(-90 12 12)"/></svg>`}
      </button>
      <button type="button" class="link drop" aria-label="${w.remove}: ${e.account}" title=${w.remove} @click=${() => this.#put(remove(pocket.get(empty), e))}>✕</button>
    </li>`
  }

  #paper(): TemplateResult {
    const notes = pocket.get(empty).notes
    return html`<section class="paper">
      <h3 class="tiny">${w.paper}</h3>
      ${notes.length === 0 ? html`<p class="quiet">${w.paperEmpty}</p>` : html`<ul>${notes.map((n) => html`<li><button type="button" class="note" title=${w.type} @click=${() => this.#type(n.code, true)}><code translate="no">${n.code}</code><small><bdi>${n.of}</bdi></small></button></li>`)}</ul>`}
      <p class="heard" role="status">${this.heard}</p>
      <button type="button" class="small" @click=${this.#write}>${w.write}</button>
    </section>`
  }

  #put(p: Parameters<typeof pocket.set>[0]): void {
    pocket.set(p)
    this.said = this.heard = ''
    this.#made = ''
    void this.#tick()
    this.requestUpdate()
  }

  #wind(drift: number): void {
    if (!this.#phone.lost) this.#put(change(pocket.get(empty), { drift }))
  }

  #lose(lost: boolean): void {
    this.#put(change(pocket.get(empty), { lost }))
    if (lost) lab.note('lab lost')
  }

  readonly #scan = async (): Promise<void> => {
    const address = await scan(document.querySelector('lab-application')!)
    const found = address === undefined ? undefined : readAddress(address)
    if (found) this.#put(add(pocket.get(empty), found))
    this.said = address === undefined ? w.noQr : found ? w.scanned : w.unreadable
  }

  readonly #addKey = (event: Event): void => {
    event.preventDefault()
    const key = String(new FormData(event.target as HTMLFormElement).get('key'))
    if (!base32(key)) {
      this.said = w.notKey
      return
    }
    const account = lab.stage.at === 'password' ? lab.user : lab.stage.user
    this.typing = false
    this.#put(add(pocket.get(empty), { issuer: words.app.name, account, key: key.replace(/\s/g, ''), algorithm: 'SHA-1', digits: 6, period: 30 }))
  }

  async #type(code: string, paper = false): Promise<void> {
    const typed = typeInto(document.querySelector('lab-application')!, code)
    if (!typed) await navigator.clipboard.writeText(code).catch(() => undefined)
    const say = typed ? w.typed : w.noField
    if (paper) this.heard = say
    else this.said = say
  }

  readonly #write = (): void => {
    const code = codeShown(document.querySelector('lab-application')!)
    if (code) {
      this.#put(write(pocket.get(empty), { code, of: lab.stage.at === 'password' ? lab.user : lab.stage.user }))
      lab.note('lab written')
    }
    this.heard = code ? w.written : w.nothing
  }
}
