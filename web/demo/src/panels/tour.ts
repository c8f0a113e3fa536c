import { html, nothing, svg, type TemplateResult } from 'lit'
import { customElement } from 'lit/decorators.js'

import { isDone } from '../facts.ts'
import { isReviewer, lab, firstNameOf, Panel } from '../lab.ts'
import { tours, type Step } from '../tours.ts'
import { words } from '../words.ts'

const w = words.tour
const tick = svg`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d="M3.5 8.5l3 3 6-7" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`

/** What to do next. A step is ticked when what it is about has happened. */
@customElement('lab-tour')
export class TourPanel extends Panel {
  #next = -1

  /** Where the steps have a height of their own, the next one is in sight. The page stays where it is. */
  protected override updated(): void {
    const next = this.querySelector<HTMLElement>('.next')
    const at = next ? [...next.parentElement!.children].indexOf(next) : -1
    if (at === this.#next) return
    this.#next = at
    const panel = this.parentElement
    const steps = next?.parentElement
    if (!next || !panel || !steps) return
    if (panel.scrollHeight > panel.clientHeight) panel.scrollTop = steps.offsetTop + next.offsetTop - panel.clientHeight / 3
    if (steps.scrollWidth > steps.clientWidth) steps.scrollLeft = next.offsetLeft
  }

  protected override render(): TemplateResult {
    const tour = tours[lab.preset]
    const done = tour.steps.map((s) => isDone(s.waitsFor, lab.facts))
    const next = done.indexOf(false)
    const n = done.filter(Boolean).length
    return html`
      <header class="row"><h2 class="tiny" id="tour-title">${w.title}</h2><span class="push quiet" role="status">${n} ${w.of} ${tour.steps.length}</span></header>
      <h3>${tour.title}</h3><p class="quiet">${tour.about}</p>
      ${this.#astray(done[0]!)}
      <ol class="steps">${tour.steps.map((s, i) => this.#step(s, i, done[i]!, i === next))}</ol>
      ${next < 0 ? html`<p class="notice good">${w.all}</p>` : nothing}
      ${n > 0 ? html`<button type="button" class="small" @click=${() => lab.forgetFacts()}>${w.again}</button>` : nothing}`
  }

  /** What keeps the steps from being ticked, if anything does. */
  #astray(begun: boolean): TemplateResult | typeof nothing {
    if (isReviewer(lab.user)) return html`<p class="notice">${w.reviewer}</p>`
    if (begun || !lab.stored?.item.auth) return nothing
    return html`<p class="notice">${w.begun(firstNameOf(lab.user))} <button type="button" class="link" @click=${() => show('desk')}>${w.show}</button></p>`
  }

  #step(s: Step, i: number, done: boolean, next: boolean): TemplateResult {
    return html`<li class="${done ? 'done' : ''} ${next ? 'next' : ''}" aria-current=${next ? 'step' : nothing}>
      <span class="bullet">${done ? html`${tick}<span class="hidden">${w.done}</span>` : i + 1}</span>
      <div><p>${s.do}</p>${next ? html`<button type="button" class="link" @click=${() => show(s.where)}>${w.show}</button>` : nothing}</div>
    </li>`
  }
}

/** Brings a panel into sight, and the focus to it. */
export function show(where: string): void {
  const panel = document.querySelector<HTMLElement>(`[data-panel=${where}]`)
  if (!panel) return
  panel.scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth', block: 'nearest' })
  panel.focus({ preventScroll: true })
}
