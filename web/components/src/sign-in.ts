import { Refusal, type ConfirmedInSignIn, type Offer, type SignedIn } from '@nightlatch/client'
import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { property, state } from 'lit/decorators.js'

import { NightlatchElement } from './element.ts'
import { AfterBackup } from './parts/after-backup.ts'
import { Asking, known, wayIn } from './parts/asking.ts'
import { byLink, deadLink, demanded, tooLate } from './parts/doors.ts'
import { answered } from './parts/granted.ts'
import { redeemed, unanswered, type Redeemed } from './parts/redeem.ts'
import { SecondFactor } from './parts/second-factor.ts'
import type { SetUpSteps } from './parts/set-up.ts'
import { leftSetUp } from './parts/set-up-kept.ts'
import { begun, drop, isStale, load, setUpName, store, unsaved, type Accepted, type Kept, type Method, type Step } from './parts/sign-in-kept.ts'
import { inSession, inSignIn } from './parts/sign-in-set-up.ts'

export type { Offer } from '@nightlatch/client'

/** What `nightlatch-signed-in` tells. */
export interface SignedInDetail {
  /** Whether two-factor authentication is on now. */
  state: 'enabled' | 'disabled'
  method: Method
  /** After a backup code, if it was not used here: it stands in for a code once, to set up another phone or to create a backup code. */
  grant?: string
  /** What `redeem` resolved with. */
  session?: string
}

/**
 * The second step of a sign-in, after the password: the code from the app, the backup code, the ways back in for who has
 * neither, and the set-up for who has to have a second factor and has none.
 *
 * It takes what the host's login back end got from `POST /v1/challenges`, hands the assertion to `redeem` as soon as there
 * is one, and tells with `nightlatch-signed-in` that the application can open. A reload of the page does not interrupt it:
 * a page that finds `NightlatchSignIn.underWay` shows the element again, with or without the offer.
 *
 * @element nightlatch-sign-in
 * @attr {string} reset-token - Of a mailed link that signs in: it is the second factor of this sign-in.
 * @fires nightlatch-signed-in - The end: detail.state, detail.method, and perhaps detail.grant and detail.session.
 * @fires nightlatch-start-over - Back to the password.
 * @fires nightlatch-support - The user asks for support: detail.support, detail.reference. After preventDefault the element opens nothing.
 * @fires nightlatch-change-password - The user wants to change the password.
 * @csspart headline - of the screen
 * @csspart body - what the screen says
 * @csspart trouble - what went wrong
 * @csspart button - every button; the one that most will want is also `main`
 * @csspart code - a backup code
 * @cssprop --nightlatch-accent - the colour of what can be pressed
 * @cssprop --nightlatch-width - how wide it is at most
 */
export class NightlatchSignIn extends NightlatchElement {
  // Balanced, or made pretty, the headline would break at the hyphen of "6-digit".
  static override styles = [NightlatchElement.styles, css`h2 { text-wrap: wrap; }`]

  /** What the host got from `POST /v1/challenges`. */
  @property({ attribute: false }) offer: Offer | undefined
  /**
   * The host's exchange of an assertion for its session, within a minute. Resolves with the session's token, if the page
   * uses one. An error of fetch says that no answer came, and it is tried again; any other says no.
   */
  @property({ attribute: false }) redeem: ((assertion: string) => Promise<string | void>) | undefined
  /** The token of a mailed link that signs in. */
  @property({ attribute: 'reset-token' }) resetToken = ''

  @state() private at: Kept | undefined
  @state() private waiting = false // for the host, longer than usual

  #begun: string | undefined // the challenge of the offer that was begun with
  #next: Offer | undefined // an offer that waits until a backup code from before is saved
  #redeeming: Promise<Redeemed> | undefined
  #uncertain = false // whether a set-up was confirmed is not known
  #redeemed = false // the session is from redeem
  #lapsed = false // a set-up took too long, and nothing has changed
  #setUp: Pick<SetUpSteps, 'render' | 'start'> | undefined
  readonly #asking = new Asking(this)
  #factor = this.#secondFactor()
  #after = this.#afterBackup()

  /** Whether this tab has a sign-in that a reload interrupted: then show the element, and it goes on. */
  static get underWay(): boolean {
    const at = load()
    if (at && !isStale(at, Date.now())) return true
    drop()
    return false
  }

