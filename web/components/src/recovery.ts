import { forget, keep, kept, Refusal, type LinkAbout, type ResetStatus } from '@nightlatch/client'
import { html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { property, state } from 'lit/decorators.js'

import { NightlatchElement } from './element.ts'
import { denied, identityFailed, identityOver, identityTrouble } from './parts/ends.ts'
import { plain, safeLink } from './parts/plain.ts'

export type Purpose = 'identity' | 'cancel' | 'sign_in' | 'thanks'

type Step = 'looking' | 'identity' | 'cancel' | 'sign_in' | 'thanks' | 'kept' | 'canceled' | 'dead'

/** What a reload of the page, and the way back from the identity check, go on with. */
interface Kept {
  token: string
  reference?: string
  /** How often the identity check could be tried when it was last begun: with fewer left, that one has failed. */
  tries?: number
}

const name = 'recovery'

/**
 * The pages that mailed links lead to: to the identity check, to cancelling, to the sign-in that a reset ends with, and
 * back from the identity check. Nothing changes by opening one: what changes something is a button.
 *
 * The token belongs in the property, not in the address bar: the page takes it out of the fragment. It is kept in this tab
 * while there is something to do with it.
 *
 * @element nightlatch-recovery
 * @attr {'identity'|'cancel'|'sign_in'|'thanks'} purpose - What the address says that the link is for.
 * @fires nightlatch-leave - The browser goes on to the identity check: detail.url. After preventDefault it does not.
 * @fires nightlatch-sign-in - To the password: detail.token for the sign-in element's reset-token, if the link signs in.
 * @fires nightlatch-canceled - The reset is canceled.
 * @fires nightlatch-change-password - The user wants to change the password.
 * @fires nightlatch-support - The user asks for support: detail.support, detail.reference. After preventDefault the element opens nothing.
 * @fires nightlatch-done - Nothing is left to do here.
 * @csspart headline - of the screen
 * @csspart body - what the screen says
 * @csspart trouble - what went wrong
 * @csspart button - every button; the one that most will want is also `main`
 * @cssprop --nightlatch-accent - the colour of what can be pressed
 * @cssprop --nightlatch-width - how wide it is at most
 */
export class NightlatchRecovery extends NightlatchElement {
  /** What the address says that the link is for: identity, cancel, sign_in or thanks. The link itself is asked. */
  @property() purpose: Purpose = 'identity'
  /** The token of the link. */
  @property({ attribute: false }) token = ''
  /** Where people write to, for what only support can do. */
  @property() support = ''
  /** The reset as `GET /v1/status` or a challenge tells it, if the page has asked: how it ended, and which tries are left. */
  @property({ attribute: false }) reset: ResetStatus | undefined

  @state() private at: Step = 'looking'
  @state() private about: LinkAbout | undefined

  #token = '' // the property's, or from before a reload
  #shown = '' // the link that was looked at

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed)
    if (!changed.has('token') && !changed.has('purpose') && this.hasUpdated) return
    if (this.purpose === 'thanks') {
      this.at = 'thanks'
      void this.updateComplete.then(() => this.#comeBack())
    } else void this.updateComplete.then(() => this.#look())
  }

  #look(): void {
    const token = this.token || kept<Kept>(name)?.token || ''
    if (token === this.#shown && token !== '') return
    this.abandon() // what was asked of another link
    this.#token = this.#shown = token
    this.about = undefined
    if (token === '') return this.step(() => (this.at = 'dead'))
    keep(name, { token } satisfies Kept)
    this.step(() => (this.at = 'looking'))
    void this.#ask('look', async () => {
      const about = await this.client.showResetLink(token)
      keep(name, { token, reference: about.reference } satisfies Kept)
      this.step(() => {
        this.about = about
        this.at = about.purpose
      })
    })
  }

  /** From the identity check. If the service has heard that it failed, it can be tried again at once; if not yet, the mail says so. */
  async #comeBack(): Promise<void> {
    const before = kept<Kept>(name)
    if (before?.tries === undefined) return
    const about = await this.client.showResetLink(before.token).catch(() => undefined)
    if (!about || this.at !== 'thanks' || about.tries_left >= before.tries || identityTrouble(about) !== 'again') return
    this.#token = before.token
    this.step(() => {
      this.about = about
      this.at = 'identity'
    })
  }

  /** What a link no longer does is not tried again. */
  #ask(action: string, send: () => Promise<void>): Promise<void> {
    return this.act(action, send, (refusal) => {
      if (refusal.code !== 'link_expired' && refusal.code !== 'invalid_request') return false
      this.#end('dead')
      return true
    })
  }

  #end(at: Step): void {
    forget(name)
    this.step(() => (this.at = at))
  }

  #done(): void {
    forget(name)
    this.emit('nightlatch-done')
  }

  #signIn(token?: string): void {
    forget(name)
    this.emit('nightlatch-sign-in', token ? { token } : {})
  }

  protected override render(): TemplateResult {
    const reset = this.#ended()
    if (reset?.state === 'denied') return denied(this, { reset, support: this.support, buttons: [this.#again('R7.start_again')] })
    if (reset) return identityOver(this, { reset, support: this.support, buttons: [{ label: this.say('I2.back'), click: () => this.#done() }] })
    switch (this.at) {
      case 'looking':
        return this.#looking()
      case 'identity':
        return this.#identity()
      case 'cancel':
        return this.#cancel()
      case 'sign_in':
        return this.#ready()
      case 'thanks':
        return this.#thanks()
      case 'kept':
        return this.#stays()
      case 'canceled':
        return this.#canceled()
      default: // also where a newer link leads
        return this.#dead()
    }
  }

  #ended(): ResetStatus | undefined {
    return this.reset && (this.reset.state === 'denied' || identityTrouble(this.reset) === 'over') ? this.reset : undefined
  }

  #looking(): TemplateResult {
    return html`
      ${this.busy ? html`<p class="muted" role="status">${this.say('common.loading')}</p>` : nothing}
      ${this.troubles()}`
  }

  // R3, I1

  #identity(): TemplateResult {
    const reset = this.reset ?? this.about
    if (reset && identityTrouble(reset) === 'again') {
      return identityFailed(this, { reset, support: this.support, buttons: [this.#start('I1.try_again')] })
    }
    return html`
      ${this.headline(this.say('R3.headline'))}
      ${this.paragraph(this.say('R3.body.1'))}
      ${this.paragraph(this.sentences(this.say('R3.body.2'), this.say('R3.body.3')))}
      ${this.#case()}
      ${this.troubles()}
      ${this.buttons(this.#start('R3.start'), { label: this.say('R3.not_me'), click: () => this.step(() => (this.at = 'cancel')) })}`
  }

  #start(key: 'R3.start' | 'I1.try_again') {
    const start = () => void this.#ask('start', async () => {
      const url = await this.client.goToIdentityCheck(this.#token).catch(async (error: unknown) => {
        if (!(error instanceof Refusal && error.code === 'link_expired')) throw error
        await this.client.showResetLink(this.#token) // the link is good, but the check was submitted: it is looked at
      })
      if (url === undefined) return this.step(() => (this.at = 'thanks'))
      if (this.about) keep(name, { token: this.#token, reference: this.about.reference, tries: this.about.tries_left } satisfies Kept)
      this.#leave(url)
    })
    return { label: this.say(key), kind: 'main' as const, action: 'start', click: start }
  }

  /** Sends the browser on, to nothing but a page. */
  #leave(address: string): void {
    const url = safeLink(address)
    if (url === undefined) throw new Error('nightlatch-recovery: the identity check is at no https address')
    const leave = new CustomEvent('nightlatch-leave', { detail: { url }, bubbles: true, composed: true, cancelable: true })
    if (this.dispatchEvent(leave)) location.assign(url)
  }

  // R4

  #thanks(): TemplateResult {
    return html`
      ${this.headline(this.say('R4.headline'))}
      ${this.paragraph(this.say('R4.body.1'))}
      ${this.#case()}
      ${this.buttons({ label: this.say('R4.close'), kind: 'main', click: () => this.#done() })}`
  }

  #case(): TemplateResult | typeof nothing {
    const reference = this.about?.reference ?? kept<Kept>(name)?.reference
    return reference ? html`<p part="body"><strong>${this.say('R4.body.2', { reference })}</strong></p>` : nothing
  }

  // R6: the password comes first

  #ready(): TemplateResult {
    return html`
      ${this.headline(this.say('R6.headline'))}
      ${this.paragraph(this.say('R6.body.password'))}
      ${this.buttons(
        { label: this.say('R6.sign_in'), kind: 'main', click: () => this.#signIn(this.#token) },
        { label: this.say('R3.not_me'), click: () => this.step(() => (this.at = 'cancel')) },
      )}`
  }

  // R8, R9

  #cancel(): TemplateResult {
    const cancel = () => void this.#ask('cancel', async () => {
      await this.client.cancelResetByLink(this.#token)
      this.#end('canceled')
      this.emit('nightlatch-canceled')
    })
    return html`
      ${this.headline(this.say('R8.headline'))}
      <p part="body">${this.#askedFor()}</p>
      ${this.paragraph(this.say('R8.body.2'))}
      ${this.troubles()}
      ${this.buttons(
        { label: this.say('R8.cancel'), kind: 'danger', action: 'cancel', click: cancel },
        { label: this.say('R8.keep'), click: () => this.#end('kept') },
      )}`
  }

  /** When and from where, the address apart from our words: it is somebody else's. */
  #askedFor(): TemplateResult | typeof nothing {
    if (!this.about) return nothing
    const moment = this.phrases.moment(this.about.requested_at)
    if (!this.about.ip) return html`${this.say('R8.body.1.no_ip', { moment })}`
    const here = '\ue000' // stands for it: no phrase has it
    const [before, after] = this.say('R8.body.1', { moment, ip: here }).split(here)
    return html`${before}<bdi>${plain(this.about.ip)}</bdi>${after}`
  }

  #stays(): TemplateResult {
    return html`
      ${this.headline(this.say('R8.kept'))}
      ${this.buttons({ label: this.say('R4.close'), click: () => this.#done() })}`
  }

  #canceled(): TemplateResult {
    return html`
      ${this.headline(this.say('R9.headline'))}
      ${this.paragraph(this.say('R9.body'))}
      ${this.buttons(
        { label: this.say('R9.change_password'), kind: 'main', click: () => this.emit('nightlatch-change-password') },
        { label: this.say('R9.done'), click: () => this.#done() },
      )}`
  }

  // R10

  #dead(): TemplateResult {
    return html`
      ${this.headline(this.say('R10.headline'))}
      ${this.paragraph(this.say('R10.body'))}
      ${this.buttons(this.#again('R10.sign_in'))}`
  }

  #again(key: 'R10.sign_in' | 'R7.start_again') {
    return { label: this.say(key), kind: 'main' as const, click: () => this.#signIn() }
  }
}

if (!customElements.get('nightlatch-recovery')) customElements.define('nightlatch-recovery', NightlatchRecovery)

declare global {
  interface HTMLElementTagNameMap {
    'nightlatch-recovery': NightlatchRecovery
  }
}
