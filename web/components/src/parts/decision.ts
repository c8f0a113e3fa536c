import type { Case, Decision } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'

type Kind = Decision['decision']
type Reason = NonNullable<Decision['reason_code']>
type Send = (about: Case, decision: Omit<Decision, 'case_version'>) => Promise<void>

/** What each state leaves to decide. */
const open: Partial<Record<Case['state'], Kind[]>> = {
  in_review: ['approve', 'deny', 'retry_identity'],
  identity_pending: ['stop'],
  approved: ['stop'],
  ready: ['stop'],
}

const reasons: Reason[] = ['identity_mismatch', 'document_unreadable', 'suspicious_request', 'not_account_holder', 'other']

/** The API counts bytes. */
const longestNote = 256

/** A reviewer's decision: chosen first, then spelled out, so that nobody approves by accident. */
export class DecisionForm {
  #chosen: Kind | undefined
  #matches = false
  #typed = ''
  #reason: Reason | '' = ''
  #note = ''
  readonly #host: NightlatchElement
  readonly #send: Send

  /** send takes the decision to the service. */
  constructor(host: NightlatchElement, send: Send) {
    this.#host = host
    this.#send = send
  }

  /** Nothing is chosen: the note stays, for whoever has to look at the case again. */
  reset(): void {
    this.#chosen = undefined
    this.#matches = false
    this.#typed = ''
    this.#reason = ''
  }

  render(c: Case, approvedBefore: boolean): TemplateResult | typeof nothing {
    const host = this.#host
    const kinds = (open[c.state] ?? []).filter((kind) => !(kind === 'approve' && approvedBefore))
    if (kinds.length === 0) return nothing
    return html`<section aria-labelledby="decide">
      <h3 id="decide">${host.say('review.decide.headline')}</h3>
      ${approvedBefore && c.state === 'in_review' ? html`<p class="notice" part="notice">${host.say('review.approvals.waiting')}</p>` : nothing}
      <div class="choices" role="group" aria-labelledby="decide">
        ${kinds.map((kind) => html`<button
          type="button" class=${kind === 'approve' ? '' : kind === 'retry_identity' ? '' : 'danger'} part="button"
          aria-pressed=${this.#chosen === kind}
          aria-disabled=${host.busy ? 'true' : nothing}
          @click=${() => this.#choose(kind)}>${host.say(`review.decide.${kind}`)}</button>`)}
      </div>
      ${this.#chosen && kinds.includes(this.#chosen) ? this.#spell(c, this.#chosen) : host.troubles()}
    </section>`
  }

  #spell(c: Case, kind: Kind): TemplateResult {
    const host = this.#host
    const ready = this.#ready(c, kind)
    return html`<form class="notice" part="notice" novalidate @submit=${(event: Event) => this.#submit(event, c, kind)}>
      <p>${host.say(`review.decide.${kind}.body`)}</p>
      ${kind === 'approve'
        ? html`<label class="tick"><input type="checkbox" name="same_person" .checked=${this.#matches} @change=${(e: Event) => {
              this.#matches = (e.target as HTMLInputElement).checked
              host.requestUpdate()
            }} /><span>${host.say('review.decide.matches')}</span></label>
            <label class="field" part="field"><span>${host.say('review.decide.type_reference', { reference: c.reference })}</span>
              <input part="input" name="reference" type="text" autocomplete="off" autocapitalize="characters" autocorrect="off" spellcheck="false"
                .value=${this.#typed} @input=${(e: Event) => {
                  this.#typed = (e.target as HTMLInputElement).value
                  host.requestUpdate()
                }} /></label>`
        : nothing}
      ${kind === 'deny'
        ? html`<label class="field" part="field"><span>${host.say('review.decide.reason')}</span>
            <select part="input" name="reason" @change=${(e: Event) => {
              this.#reason = (e.target as HTMLSelectElement).value as Reason | ''
              host.requestUpdate()
            }}>
              <option value="" ?selected=${this.#reason === ''}>${host.say('review.decide.reason.choose')}</option>
              ${reasons.map((r) => html`<option value=${r} ?selected=${this.#reason === r}>${host.say(`reset.reason.${r}`)}</option>`)}
            </select></label>`
        : nothing}
      <label class="field" part="field"><span>${host.say('review.decide.note')}</span>
        <textarea part="input" name="note" rows="2" .value=${this.#note} @input=${(e: Event) => {
          const field = e.target as HTMLTextAreaElement
          this.#note = field.value = cut(field.value)
        }}></textarea></label>
      ${host.troubles()}
      <div class="buttons" part="buttons">
        ${host.button({ label: host.say('review.decide.cancel'), click: () => this.#choose(undefined) })}
        <button type="submit" class=${kind === 'deny' || kind === 'stop' ? 'danger' : 'main'} part="button main"
          aria-disabled=${!ready || host.busy ? 'true' : nothing}>${host.say('review.decide.confirm')}${host.atWork('decide')}</button>
      </div>
    </form>`
  }

  #choose(kind: Kind | undefined): void {
    this.reset()
    this.#chosen = kind
    this.#host.trouble = undefined
    this.#host.requestUpdate()
  }

  #ready(c: Case, kind: Kind): boolean {
    if (kind === 'approve') return this.#matches && this.#typed.trim().toUpperCase() === c.reference.toUpperCase()
    return kind !== 'deny' || this.#reason !== ''
  }

  #submit(event: Event, c: Case, kind: Kind): void {
    event.preventDefault()
    if (this.#host.busy) return
    if (!this.#ready(c, kind)) {
      if (kind === 'approve' && this.#typed !== '' && this.#matches) {
        this.#host.trouble = { body: this.#host.say('review.decide.type_reference.wrong', { reference: c.reference }) }
      }
      return
    }
    void this.#send(c, {
      decision: kind,
      ...(kind === 'approve' ? { identity_matches: true } : {}),
      ...(this.#reason ? { reason_code: this.#reason } : {}),
      ...(this.#note.trim() ? { note: this.#note.trim() } : {}),
    })
  }

  /** The decision has been taken: nothing of it stays. */
  done(): void {
    this.reset()
    this.#note = ''
  }
}

/** A text that is too long loses its end, character by character. */
function cut(text: string): string {
  const characters = [...text]
  while (new TextEncoder().encode(characters.join('')).length > longestNote) characters.pop()
  return characters.join('')
}
