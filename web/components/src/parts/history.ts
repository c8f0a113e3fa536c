import type { HistoryEvent } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Card, Screen } from './card.ts'
import { plain } from './plain.ts'

/** How many events come at a time. */
const pageSize = 25

/** The history: what happened, when, from where, and whether it succeeded. */
export class HistoryScreen implements Screen {
  readonly #card: Card
  #events: HistoryEvent[] | undefined
  #next: string | null = null

  constructor(card: Card) {
    this.#card = card
  }

  start(): void {
    void this.#card.act('history', () => this.#more())
  }

  async #more(): Promise<void> {
    const page = await this.#card.service.history(this.#events && this.#next ? this.#next : undefined, pageSize)
    const known = new Set(this.#events?.map((e) => e.id))
    this.#events = [...(this.#events ?? []), ...page.events.filter((e) => !known.has(e.id))]
    this.#next = page.next
    this.#card.requestUpdate()
  }

  render(): TemplateResult {
    const card = this.#card
    const events = this.#events
    return html`
      ${card.headline(card.say('history.headline'))}
      ${events?.length === 0 ? card.paragraph(card.say('history.empty')) : nothing}
      ${events?.length ? html`<ul class="history" part="list">${events.map((e) => this.#event(e))}</ul>` : nothing}
      ${!events && card.busy ? html`<p class="muted" role="status">${card.say('common.loading')}</p>` : nothing}
      ${card.troubles()}
      ${card.buttons(
        { label: card.say('common.back'), click: () => card.home() },
        this.#next !== null && { label: card.say('history.more'), action: 'history', click: () => void card.act('history', () => this.#more()) },
      )}`
  }

  #event(e: HistoryEvent): TemplateResult {
    const card = this.#card
    const { phrases } = card
    // Of some things it goes without saying that they succeeded: they happened.
    const outcome = e.type === 'login' || e.type === 'check' || e.outcome === 'failure' ? card.named(`history.outcome.${e.outcome}`) : ''
    const about = [card.named(`history.operation.${e.operation}`), card.named(`history.reason.${e.reason}`)].filter(Boolean).join(' · ')
    const how = e.method === 'none' ? '' : card.named(`history.method.${e.method}`)
    const who = e.actor === 'user' || e.actor === 'host' ? '' : card.named(`history.actor.${e.actor}`)
    return html`<li>
      <p class="what">
        <strong>${card.named(`history.${e.type}`) || card.say('history.unknown')}</strong>
        ${outcome ? html`<span class=${e.outcome === 'success' ? 'badge on' : 'badge warn'} part="badge">${outcome}</span>` : nothing}
      </p>
      <p class="muted"><time datetime=${e.at}>${phrases.moment(e.at)}</time></p>
      ${about ? html`<p class="muted">${about}</p>` : nothing}
      ${how || who || e.ip ? html`<p class="muted">
        ${[how, who].filter(Boolean).join(' · ')}${(how || who) && e.ip ? ' · ' : ''}${e.ip ? html`<span class="hidden">${card.say('history.column.ip')}: </span><bdi>${plain(e.ip)}</bdi>` : nothing}
      </p>` : nothing}
      ${e.user_agent ? html`<p class="muted agent"><span class="hidden">${card.say('history.column.user_agent')}: </span><bdi>${plain(e.user_agent)}</bdi></p>` : nothing}
    </li>`
  }
}
