import { Refusal, type Case, type CaseState, type CaseSummary, type Decision, type HistoryEvent } from '@nightlatch/client'
import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { property, state } from 'lit/decorators.js'

import { NightlatchElement } from './element.ts'
import { DecisionForm } from './parts/decision.ts'
import { plain, safeLink } from './parts/plain.ts'

const states: CaseState[] = ['in_review', 'identity_pending', 'approved', 'ready']

/**
 * The review console: the queue of resets, and one case on one page. It needs the session of a reviewer who has signed in
 * with a second factor within the last 15 minutes.
 *
 * @element nightlatch-review
 * @fires nightlatch-case - Another case is on the screen: detail.id, empty for the queue. For the page's address.
 * @fires nightlatch-decided - A decision was taken: detail.decision, detail.state.
 * @csspart headline - of the screen
 * @csspart table - lists of cases, of what was verified, and of what happened
 * @csspart badge - the state of a case, and how a field compares
 * @csspart notice - what must not be overlooked
 */
export class NightlatchReview extends NightlatchElement {
  static override styles = [
    NightlatchElement.styles,
    css`
      :host { max-inline-size: var(--nightlatch-width, 62rem); }
      .scroll { overflow-x: auto; margin-block-end: var(--_space); container-type: inline-size; }
      .scroll:focus-visible { outline-offset: 0; }
      table { inline-size: 100%; border-collapse: collapse; overflow-wrap: break-word; }
      th, td { padding: 0.5em 0.7em; border-block-end: 1px solid color-mix(in srgb, var(--_line) 35%, transparent); text-align: start; vertical-align: top; }
      thead th { color: var(--_muted); font-size: 0.9em; font-weight: 550; }
      td { overflow-wrap: anywhere; min-inline-size: 7rem; }
      table .badge, th button, time { white-space: nowrap; }
      @container (max-inline-size: 30rem) {
        table, tbody { display: block; }
        thead { display: none; }
        tr { display: grid; grid-template-columns: 1fr auto; gap: 0 0.7em; padding-block: 0.5em; border-block-end: 1px solid var(--_line); }
        th, td { grid-column: 1 / 3; min-inline-size: 0; padding: 0; border: 0; }
        th, .side { grid-area: 1 / 1; }
        .side { grid-column: 2; }
        td[data-of]::before { content: attr(data-of) ': '; color: var(--_muted); }
      }
      .choices { display: flex; flex-wrap: wrap; gap: 1.5rem; margin-block: var(--_space); }
      button[aria-pressed='true'] { background: var(--_sunken); border-width: 2px; }
      .head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.4rem 1rem; }
      .head h2 { margin: 0; }
      .filter { display: flex; flex-wrap: wrap; align-items: end; gap: var(--_space); margin-block: var(--_space); }
      .filter .field { margin: 0; min-inline-size: min(16rem, 100%); }
      summary { padding-block: 0.4em; cursor: pointer; font-weight: 600; }
    `,
  ]

  /** The id of the case to show; empty: the queue. */
  @property({ reflect: true }) case = ''
  /** The reviewer's own user id, if the page knows it: a case that they have approved is not offered for approval again. */
  @property() reviewer = ''

  @state() private queue: CaseState = 'in_review'
  @state() private cases: CaseSummary[] | undefined
  @state() private next: string | null = null
  @state() private shown: Case | undefined
  @state() private said = '' // what the last decision did

