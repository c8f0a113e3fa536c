import { html, nothing, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import { lab, Panel, users } from '../lab.ts'
import { linesOf } from '../lines.ts'
import { words } from '../words.ts'

const w = words.item

/** The account as the engine stores it, version by version. */
@customElement('lab-item')
export class Item extends Panel {
  @state() private chosen: number | undefined // a version; undefined: the newest

  protected override render(): TemplateResult {
    const versions = lab.stored?.versions ?? []
    const at = Math.max(0, versions.findIndex((v) => v.version === this.chosen))
    const shown = versions[at]
    return html`
      <h3 id="item-title">${w.title}</h3><p class="quiet">${w.about}</p>
      <div class="row wrap">
        <label class="pick"><span>${w.of}</span><select @change=${(e: Event) => { this.chosen = undefined; lab.lookAt((e.target as HTMLSelectElement).value) }}>
          ${users.map((u) => html`<option value=${u} ?selected=${u === lab.user}>${u}</option>`)}</select></label>
        <label class="pick"><span>${w.version}</span><select @change=${(e: Event) => this.#choose((e.target as HTMLSelectElement).value)}>
          <option value="" ?selected=${this.chosen === undefined}>${w.newest}${versions[0] ? ` (${versions[0].version})` : ''}</option>
          ${versions.slice(1).map((v) => html`<option value=${v.version!} ?selected=${v.version === this.chosen}>${v.version}</option>`)}</select></label>
      </div>
      ${shown ? html`
        <p class="events"><span class="hidden">${w.happened}: </span>${(shown.events ?? []).map((e) => html`<span class="chip ${e.outcome === 'failure' ? 'bad' : ''}">${[e.type, e.method, e.reason].filter(Boolean).join(' · ').replaceAll('_', ' ')}</span>`)}${shown.events?.length ? nothing : html`<span class="quiet">${w.nothing}</span>`}</p>
        <pre class="json" tabindex="0" aria-label=${w.title} translate="no"><code>${linesOf(shown, versions[at + 1] ?? (shown.version === 1 ? {} : undefined)).map((l) => l.changed ? html`<mark>${l.text}</mark>` : html`<span>${l.text}</span>`)}</code></pre>`
      : html`<p class="quiet">${w.none}</p>`}`
  }

  #choose(version: string): void {
    this.chosen = version === '' ? undefined : Number(version)
  }
}
