// How a reset goes wrong, wherever its user looks at it: in the sign-in, or behind a mailed link.
import type { ResetStatus } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Button, NightlatchElement } from '../element.ts'
import { contact } from './support.ts'

/** The reset as far as the page knows it. */
export type Known = Pick<ResetStatus, 'reference' | 'state'> & Partial<ResetStatus>

export interface EndOptions {
  reset: Known
  /** Where people write to; empty: nowhere. */
  support: string
  /** The ways on. */
  buttons: (Button | false | undefined)[]
}

/** R7: a reviewer has denied it. */
export function denied(host: NightlatchElement, o: EndOptions): TemplateResult {
  const reason = host.named(`reset.reason.${o.reset.reason_code}`)
  return html`
    ${host.headline(host.say('R7.headline'))}
    ${reason ? host.paragraph(reason) : nothing}
    ${host.paragraph(host.sentences(host.say('R7.body'), host.say('R7.quote', { reference: o.reset.reference })))}
    ${end(host, o, 'R7.write')}`
}

/** I1: the identity check has failed, and can be tried again. */
export function identityFailed(host: NightlatchElement, o: EndOptions): TemplateResult {
  return html`
    ${host.headline(host.say('I1.headline'))}
    ${host.paragraph(host.sentences(host.say('I1.body.1'), host.say('I1.body.2'), host.say('I1.body.3')))}
    ${host.paragraph(host.say('I1.body.4', { n: o.reset.tries_left ?? 0 }))}
    ${end(host, o, 'I1.write')}`
}

/** I2: it has failed for the last time. */
export function identityOver(host: NightlatchElement, o: EndOptions): TemplateResult {
  const reference = o.reset.reference
  return html`
    ${host.headline(host.say('I2.headline'))}
    ${host.paragraph(o.support ? host.say('I2.body.1', { support: o.support, reference }) : host.say('I2.body.1.no_support', { reference }))}
    ${o.support ? html`<p part="body"><strong>${host.say('I2.body.2')}</strong></p>` : nothing}
    ${end(host, o, 'I2.write')}`
}

function end(host: NightlatchElement, o: EndOptions, write: 'R7.write' | 'I1.write' | 'I2.write'): TemplateResult {
  const { support } = o
  const buttons = o.buttons.filter((b) => b !== false && b !== undefined)
  const main = buttons.filter((b) => b.kind === 'main')
  const others = buttons.filter((b) => b.kind !== 'main')
  return html`
    ${host.troubles()}
    <div class="buttons" part="buttons">
      ${main.map((b) => host.button(b))}
      ${support ? contact(host, { support, reference: o.reset.reference, label: host.say(write, { support }) }) : nothing}
      ${others.map((b) => host.button(b))}
    </div>`
}

/** Whether the identity check of an open reset has failed, and how the user stands: I1 and I2, or nothing of it. */
export function identityTrouble(reset: Known | null | undefined): 'again' | 'over' | undefined {
  if (reset?.tries_left === undefined) return undefined
  if (reset.state === 'identity_pending' && reset.tries_left < 3) return 'again'
  return reset.state === 'expired' && reset.tries_left === 0 ? 'over' : undefined
}
