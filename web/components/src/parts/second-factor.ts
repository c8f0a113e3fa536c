import type { Refusal } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { Button, NightlatchElement } from '../element.ts'
import { CodeForm } from './code-form.ts'
import { left, type Kept, type Pause, type Step } from './sign-in-kept.ts'
import { contact } from './support.ts'
import { skewed } from './verdicts.ts'

type Typed = 'totp' | 'backup_code'

export interface SecondFactorOptions {
  at(): Kept
  go(step: Step, change?: Partial<Kept>): void
  /** Sends a code. */
  verify(method: Typed, code: string): Promise<void>
  /** The code was refused, and would be again. True: the element is elsewhere by now, and nothing is to be said. */
  forget(): boolean
  /** Where somebody goes who has neither. */
  noWayIn(): void
  startOver(): void
}

/** The code from the app, and the backup code (L1, B1), with all that can be said of a wrong one (L1a to L1d, C1, X1, X2). */
export class SecondFactor {
  readonly #host: NightlatchElement
  readonly #o: SecondFactorOptions
  readonly #forms: Record<Typed, CodeForm>
  #wrong = 0 // codes from the app, in a row
  #sent = ''
  #used: (Pause & { said: string }) | undefined // the code that was typed was used before
  #lifted = false // a pause is over

  constructor(host: NightlatchElement, options: SecondFactorOptions) {
    this.#host = host
    this.#o = options
    this.#forms = { totp: new CodeForm(host), backup_code: new CodeForm(host) }
  }

  render(method: Typed): TemplateResult {
    const at = this.#o.at()
    if (method === 'totp' && at.suspended) return this.#suspended()
    if (this.#pause(method) > 0) return this.#locked(method)
    return method === 'totp' ? this.#code() : this.#backup()
  }

  /** Whether something counts down. A pause that is over is lifted. */
  counts(method: Typed): boolean {
    const { [method]: pause, ...others } = this.#o.at().locked ?? {}
    if (pause === undefined) return method === 'totp' && this.#usedFor() > 0
    if (this.#pause(method) > 0) return true
    this.#lifted = true
    this.#o.go(method === 'totp' ? 'code' : 'backup', { locked: others })
    return false
  }

  /** Sends a code: the one that was typed, or one from before a reload. */
  send(method: Typed, code: string): Promise<void> {
    this.#forms[method].fill(code)
    return this.#host.act('verify', () => this.#verify(method, code), (refusal) => this.#refused(method, refusal))
  }

  #verify(method: Typed, code: string): Promise<void> {
    this.#sent = code
    this.#used = undefined
    this.#lifted = false
    return this.#o.verify(method, code)
  }

  // L1

  #code(): TemplateResult {
    const host = this.#host
    const { offer } = this.#o.at()
    const backup = offer.methods.includes('backup_code')
    return html`
      ${host.headline(host.say('L1.headline'))}
      ${host.paragraph(host.say('L1.body', { account: offer.account }))}
      <p class="muted" role="status">${this.#lifted ? host.say('X1.over') : nothing}</p>
      ${this.#alreadyUsed()}
      ${this.#forms.totp.render({
        label: host.say('label.code'),
        send: host.say(this.#isWrong() ? 'L1a.try_again' : 'L1.sign_in'),
        action: 'verify',
        submit: (code) => this.#verify('totp', code),
        refused: (refusal) => this.#refused('totp', refusal),
        off: this.#usedFor() > 0,
        ...(backup ? { backup: {
          length: offer.policy.backup_length, offer: host.say('L1.looks_like_code'), button: host.say('L1.use_it'),
          use: (code: string) => this.#useBackup(code),
        } } : {}),
      })}
      <div class="buttons" part="buttons">
        ${backup ? host.button({ label: host.say('L1.use_code'), kind: 'link', click: () => this.#o.go('backup') }) : nothing}
        ${this.#noWayIn('L1.no_way_in')}
        ${this.#startOver()}
      </div>`
  }

