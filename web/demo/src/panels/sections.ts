import { html, nothing, type TemplateResult } from 'lit'
import { customElement } from 'lit/decorators.js'

import { lab, Panel } from '../lab.ts'
import { words } from '../words.ts'
import { unread } from './inbox.ts'
import { show } from './tour.ts'

/** On a narrow page, what one goes back and forth between. */
@customElement('lab-sections')
export class Sections extends Panel {
  protected override render(): TemplateResult {
    const waiting = unread(lab.mails)
    return html`<nav aria-label=${words.top.sections}>${Object.entries(words.sections).map(([where, label]) => html`<button type="button" @click=${() => show(where)}>
      ${label}${where === 'inbox' && waiting > 0 ? html`<span class="chip amber">${waiting}</span>` : nothing}</button>`)}</nav>`
  }
}
