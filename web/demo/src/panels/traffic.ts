import { html, nothing, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'
import { repeat } from 'lit/directives/repeat.js'

import { lab, Panel, type Exchange } from '../lab.ts'
import { claimsOf, curlOf, sameAnswer } from '../wire.ts'
import { words } from '../words.ts'

const w = words.traffic

/** What the application's pages ask, and what they are answered. */
@customElement('lab-traffic')
export class Traffic extends Panel {
  @state() private said: { id: number; text: string; answer?: unknown } | undefined

  protected override render(): TemplateResult {
    return html`
      <h3 id="traffic-title">${w.title}</h3><p class="quiet">${w.about}</p>
      ${lab.exchanges.length === 0 ? html`<p class="quiet">${w.none}</p>` : html`<ol class="exchanges">${repeat(lab.exchanges, (e) => e.id, (e) => this.#exchange(e))}</ol>`}`
  }

  #exchange(e: Exchange): TemplateResult {
    const code = typeof e.answer === 'object' && e.answer !== null ? (e.answer as { code?: unknown }).code : undefined
    const claims = claimsOf((e.answer as { assertion?: unknown } | undefined)?.assertion)
    const verify = e.method === 'POST' && e.path === '/v1/verify'
    return html`<li><details>
      <summary><span class="method">${e.method}</span> <span class="path">${e.path}</span> <span class="chip ${e.status >= 200 && e.status < 300 ? 'good' : 'bad'}">${e.status || w.silent}${typeof code === 'string' ? ` ${code}` : ''}</span> <small>${Math.round(e.ms)} ms</small></summary>
      ${e.request === undefined ? nothing : html`<h4>${w.request}</h4><pre class="json" tabindex="0"><code>${JSON.stringify(e.request, null, 2)}</code></pre>`}
      <h4>${w.answer}</h4><pre class="json" tabindex="0"><code>${JSON.stringify(e.answer, null, 2) ?? '–'}</code></pre>
      ${claims ? html`<h4>${w.assertion}</h4><pre class="json" tabindex="0"><code>${JSON.stringify(claims, null, 2)}</code></pre>` : nothing}
      <div class="row wrap">
        ${verify ? html`<button type="button" class="small" @click=${() => void this.#again(e)}>${w.again}</button>` : nothing}
        <button type="button" class="small" @click=${() => void this.#copy(e)}>${w.curl}</button>
      </div>
      <div role="status">${this.said?.id === e.id ? html`<p class="notice">${this.said.text}</p>${this.said.answer === undefined ? nothing : html`<pre class="json" tabindex="0"><code>${JSON.stringify(this.said.answer, null, 2)}</code></pre>`}` : nothing}</div>
    </details></li>`
  }

  async #again(e: Exchange): Promise<void> {
    const response = await fetch(e.path, { method: e.method, credentials: 'omit', headers: e.headers, body: JSON.stringify(e.request) })
    const answer: unknown = await response.json().catch(() => undefined)
    const same = response.status === e.status && sameAnswer(answer, e.answer)
    this.said = same ? { id: e.id, text: w.same } : { id: e.id, text: w.other, answer }
    if (same && response.ok) lab.note('lab same answer')
  }

  async #copy(e: Exchange): Promise<void> {
    const copied = await navigator.clipboard.writeText(curlOf(e, location.origin)).then(() => true, () => false)
    this.said = { id: e.id, text: copied ? w.copied : w.notCopied }
  }
}
