// The doors of a sign-in: how it begins without a code, and how it ends without a session.
import { html, nothing, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'
import type { Kept } from './sign-in-kept.ts'

/** R6: the mailed link is the second factor. */
export function byLink(host: NightlatchElement, at: Kept, on: { signIn(): void; code(): void; startOver(): void }): TemplateResult {
  return html`
    ${host.headline(host.say('R6.headline'))}
    ${host.paragraph(host.say(at.offer.policy.enforcement === 'required' ? 'R6.body.required' : 'R6.body.optional'))}
    ${host.troubles()}
    ${host.buttons(
      { label: host.say('R6.sign_in'), kind: 'main', action: 'verify', click: on.signIn },
      { label: host.say('R5.enter_code'), click: on.code },
      { label: host.say('L1.start_over'), kind: 'link', click: on.startOver },
    )}`
}

/** R10: it is none any more. */
export function deadLink(host: NightlatchElement, signIn: () => void): TemplateResult {
  return html`
    ${host.headline(host.say('R10.headline'))}
    ${host.paragraph(host.say('R10.body'))}
    ${host.buttons({ label: host.say('R10.sign_in'), kind: 'main', click: signIn })}`
}

/** E0r: a second factor is demanded, and there is none. */
export function demanded(host: NightlatchElement, on: { start(): void; signOut(): void }): TemplateResult {
  return html`
    ${host.headline(host.say('E0r.headline'))}
    ${host.paragraph(host.say('E0r.body'))}
    ${host.troubles()}
    ${host.buttons(
      { label: host.say('E0r.start'), kind: 'main', action: 'begin', click: on.start },
      { label: host.say('E0r.sign_out'), click: on.signOut },
    )}`
}

/** L1c; and E3b, where a set-up was begun that never came into force. */
export function tooLate(host: NightlatchElement, at: Kept, lapsed: boolean, startOver: () => void): TemplateResult {
  const thrown = at.offer.policy.backup_issue === 'before_confirm'
  return html`
    ${host.headline(host.say(lapsed ? 'E3b.headline' : 'L1c.headline'))}
    ${lapsed ? host.paragraph(host.sentences(host.say('E3b.body.1'), thrown ? host.say('E3b.body.2') : '')) : nothing}
    ${host.paragraph(host.say('L1c.body'))}
    ${host.buttons({ label: host.say('L1c.back_to_sign_in'), kind: 'main', click: startOver })}`
}
