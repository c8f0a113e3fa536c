import { html, nothing, svg } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import { lab, Panel } from '../lab.ts'
import { presets } from '../preset.ts'
import { Refused } from '../program.ts'
import { languages, words } from '../words.ts'

const w = words.top

/** A latch in a night sky. */
const mark = svg`<path d="M20.5 14.6A9 9 0 1 1 9.4 3.5a7.2 7.2 0 0 0 11.1 11.1Z" fill="currentColor"/><circle cx="16.6" cy="7.4" r="2.1" fill="var(--amber)"/>`

/** The bar at the top: policy, language, time. */
@customElement('lab-top')
export class Top extends Panel {
  @state() private ticked = 0
  @state() private said = '' // what could not be set
  #ticking: ReturnType<typeof setInterval> | undefined

  override connectedCallback(): void {
    super.connectedCallback()
    this.#ticking = setInterval(() => (this.ticked = Math.floor(lab.now() / 1000)), 1000)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearInterval(this.#ticking)
  }

  protected override render() {
    void this.ticked
    return html`
      <div class="brand"><svg viewBox="0 0 24 24" width="28" height="28" aria-hidden="true">${mark}</svg><h1>${w.name} <span>${w.lab}</span></h1></div>
      <label class="pick"><span>${w.language}</span>
        <select @change=${(e: Event) => lab.speak((e.target as HTMLSelectElement).value)}>
          ${Object.entries(languages).map(([code, name]) => html`<option value=${code} lang=${code} ?selected=${lab.lang === code}>${name}</option>`)}
        </select>
      </label>
      <fieldset class="segments">
        <legend>${w.policy}</legend>
        <div>${presets.map((p) => html`<label><input type="radio" name="preset" value=${p} .checked=${lab.preset === p} @change=${() => this.#set(lab.choose(p))}/><span>${p}</span></label>`)}</div>
      </fieldset>
      <div class="clock" role="group" aria-label=${w.clock}>
        <span class="label">${lab.offset > 0 ? w.clockAhead : w.clock}</span>
        <span class="row"><time>${moment(lab.now())}</time>${lab.offset > 0 ? html`<span class="chip amber">${duration(lab.offset)} ${w.ahead}</span>` : nothing}
        ${w.jumps.map((j) => html`<button class="small" type="button" title=${w.jumpTitle} @click=${() => this.#set(lab.jump(j.seconds))}>${j.label}</button>`)}</span>
      </div>
      <div role="status" class="silent">${lab.silent && Date.now() - lab.silent > 3000 ? html`<p class="notice bad">${w.silent}</p>` : this.said ? html`<p class="notice bad">${this.said}</p>` : nothing}</div>`
  }

  #set(setting: Promise<void>): void {
    this.said = ''
    setting.catch((error: unknown) => (this.said = error instanceof Refused ? error.message : w.silent))
  }
}

function moment(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString('en-GB', { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' })
}

/** A length of time in its largest two units. */
export function duration(seconds: number): string {
  const parts = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]] as const
  const said: string[] = []
  let rest = seconds
  for (const [unit, length] of parts) {
    const n = Math.floor(rest / length)
    rest -= n * length
    if (n > 0) said.push(`${n} ${unit}`)
  }
  return said.slice(0, 2).join(' ') || '0 s'
}
