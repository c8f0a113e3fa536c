import { html, nothing, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import { Kept, ofTab } from '../kept.ts'
import { lab, Panel } from '../lab.ts'
import { nameOf, piecesOf } from '../letter.ts'
import type { Mail } from '../program.ts'
import { words } from '../words.ts'

const w = words.inbox
const opened = new Kept<string[]>('opened', ofTab)

/** How many mails were not opened yet. */
export function unread(mails: readonly Mail[]): number {
  const read = new Set(opened.get([]))
  return mails.filter((m) => !read.has(m.id)).length
}

/** Everybody's mailbox. Mails are shown as text: their own markup has no business on this page. */
@customElement('lab-inbox')
export class Inbox extends Panel {
  @state() private open = ''

  protected override render(): TemplateResult {
    const mail = lab.mails.find((m) => m.id === this.open)
    const read = new Set(opened.get([]))
    const waiting = unread(lab.mails)
    return html`
      <header class="row"><h2 class="tiny" id="inbox-title">${w.title}</h2>${waiting ? html`<span class="chip amber">${waiting} ${w.unread}</span>` : nothing}<a class="push quiet" href="/dev/mail" target="_blank" rel="noopener">${w.all}</a></header>
      ${mail ? this.#mail(mail) : this.#list(read)}`
  }

  #list(read: Set<string>): TemplateResult {
    if (lab.mails.length === 0) return html`<p class="quiet">${w.none}</p>`
    return html`<ol class="mails">${lab.mails.slice(0, 30).map((m) => html`<li><button type="button" class=${read.has(m.id) ? '' : 'unread'} @click=${() => this.#show(m)}>
      <span class="subject"><bdi>${m.subject}</bdi></span><small><bdi>${m.to.join(', ')}</bdi><time datetime=${m.at}>${timeOf(m.at)}</time></small>
    </button></li>`)}</ol>`
  }

  #mail(mail: Mail): TemplateResult {
    return html`<article class="mail">
      <button type="button" class="link" @click=${() => (this.open = '')}>‹ ${w.back}</button>
      <h3 tabindex="-1"><bdi>${mail.subject}</bdi></h3>
      <p class="quiet">${w.to} <bdi>${mail.to.join(', ')}</bdi>, ${timeOf(mail.at)}</p>
      <div class="letter">${piecesOf(mail.text, location.origin).map((p) => 'link' in p
        ? p.here
          ? html`<a class="button" href=${p.link.slice(location.origin.length)}>${nameOf(p.link)}</a>`
          : html`<a href=${p.link} target="_blank" rel="noopener noreferrer" title=${w.warning}>${p.text}</a>`
        : p.text)}</div>
    </article>`
  }

  #show(mail: Mail): void {
    this.open = mail.id
    opened.set([mail.id, ...opened.get([]).filter((id) => id !== mail.id)].slice(0, 300))
    lab.changed()
    void this.updateComplete.then(() => this.querySelector<HTMLElement>('h3')?.focus())
  }
}

function timeOf(at: string): string {
  return new Date(at).toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })
}
