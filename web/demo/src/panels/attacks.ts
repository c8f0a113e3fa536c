import { html, nothing, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import { copies, guesses, NotNow, type Result } from '../attack.ts'
import { lab, Panel } from '../lab.ts'
import { words } from '../words.ts'

const w = words.attacks

/** What an attacker who has the password can try, and what comes of it. */
@customElement('lab-attacks')
export class Attacks extends Panel {
  @state() private result: Result | undefined
  @state() private kind: 'copies' | 'guesses' = 'copies'
  @state() private progress = ''
  @state() private done = 0
  @state() private of = 1
  @state() private why = ''

  protected override render(): TemplateResult {
    return html`
      <h3 id="attacks-title">${w.title}</h3><p class="quiet">${w.about}</p>
      <div class="row wrap">
        <button type="button" aria-disabled=${this.progress !== ''} @click=${() => void this.#run('copies', 200)}>${w.copies}</button>
        <button type="button" aria-disabled=${this.progress !== ''} @click=${() => void this.#run('guesses', 1000)}>${w.guesses}</button>
      </div>
      <div role="status">${this.progress ? html`<label class="progress">${this.progress}<progress max=${this.of} .value=${this.done}></progress></label>` : nothing}${this.why ? html`<p class="notice">${this.why}</p>` : nothing}</div>
      ${this.result ? this.#outcome(this.result) : nothing}
      <dl class="figures quiet"><div><dt>${w.totals}</dt><dd>${lab.counters.reads.toLocaleString('en')} ${w.reads} · ${lab.counters.writes.toLocaleString('en')} ${w.writes}</dd></div></dl>`
  }

  #outcome(r: Result): TemplateResult {
    const all = Object.entries(r.tally).sort(([, a], [, b]) => b - a)
    const most = Math.max(1, ...all.map(([, n]) => n))
    const compared = r.tally['invalid_code'] ?? 0
    return html`<div class="outcome" role="status">
      <table><caption class="hidden">${w.outcomes}</caption>
        <thead class="hidden"><tr><th scope="col">${w.outcome}</th><th scope="col">${w.count}</th></tr></thead>
        <tbody>${all.map(([name, n]) => html`<tr class=${name === 'signed in' ? 'in' : ''}><th scope="row"><code>${name}</code></th>
          <td><meter min="0" max=${most} .value=${n} aria-hidden="true"></meter><span>${n.toLocaleString('en')}</span></td></tr>`)}</tbody></table>
      <p><strong>${this.kind === 'copies' ? w.copiesSaid(r.tally['signed in'] ?? 0) : w.guessesSaid(compared)}</strong></p>
      <dl class="figures"><div><dt>${w.reads}</dt><dd>${r.counters.reads.toLocaleString('en')}</dd></div><div><dt>${w.writes}</dt><dd>${r.counters.writes.toLocaleString('en')}</dd></div><div><dt>${w.took}</dt><dd>${Math.round(r.ms).toLocaleString('en')} ${w.ms}</dd></div></dl>
    </div>`
  }

  async #run(kind: 'copies' | 'guesses', n: number): Promise<void> {
    if (this.progress) return
    this.kind = kind
    this.result = undefined
    this.why = ''
    this.done = 0
    this.of = n
    this.progress = kind === 'copies' ? w.preparing : w.running
    try {
      if (kind === 'copies') {
        this.result = await copies(lab.user, n, (done, of) => {
          this.done = done
          this.progress = of === 'sent' ? w.running : done === n ? w.waiting : w.preparing
        })
      } else {
        this.result = await guesses(lab.user, n, (done) => (this.done = done))
      }
      lab.note(`lab ${kind}`)
    } catch (error) {
      this.why = error instanceof NotNow ? w[error.why] : words.app.unavailable
    } finally {
      this.progress = ''
      void lab.look()
    }
  }
}