  protected override get missing(): string {
    if (this.#begun === undefined) return 'offer, with a challenge: what your back end got from POST /v1/challenges'
    return this.redeem ? '' : 'redeem: a function that has your back end exchange an assertion for its session'
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed)
    if ((changed.has('offer') || !this.hasUpdated) && (!this.offer || this.offer.challenge !== this.#begun)) this.#begin()
  }

  protected override updated(changed: PropertyValues<this>): void {
    super.updated(changed)
    // A code is what people come to type, every day: the field has the focus, and not the headline that stands before it.
    const field = this.renderRoot.querySelector<HTMLElement>('[data-focus]')
    if (field && (this.shadowRoot?.activeElement?.localName === 'h2') && this.at?.step !== 'set-up') field.focus()
    const at = this.at
    const counts = at && (at.step === 'code' ? this.#factor.counts('totp') : at.step === 'backup' ? this.#factor.counts('backup_code') : this.#asking.counts(at.step, at.asked))
    this.tick(Boolean(counts))
  }

  // Where it begins, and goes on after a reload

  #begin(): void {
    const before = load()
    const offer = this.offer ?? before?.offer
    if (!offer?.challenge) return
    if (this.#begun !== undefined) this.abandon() // what was sent for another sign-in
    this.#begun = offer.challenge
    this.app ||= offer.app
    const same = before?.offer.challenge === offer.challenge
    if (before && same) {
      this.#resume(before)
    } else if (before && unsaved(before) && before.offer.account === offer.account && before.offer.app === offer.app) {
      this.#next = offer // first the code that is not saved
      this.#resume({ ...before, step: 'in' })
    } else {
      this.#start(offer)
    }
  }

  #start(offer: Offer): void {
    drop()
    this.#next = this.#redeeming = this.#setUp = undefined
    this.#uncertain = this.#lapsed = false
    if (this.#redeemed) this.session = undefined // the one of another sign-in
    this.#redeemed = false
    this.#factor = this.#secondFactor()
    this.#after = this.#afterBackup()
    this.at = undefined
    const at = begun(offer, this.resetToken, this.clock())
    this.#go(at.step, at)
  }

  /** What was sent is sent again, and has the same answer. */
  #resume(at: Kept): void {
    this.#go(at.step, at)
    if (isStale(at, this.clock())) return this.#over()
    void this.updateComplete.then(() => {
      // Who has turned to another way since has not asked for it again: should it have been used, that way will be told so.
      if (at.spent && ['backup', 'in'].includes(at.step)) void this.#factor.send('backup_code', at.spent)
      else if (this.#isAfter() && this.session === undefined) this.#finish() // the application knows whether it has one
      else if (at.step === 'set-up') this.#goOnSettingUp()
      else if (at.step === 'create') this.#after.create()
    })
  }

  #go(step: Step, change: Partial<Kept> = {}): void {
    this.step(() => this.#keep({ ...change, step }))
  }

  #keep(change: Partial<Kept>): void {
    this.at = { ...this.at, ...change } as Kept
    // Removed from the page, it does not write over what another sign-in has begun to keep.
    const mine = this.isConnected || load()?.offer.challenge === this.at.offer.challenge
    if (this.at.step !== 'over' && mine) store(this.at)
  }

  #over(): void {
    if (this.#next) return this.#start(this.#next)
    drop()
    this.#go('over', { spent: undefined })
  }

  #startOver(): void {
    const spent = this.at && unsaved(this.at)
    if (!spent) return this.#leave()
    void this.act('verify', () => this.#verify('backup_code', spent), (refusal) => {
      const told = !unanswered(refusal) // it was not right
      if (told) this.#leave()
      return told
    })
  }