  #useBackup(code: string): void {
    this.#forms.totp.clear()
    this.#forms.backup_code.fill(code)
    this.#o.go('backup')
  }

  // L1b: what counts down is for the eye; it is read out once, and once more when it is over

  #alreadyUsed(): TemplateResult {
    const host = this.#host
    const left = this.#usedFor()
    const over = host.say('L1b.body.ready')
    return html`<div role="alert" part="alert">${this.#used && html`<div class="trouble" part="trouble">
      <strong>${host.say('L1b.headline')}</strong>
      <p aria-hidden="true">${left > 0 ? host.say('L1b.body', { seconds: left }) : over}</p>
      <span class="hidden">${left > 0 ? this.#used.said : over}</span>
    </div>`}</div>`
  }

  #usedFor(): number {
    return Math.ceil(left(this.#used, this.#host.clock()) / 1000)
  }

  // B1

  #backup(): TemplateResult {
    const host = this.#host
    const { policy } = this.#o.at().offer
    const does = host.named(`B1.body.${policy.backup_use}`)
    return html`
      ${host.headline(host.say('B1.headline'))}
      ${does ? host.paragraph(does) : nothing}
      ${host.paragraph(host.say('label.backup_code.hint', { length: policy.backup_length }))}
      <p class="muted" role="status">${this.#lifted ? host.say('X1.over') : nothing}</p>
      ${this.#forms.backup_code.render({
        label: host.say('label.backup_code'),
        send: host.say(this.#isWrong() ? 'B1a.try_again' : 'B1.sign_in'),
        action: 'verify',
        submit: (code) => this.#verify('backup_code', code),
        refused: (refusal) => this.#refused('backup_code', refusal),
        letters: true,
      })}
      <div class="buttons" part="buttons">
        ${host.button(this.#useApp())}
        ${this.#noWayIn('B1a.no_way_in')}
        ${this.#startOver()}
      </div>`
  }

  /** Whether it is another code that is to be tried, and not the same one again. */
  #isWrong(): boolean {
    return this.#host.trouble?.headline !== undefined && this.#host.trouble.again === undefined
  }

  #useApp(): Button {
    return { label: this.#host.say('B1.use_app'), kind: 'link', click: () => this.#o.go('code') }
  }

  // X1

  #locked(method: Typed): TemplateResult {
    const host = this.#host
    const { locked, offer } = this.#o.at()
    const until = locked?.[method]?.until ?? 0
    const when = { time: host.phrases.time(until, host.clock()), until: host.phrases.until(until, host.clock()) }
    return html`
      ${host.headline(host.say('X1.headline'))}
      ${host.paragraph(host.say(method === 'totp' ? 'X1.body.1' : 'X1.body.1.backup', when))}
      ${host.paragraph(host.sentences(host.say('X1.body.2'), host.say('X1.body.3')))}
      <p part="body" role="timer"><strong>${host.say('X1.countdown', { clock: host.phrases.clock(this.#pause(method)) })}</strong></p>
      ${host.troubles()}
      <div class="buttons" part="buttons">
        ${method === 'backup_code' ? host.button({ ...this.#useApp(), kind: 'main' })
          : offer.methods.includes('backup_code') ? host.button({ label: host.say('X1.use_code'), kind: 'main', click: () => this.#o.go('backup') }) : nothing}
        ${host.button({ label: host.say('X1.change_password'), click: () => host.emit('nightlatch-change-password') })}
        ${this.#noWayIn('X1.no_way_in')}
        ${this.#startOver()}
      </div>`
  }

  /** Seconds for which codes are refused. */
  #pause(method: Typed): number {
    return left(this.#o.at().locked?.[method], this.#host.clock()) / 1000
  }

  // X2

  #suspended(): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say('X2.headline'))}
      ${host.paragraph(host.say('X2.body'))}
      ${host.troubles()}
      <div class="buttons" part="buttons">
        ${this.#o.at().offer.methods.includes('backup_code') ? host.button({ label: host.say('X2.use_code'), kind: 'main', click: () => this.#o.go('backup') }) : nothing}
        ${host.button({ label: host.say('X2.change_password'), click: () => host.emit('nightlatch-change-password') })}
        ${this.#noWayIn('X2.no_way_in')}
        ${this.#startOver()}
      </div>`
  }

  // The ways aside

  /** To a reset, where there are resets; else to support. */
  #noWayIn(key: 'L1.no_way_in' | 'B1a.no_way_in' | 'X1.no_way_in' | 'X2.no_way_in'): TemplateResult {
    const host = this.#host
    const { offer } = this.#o.at()
    if (offer.recovery === 'identity_review' && offer.email_hint) return host.button({ label: host.say(key), kind: 'link', click: () => this.#o.noWayIn() })
    return contact(host, { support: offer.support, label: host.say('common.contact_support'), kind: 'link' })
  }

  #startOver(): TemplateResult {
    return this.#host.button({ label: this.#host.say('L1.start_over'), kind: 'link', click: () => this.#o.startOver() })
  }

  // What is said of a code that was not accepted

  #refused(method: Typed, refusal: Refusal): boolean {
    const host = this.#host
    const app = method === 'totp'
    const { problem } = refusal
    // A backup code that was sent before was not right either, where one of the app is compared: a challenge lets in once.
    const answered = app ? refusal.code === 'invalid_code' : refusal.status < 500 && refusal.code !== 'unavailable'
    if (answered && this.#o.forget()) return true
    switch (refusal.code) {
      case 'invalid_code':
        if (app) this.#wrong++
        host.trouble = skewed(host, problem) ?? {
          headline: host.say(app ? 'L1a.headline' : 'B1a.headline'),
          body: host.sentences(
            host.say(app ? 'L1a.body.1' : 'B1a.body.1'),
            host.say(app ? 'L1a.body.2' : 'B1a.body.2', { n: problem.attempts_remaining ?? 0 }),
            app && this.#wrong > 1 ? host.say('L1a.body.3') : '',
          ),
        }
        return true
      case 'code_reused': {
        const seconds = problem.retry_after ?? 30
        const since = host.clock()
        this.#used = { since, until: since + seconds * 1000, said: host.say('L1b.body', { seconds }) }
        return true
      }
      case 'locked': {
        const since = host.clock()
        const seconds = refusal.retryAfter || (Date.parse(problem.locked_until ?? '') - since) / 1000 || 60
        this.#o.go(app ? 'code' : 'backup', { locked: { ...this.#o.at().locked, [method]: { since, until: since + seconds * 1000 } } })
        return true
      }
      case 'suspended':
        this.#o.go('code', { suspended: true })
        return true
      case 'invalid_request':
        host.trouble = { body: app ? host.say('label.code.malformed') : host.say('label.backup_code.malformed', { length: this.#o.at().offer.policy.backup_length }) }
        return true
      case 'unavailable': {
        const code = this.#sent
        host.trouble = { headline: host.say('L1d.headline'), body: host.say('L1d.body'), again: () => void this.send(method, code), label: host.say('L1d.try_again') }
        return true
      }
    }
    return false
  }
}