  readonly #decision = new DecisionForm(this, (about, decision) => this.#decide(about, decision))

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed)
    if (!changed.has('case') && !changed.has('api') && !this.isAnother(changed)) return
    // Another case, or another reviewer: nothing of the one before is seen, decided on or waited for.
    this.abandon()
    this.shown = undefined
    if (this.isAnother(changed)) this.cases = undefined
    this.said = ''
    this.#decision.done()
    // After the update: it sets what the next one shows.
    void this.updateComplete.then(() => this.refresh())
  }

  /** Shows the case, or the queue, as it is now. */
  async refresh(): Promise<void> {
    if (this.session === undefined) return
    await (this.case ? this.#open(this.case) : this.#list())
  }

  async #list(more = false): Promise<void> {
    await this.act('list', async () => {
      const page = await this.client.reviews(this.queue, more && this.next ? this.next : undefined)
      const show = () => {
        this.cases = more ? [...(this.cases ?? []), ...page.cases] : page.cases
        this.next = page.next
        this.shown = undefined
      }
      if (more || this.cases) show()
      else this.step(show)
    }, (refusal) => this.#refused(refusal))
  }

  async #open(id: string): Promise<void> {
    await this.act('open', async () => {
      const found = await this.#unlessOwn(this.client.review(id))
      if (!found) return
      const show = () => (this.shown = found)
      if (this.shown?.case_version !== found.case_version) this.#decision.reset() // what was chosen was meant for it as it was
      if (this.shown?.id === found.id) show()
      else this.step(show)
    }, (refusal) => this.#refused(refusal))
  }

  /** The answer about a case; nothing, and the reviewer is told, where it is their own. Whoever sees the queue can be refused no other. */
  async #unlessOwn<T>(asked: Promise<T>): Promise<T | undefined> {
    try {
      return await asked
    } catch (error) {
      if (!(error instanceof Refusal && error.told && error.code === 'forbidden')) throw error
      await this.client.reviews()
      this.trouble = { body: this.say('review.error.own') }
      return undefined
    }
  }

  async #decide(about: Case, decision: Omit<Decision, 'case_version'>): Promise<void> {
    await this.act('decide', async () => {
      const done = await this.#unlessOwn(this.client.decide(about.id, { ...decision, case_version: about.case_version }))
      if (!done) return
      const first = decision.decision === 'approve' && done.state === 'in_review'
      this.said = this.say(first ? 'review.done.approve.first' : `review.done.${decision.decision}`)
      this.#decision.done()
      this.emit('nightlatch-decided', { decision: decision.decision, state: done.state })
      this.shown = await this.client.review(about.id)
    }, (refusal) => {
      if (refusal.code === 'conflict') {
        this.trouble = { body: this.say('review.error.stale'), label: this.say('review.error.reload'), again: () => void this.#again() }
        return true
      }
      return this.#refused(refusal)
    })
  }

  /** The case as it is now. What was chosen was meant for another one. */
  async #again(): Promise<void> {
    this.#decision.reset()
    await this.refresh()
  }

  #refused(refusal: Refusal): boolean {
    switch (refusal.code) {
      case 'forbidden':
        if (!refusal.told) return false // whoever stands before the service does not know what a reviewer is
        this.trouble = { body: this.say('review.error.forbidden') }
        return true
      case 'not_found':
        this.trouble = { body: this.say('review.error.not_found') }
        return true
      case 'reauthenticate':
        this.trouble = {
          body: this.say('review.error.reauthenticate'), label: this.say('review.sign_in'),
          again: () => this.emit('nightlatch-reauthenticate', { max_age: refusal.problem.max_age }),
        }
        return true
      default:
        return false
    }
  }

  #go(id: string): void {
    this.case = id
    this.emit('nightlatch-case', { id })
  }

  protected override render(): TemplateResult {
    if (this.case) return this.#case()
    return html`
      ${this.headline(this.say('review.queue.headline'))}
      <div class="filter">
        <label class="field" part="field"><span>${this.say('review.queue.state')}</span>
          <select part="input" @change=${(event: Event) => {
            this.queue = (event.target as HTMLSelectElement).value as CaseState
            this.cases = undefined
            this.abandon()
            void this.#list()
          }}>
            ${states.map((s) => html`<option value=${s} ?selected=${s === this.queue}>${this.say(`reset.state.${s}`)}</option>`)}
          </select></label>
        ${this.button({ label: this.say('review.queue.refresh'), click: () => void this.#list(), action: 'list' })}
      </div>
      ${this.troubles()}
      ${this.cases === undefined ? nothing : this.cases.length === 0 ? this.paragraph(this.say('review.queue.empty')) : this.#queue(this.cases)}
      ${this.cases && this.next ? this.buttons({ label: this.say('review.queue.more'), click: () => void this.#list(true) }) : nothing}
    `
  }

  #queue(cases: CaseSummary[]): TemplateResult {
    return this.#table(this.say('review.queue.headline'), html`
      ${head(this.say('review.queue.reference'), this.say('review.queue.entered'), this.say('review.queue.due'), this.say('review.queue.approvals'))}
      <tbody>${cases.map((c) => html`<tr>
        <th scope="row"><button type="button" class="link" part="button link" aria-label=${this.say('review.queue.open', { reference: plain(c.reference) })}
          @click=${() => this.#go(c.id)}>${plain(c.reference)}</button>
          ${c.bounced ? html`<span class="badge warn" part="badge">${this.say('review.queue.bounced')}</span>` : nothing}</th>
        <td data-of=${this.say('review.queue.entered')}>${this.#moment(c.entered_at)}</td>
        <td data-of=${this.say('review.queue.due')}>${this.#moment(c.due_at)}</td>
        <td data-of=${this.say('review.queue.approvals')}>${c.approvals}</td>
      </tr>`)}</tbody>`)
  }

  #case(): TemplateResult {
    const c = this.shown
    return html`
      <div class="buttons">${this.button({ label: this.say('review.case.back'), click: () => this.#go(''), kind: 'link' })}</div>
      <div class="head">
        ${this.headline(c ? this.say('review.case.headline', { reference: plain(c.reference) }) : this.say('label.reference'))}
        ${c ? html`<span class="badge" part="badge">${this.named(`reset.state.${c.state}`) || plain(c.state)}</span>` : nothing}
      </div>
      <p role="status">${this.said}</p>
      ${c ? this.#page(c) : html`${this.troubles()}${this.atWork('open')}`}
    `
  }

  #page(c: Case): TemplateResult {
    const mine = this.reviewer !== '' && c.approvals.some((a) => a.by === this.reviewer)
    const link = c.inquiry_url ? safeLink(c.inquiry_url) : undefined
    return html`
      ${c.bounced ? html`<p class="notice" part="notice"><strong>${this.say('review.bounced')}</strong></p>` : nothing}
      ${c.effect ? nothing : html`<p class="notice" part="notice">${this.say('review.case.closed')}</p>`}
      <h3>${this.say('review.identity.headline')}</h3>
      ${this.#identity(c)}
      ${link ? html`<p><a href=${link} target="_blank" rel="noopener noreferrer">${this.say('review.identity.inquiry')}</a></p>` : nothing}
      ${c.effect ? html`<h3>${this.say('review.effect.headline')}</h3>
        <p>${this.named(`review.effect.${c.effect.enforcement}`)} ${this.#effective(c.effect.earliest_at)}</p>` : nothing}
      <h3>${this.say('review.changes.headline')}</h3>
      ${this.#events(this.say('review.changes.headline'), c.recent_changes, this.say('review.changes.empty'))}
      <h3>${this.say('review.origin.headline')}</h3>
      <p>${this.say('review.origin.requested', { moment: this.phrases.moment(c.requested_at), ago: this.phrases.ago(c.requested_at, this.clock()) })}</p>
      <p><bdi>${plain(c.request.ip) || this.say('review.origin.unknown')}</bdi>${c.request.user_agent ? html`<br /><small><bdi>${plain(c.request.user_agent)}</bdi></small>` : nothing}</p>
      <p><span class=${c.request.network_seen_before ? 'badge on' : 'badge warn'} part="badge">${this.say(c.request.network_seen_before ? 'review.origin.seen' : 'review.origin.not_seen')}</span></p>
      <details><summary>${this.say('review.history.headline')}</summary>${this.#events(this.say('review.history.headline'), c.history, this.say('review.history.empty'))}</details>
      <h3>${this.say('review.resets.headline')}</h3>
      ${this.#events(this.say('review.resets.headline'), c.earlier_resets, this.say('review.resets.empty'))}
      ${c.approvals_needed > 0 ? html`<h3>${this.say('review.approvals.headline')}: ${this.say('review.approvals.count', { count: c.approvals.length, needed: c.approvals_needed })}</h3>
        ${c.approvals_needed > 1 ? this.paragraph(this.say('review.approvals.two')) : nothing}
        ${c.approvals.length === 0 ? this.paragraph(this.say('review.approvals.empty')) : html`<ul>${c.approvals.map((a) => html`<li><bdi>${this.say('review.approvals.by', { name: plain(a.by), moment: this.phrases.moment(a.at) })}</bdi></li>`)}</ul>`}` : nothing}
      ${c.effect ? this.#decision.render(c, mine) : this.troubles()}
    `
  }

  #identity(c: Case): TemplateResult {
    if (c.identity.length === 0) return this.paragraph(this.say('review.identity.gone'))
    const badge = { match: 'badge on', differs: 'badge warn', not_on_file: 'badge' }
    const text = (value: string | null) => (value === null ? html`<span class="muted">${this.say('review.identity.none')}</span>` : html`<bdi>${plain(value)}</bdi>`)
    return this.#table(this.say('review.identity.headline'), html`
      ${head('', this.say('review.identity.on_file'), this.say('review.identity.verified'), this.say('review.identity.result'))}
      <tbody>${c.identity.map((f) => html`<tr>
        <th scope="row">${this.named(`review.identity.field.${f.field}`) || plain(f.field)}</th>
        <td data-of=${this.say('review.identity.on_file')}>${text(f.on_file)}</td>
        <td data-of=${this.say('review.identity.verified')}>${text(f.verified)}</td>
        <td class="side"><span class=${badge[f.result]} part="badge">${this.named(`review.identity.${f.result}`) || plain(f.result)}</span></td>
      </tr>`)}</tbody>`)
  }

  #events(name: string, events: HistoryEvent[], empty: string): TemplateResult {
    if (events.length === 0) return this.paragraph(empty)
    return this.#table(name, html`<tbody>${events.map((e, i) => {
      // Much of it comes from one browser, whose text is long.
      const agent = e.user_agent && e.user_agent === events[i - 1]?.user_agent ? this.say('review.same_browser') : html`<bdi>${plain(e.user_agent)}</bdi>`
      return html`<tr>
        <td class="side">${this.#moment(e.at)}</td>
        <th scope="row">${this.named(`history.${e.type}`) || plain(e.type)}${e.outcome === 'failure' ? html` <span class="badge warn" part="badge">${this.say('history.outcome.failure')}</span>` : nothing}</th>
        <td><bdi>${plain(e.ip)}</bdi>${e.user_agent ? html`<br /><small>${agent}</small>` : nothing}</td>
      </tr>`
    })}</tbody>`)
  }

  /**
   * A table. Where its columns have no room a row is a block: what it is about and how it stands, then each cell with its
   * heading. What is too wide all the same scrolls by itself, also by keyboard.
   */
  #table(name: string, content: TemplateResult): TemplateResult {
    return html`<div class="scroll" role="region" aria-label=${name} tabindex="0"><table part="table">${content}</table></div>`
  }

  #moment(at: string): TemplateResult {
    return html`<time datetime=${at} title=${this.phrases.moment(at)}>${this.phrases.time(at, this.clock())}</time>`
  }

  #effective(at: string): string {
    const soon = Date.parse(at) <= this.clock()
    return soon ? this.say('review.effect.now') : this.say('review.effect.earliest', { moment: this.phrases.moment(at), until: this.phrases.until(at, this.clock()) })
  }
}

/** The headings of a table's columns; an empty one is none. */
function head(...columns: string[]): TemplateResult {
  return html`<thead><tr>${columns.map((c) => (c ? html`<th scope="col">${c}</th>` : html`<td></td>`))}</tr></thead>`
}

if (!customElements.get('nightlatch-review')) customElements.define('nightlatch-review', NightlatchReview)

declare global {
  interface HTMLElementTagNameMap {
    'nightlatch-review': NightlatchReview
  }
}