  #leave(): void {
    drop()
    this.at = undefined
    this.emit('nightlatch-start-over')
  }

  #finish(): void {
    const at = this.at
    if (this.#next) return this.#start(this.#next)
    drop()
    this.at = undefined
    if (!at?.accepted) return
    const { method, state, grant } = at.accepted
    const session = typeof this.session === 'string' ? { session: this.session } : {}
    this.emit('nightlatch-signed-in', { state, method, ...(grant && !at.used ? { grant } : {}), ...session } satisfies SignedInDetail)
  }

  /** Every action may find that the challenge is too old. */
  override act(name: string, action: () => Promise<void>, refused: (refusal: Refusal) => boolean = () => false): Promise<void> {
    return super.act(name, action, (refusal) => refused(refusal) || this.#ends(refusal))
  }

  #ends(refusal: Refusal): boolean {
    const at = this.at
    if (refusal.code !== 'challenge_expired' || !at) return false
    if (at.opened) {
      this.#goOn() // the answer was asked for once more, and it is too late for that
    } else if (at.spent) {
      const { spent } = at // it is what has used the challenge up, and its answer was lost
      this.#go('backup')
      setTimeout(() => void this.#factor.send('backup_code', spent)) // when this action is over
    } else {
      this.#lapsed = at.step === 'set-up' && !this.#uncertain && leftSetUp(setUpName)?.id !== undefined
      this.#over()
    }
    return true
  }

  // The second factor, and the host's session

  #secondFactor(): SecondFactor {
    return new SecondFactor(this, {
      at: () => this.at as Kept,
      go: (step, change) => this.#go(step, change),
      verify: (method, code) => this.#verify(method, code),
      forget: () => {
        const next = this.#next
        if (next) this.#start(next)
        else this.#keep({ spent: undefined })
        return next !== undefined
      },
      noWayIn: () => this.#noWayIn(),
      startOver: () => this.#startOver(),
    })
  }

  async #verify(method: Method, code: string): Promise<void> {
    const challenge = this.at?.offer.challenge ?? ''
    if (method === 'backup_code') {
      const before = this.at?.spent
      if (before && before !== code && (await this.#wasRight(before))) return
      this.#keep({ spent: code }) // before it is sent: its answer may get lost
    }
    const answer = await this.client.verify(challenge, method, code).catch((error: unknown) => {
      // The last wrong one before a pause: how long that is the next one is told, and the same one costs nothing.
      if (error instanceof Refusal && error.code === 'invalid_code' && error.problem.attempts_remaining === 0) return this.client.verify(challenge, method, code)
      throw error
    })
    if (method !== 'backup_code') this.#keep({ spent: undefined }) // it has used nothing up, or this would have been refused
    if ('enrollment_required' in answer) {
      this.#keep({ enrol: answer.challenge })
      return this.#beginSettingUp(this.#inSignIn(answer.challenge))
    }
    this.#accept({ method, state: answer.state, grant: answer.grant }, answer, () => this.client.verify(challenge, method, code))
    if (answer.backup_code) return this.#after.show(answer.backup_code) // what has to be saved does not wait for the host
    if (!(await this.#opened())) return
    this.#keep({ spent: undefined })
    if (method === 'backup_code') this.#go('in')
    else this.#finish()
  }

  /** Sends a backup code once more whose answer was lost. Where it was right, the sign-in goes on with it. */
  async #wasRight(code: string): Promise<boolean> {
    try {
      await this.#verify('backup_code', code)
      return true
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 422)) throw error
      this.#keep({ spent: undefined })
      return false
    }
  }

  /** The second factor was right: the host has a minute, from now on. */
  #accept(accepted: Accepted, answer: { assertion?: string }, again: () => Promise<object>): void {
    this.#keep({ accepted })
    if (this.at?.opened) return
    const redeem = this.redeem ?? (() => Promise.reject(new Error('no redeem')))
    const assertion = this.#next ? undefined : answer.assertion // to another sign-in's host it is nothing
    this.#redeeming = !assertion ? Promise.resolve('late') : redeemed({
      assertion, redeem,
      again: async () => ((await again()) as Partial<SignedIn>).assertion,
      waiting: () => (this.waiting = true),
    })
    const { challenge } = (this.at as Kept).offer
    this.#redeeming = this.#redeeming.then((outcome) => {
      this.waiting = false
      if (typeof outcome !== 'string' && this.at?.offer.challenge === challenge) {
        if (outcome.session) {
          this.session = outcome.session
          this.#redeemed = true
        }
        this.#keep({ opened: true })
      }
      return outcome
    })
  }

  /** Whether the host's session has begun. Where it has not, and will not, the sign-in is over. */
  async #opened(): Promise<boolean> {
    if (this.at?.opened) return true
    const begun = this.#begun
    const outcome = (await this.#redeeming) ?? 'late'
    if (begun !== this.#begun || !this.isConnected) return false // its page is elsewhere by now
    if (typeof outcome !== 'string') return true
    this.#over()
    return false
  }

  #noWayIn(): void {
    const at = this.at as Kept
    this.#go(at.link && at.offer.methods.includes('reset_link') ? 'link' : wayIn(known(at.offer, at.asked)))
  }

  // Setting up: inside the sign-in, or after it

  #inSignIn(challenge: string): SetUpSteps<ConfirmedInSignIn> {
    const byLink = this.at?.enrol !== undefined
    return inSignIn(this, this.client, challenge, {
      account: () => this.at?.offer.account ?? '',
      lost: () => (this.#uncertain = true),
      activated: (confirmed, again) => this.#accept({ method: byLink ? 'reset_link' : 'totp', state: 'enabled' }, confirmed, again),
      done: () => void this.act('open', async () => { if (await this.#opened()) this.#finish() }),
      cancel: () => this.#go(byLink ? 'link' : 'enrol'),
    })
  }

  #inSession(grant: string | undefined): SetUpSteps {
    return inSession(this, this.client, grant, {
      account: () => this.at?.offer.account ?? '',
      activated: () => this.#keep({ used: true, accepted: { ...(this.at?.accepted as Accepted), state: 'enabled' } }),
      done: () => (grant ? this.#go('moved') : this.#finish()),
      cancel: () => this.#go(this.at?.offer.policy.backup_use === 'reissue' ? 'old-phone' : 'in'),
    })
  }

  #goOnSettingUp(): void {
    const { accepted, enrol, offer } = this.at as Kept
    this.#uncertain ||= leftSetUp(setUpName)?.confirming ?? false
    void this.act('begin', () => this.#beginSettingUp(this.#isAfter() ? this.#inSession(accepted?.grant) : this.#inSignIn(enrol ?? offer.challenge ?? '')))
  }

  async #beginSettingUp(steps: Pick<SetUpSteps, 'render' | 'start'>): Promise<void> {
    this.#setUp = steps
    this.#go('set-up')
    await steps.start()
  }

  // After a backup code

  #afterBackup(): AfterBackup {
    return new AfterBackup(this, {
      at: () => this.at as Kept,
      go: (step, change) => this.#go(step, change),
      opened: async () => this.#next !== undefined || this.#opened(),
      saved: () => this.#goOn(),
      canGoOn: () => this.session !== undefined,
      setUp: () => this.#goOnSettingUp(),
      create: async (grant, key) => (await this.client.createBackupCode({ grant }, key)).backup_code,
      finish: () => this.#finish(),
      later: () => {
        const grant = this.at?.accepted?.grant
        if (grant) answered(grant)
        this.#finish()
      },
    })
  }

  /** Whether what is on the screen belongs to the session that a backup code has begun. */
  #isAfter(): boolean {
    return Boolean(this.at?.opened && this.at.accepted?.method === 'backup_code')
  }

  #goOn(): void {
    this.#keep({ spent: undefined })
    if (this.#isAfter() && this.at?.accepted?.grant && this.session !== undefined && !this.#next) this.#go('old-phone')
    else this.#finish()
  }

  // What is on the screen

  protected override render(): TemplateResult | typeof nothing {
    if (!this.at) return nothing
    return html`
      ${this.#screen(this.at)}
      <p class="muted" role="status">${this.waiting ? this.say('common.network') : nothing}</p>`
  }

  #screen(at: Kept): TemplateResult | typeof nothing {
    const startOver = () => this.#startOver()
    switch (at.step) {
      case 'code':
        return this.#factor.render('totp')
      case 'backup':
        return this.#factor.render('backup_code')
      case 'link':
        return byLink(this, at, { signIn: () => this.#signInByLink(at.link ?? ''), code: () => this.#go('code'), startOver })
      case 'dead-link':
        return deadLink(this, () => this.#go(begun(at.offer, '', 0).step, { link: undefined }))
      case 'enrol':
        return demanded(this, { start: () => this.#goOnSettingUp(), signOut: startOver })
      case 'set-up':
        return this.#setUp?.render() ?? nothing
      case 'in':
      case 'old-phone':
      case 'create':
      case 'moved':
        return this.#after.render(at.step)
      case 'over':
        return tooLate(this, at, this.#lapsed, startOver)
      default:
        return this.#asking.render(at.step, {
          offer: at.offer,
          asked: at.asked,
          go: (step) => this.#go(step),
          keep: (asked) => this.#keep({ asked }),
          send: async () => ({ ...(await this.client.requestReset(at.offer.challenge ?? '')), at: this.clock() }),
          startOver,
        })
    }
  }

  #signInByLink(token: string): void {
    void this.act('verify', () => this.#verify('reset_link', token), (refusal) => {
      if (refusal.code === 'link_expired') this.#go('dead-link')
      return refusal.code === 'link_expired'
    })
  }
}

if (!customElements.get('nightlatch-sign-in')) customElements.define('nightlatch-sign-in', NightlatchSignIn)

declare global {
  interface HTMLElementTagNameMap {
    'nightlatch-sign-in': NightlatchSignIn
  }
}
