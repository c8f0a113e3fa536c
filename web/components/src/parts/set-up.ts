import { forget, Refusal, type Confirmed, type SetUp } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'
import { CodeForm } from './code-form.ts'
import { Intent } from './intent.ts'
import { unanswered } from './redeem.ts'
import { SavedCode } from './saved-code.ts'
import { ScannedKey } from './scanned-key.ts'
import { KeptSetUp, type Confirmation, type SetUpStep } from './set-up-kept.ts'
import { labelled, type Activated, type SetUpOptions } from './set-up-options.ts'
import { isFinal, locked, reused, skewed } from './verdicts.ts'

export type { Activated, SetUpOptions } from './set-up-options.ts'

/** How long giving up waits for the service, in milliseconds: what is not dropped lapses. */
const discardFor = 3000

/**
 * The steps of a set-up (E1 to E5, or P2 and P3): scan, save the backup code if one comes with it, confirm; then that it
 * is on, and the backup code if it comes only now. Nothing changes on the account before the confirmation. The element
 * that shows it calls start inside one of its actions, and renders it from then on.
 */
export class SetUpSteps<C extends Activated = Confirmed> {
  readonly #host: NightlatchElement
  readonly #o: SetUpOptions<C>
  readonly #form: CodeForm
  readonly #key: ScannedKey
  readonly #saved: SavedCode
  readonly #intent = new Intent()
  readonly #kept: KeptSetUp

  #setUp: SetUp | undefined
  #confirmed: C | undefined
  #over: 'expired' | 'replaced' | undefined
  #unheard = false // a confirmation was sent, and what became of it is not known

  constructor(host: NightlatchElement, options: SetUpOptions<C>) {
    this.#host = host
    this.#o = options
    this.#form = new CodeForm(host)
    this.#key = new ScannedKey(host)
    this.#saved = new SavedCode(host)
    this.#kept = new KeptSetUp(options.keptAs)
  }

  /** Begins, or goes on where a reload has interrupted. A refusal that ends it is thrown, and what was kept forgotten. */
  async start(): Promise<void> {
    try {
      const { id, confirm } = this.#kept.at
      if (id && confirm && (await this.#confirmAgain(id, confirm))) return
      this.#kept.change({})
      this.#setUp = await this.#o.begin(this.#kept.at.key)
    } catch (error) {
      if (error instanceof Refusal && isFinal(error)) this.#kept.forget()
      throw error
    }
    const { enrollment_id, backup_code } = this.#setUp
    const { id, step } = this.#kept.at
    this.#go(enrollment_id !== id || (step === 'save' && !backup_code) ? 'scan' : step, enrollment_id)
  }

  render(): TemplateResult {
    if (this.#over) return this.#overWith(this.#over)
    if (this.#confirmed) return this.#kept.at.step === 'saveLast' ? this.#saveLast(this.#confirmed) : this.#on(this.#confirmed)
    if (!this.#setUp) return this.#beginning()
    switch (this.#kept.at.step) {
      case 'save':
        return this.#save(this.#setUp)
      case 'code':
        return this.#code()
      default:
        return this.#scan(this.#setUp)
    }
  }

  // E1, P2

  #scan(setUp: SetUp): TemplateResult {
    return this.#key.render({
      headline: this.#headline(this.#o.replacement ? 'P2.headline' : 'E1.headline', 1),
      setUp,
      moving: this.#o.replacement && (this.#o.gone ? 'P2.body.gone' : 'P2.body'),
      cancel: () => void this.#cancel(),
      next: () => this.#go(setUp.backup_code ? 'save' : 'code'),
    })
  }

  // E2

  #save(setUp: SetUp): TemplateResult {
    const host = this.#host
    return html`
      ${this.#headline('E2.headline', 2)}
      ${host.paragraph(host.sentences(host.say('E2.body.1'), host.say('E2.body.2'), host.say('E2.body.3')))}
      ${this.#saved.render({
        code: setUp.backup_code ?? '',
        account: this.#account(),
        more: [{ label: host.say('E2.back'), click: () => this.#go('scan') }],
        next: { label: host.say('E2.next'), click: () => this.#go('code') },
      })}`
  }

  // E3, E3a, C1, P3

  #code(): TemplateResult {
    const host = this.#host
    const moving = this.#o.replacement
    return html`
      ${this.#headline(moving ? 'P3.headline' : 'E3.headline', this.#setUp?.backup_code ? 3 : 2)}
      ${host.paragraph(host.say(!moving ? 'E3.body' : this.#o.gone ? 'P2.body.gone' : 'P3.body'))}
      ${this.#form.render({
        label: host.say('label.code'),
        send: host.say(moving ? 'P3.switch' : 'E3.confirm'),
        action: 'confirm',
        submit: (code) => this.#confirm(code),
        refused: (error) => this.#refused(error),
        before: { label: host.say(moving ? 'P3.back' : 'E3.back'), click: () => this.#go(this.#setUp?.backup_code ? 'save' : 'scan') },
      })}`
  }

  async #confirm(code: string): Promise<void> {
    const id = this.#setUp?.enrollment_id
    if (!id) return
    const before = this.#kept.at.confirm // what became of it is not known: it may have been right
    if (before && before.code !== code && (await this.#confirmAgain(id, before))) return
    const confirm = { code, key: this.#intent.key(code) }
    this.#kept.change({ confirm }) // before it is sent: should the page go before the answer comes, it can be asked for again
    await this.#send(id, confirm)
  }

  async #send(id: string, { code, key }: Confirmation): Promise<void> {
    try {
      await this.#active(await this.#o.confirm(id, code, key))
    } catch (error) {
      if (unanswered(error)) this.#unheard = true
      else if (error instanceof Refusal && error.status === 422) this.#unheard = false
      throw error
    }
  }

  async #confirmAgain(id: string, confirm: Confirmation): Promise<boolean> {
    this.#intent.resume(confirm.code, confirm.key)
    try {
      await this.#send(id, confirm)
      return true
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 422)) throw error
      this.#kept.unconfirmed() // it was wrong then, too
      return false
    }
  }

  async #active(confirmed: C): Promise<void> {
    const { step } = this.#kept.at
    await this.#o.activated(confirmed, step === 'on' || step === 'saveLast')
    this.#confirmed = confirmed
    if (step === 'saveLast' && confirmed.backup_code) this.#go('saveLast')
    else if (!this.#o.replacement) this.#go('on')
    else this.#read(confirmed)
  }

  #refused(error: Refusal): boolean {
    if (isFinal(error)) this.#kept.unconfirmed()
    const host = this.#host
    switch (error.code) {
      case 'invalid_code':
        host.trouble = skewed(host, error.problem) ?? {
          headline: host.say('E3a.headline'),
          body: host.sentences(
            host.say('E3a.body.1', { account: this.#account() }),
            host.say('E3a.body.2', { n: error.problem.attempts_remaining ?? 0 }),
            host.say('E3a.body.3'),
          ),
        }
        if (error.problem.attempts_remaining === 0) this.#end('expired')
        return true
      case 'code_reused':
        host.trouble = reused(host, error.problem)
        return true
      case 'locked':
        host.trouble = locked(host, error)
        return true
      case 'invalid_request':
        host.trouble = { body: host.say('label.code.malformed') }
        return true
      case 'enrollment_expired':
        this.#end('expired')
        return true
      case 'enrollment_replaced':
        this.#end('replaced')
        return true
    }
    return false
  }

  // E3b, and another tab's set-up

  #end(why: 'expired' | 'replaced'): void {
    this.#kept.forget()
    if (this.#unheard) return this.#leave() // it may be on: the element has it from the service
    this.#host.step(() => (this.#over = why))
  }

  #overWith(why: 'expired' | 'replaced'): TemplateResult {
    const host = this.#host
    const moving = this.#o.replacement
    const expired = why === 'expired'
    return html`
      ${host.headline(host.say(expired ? 'E3b.headline' : moving ? 'P5.headline' : 'E0.headline'))}
      ${host.paragraph(host.say(!expired ? 'common.error.enrollment_replaced' : moving ? 'E3b.body.moving' : 'E3b.body.1'))}
      ${this.#setUp?.backup_code ? host.paragraph(host.say('E3b.body.2')) : nothing}
      ${host.troubles()}
      ${host.buttons(
        { label: host.say('E3b.start_again'), kind: 'main', action: 'begin', click: () => this.#again() },
        { label: host.say('E3b.close'), click: () => this.#o.cancel() },
      )}`
  }

  #again(): void {
    if (this.#o.restart) {
      this.#o.restart()
      return
    }
    void this.#host.act('begin', async () => {
      this.#form.clear()
      this.#saved.reset()
      await this.start()
    })
  }

  // E4

  #on(confirmed: C): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say('E4.headline'))}
      <p part="body"><span class="badge on" part="badge">${host.say('card.badge.enabled')}</span></p>
      ${host.paragraph(host.sentences(host.say('E4.body.1', { moment: host.phrases.moment(confirmed.activated_at) }), host.say('E4.body.2')))}
      ${host.troubles()}
      ${host.buttons({ label: host.say('E4.done'), kind: 'main', click: () => this.#read(confirmed) })}`
  }

  #read(confirmed: C): void {
    if (confirmed.backup_code) {
      this.#saved.reset()
      this.#go('saveLast')
    } else {
      this.#finish(confirmed)
    }
  }

  // E5

  #saveLast(confirmed: C): TemplateResult {
    const host = this.#host
    return html`
      ${this.#headline('E5.headline', 3)}
      ${host.paragraph(host.sentences(host.say('E5.body.1'), host.say('E5.body.2')))}
      ${this.#saved.render({
        code: confirmed.backup_code ?? '',
        account: this.#account(),
        next: { label: host.say('E5.finish'), click: () => this.#finish(confirmed) },
      })}`
  }

  #finish(confirmed: C): void {
    forget(this.#o.keptAs) // the screen stays until the element has another
    this.#o.done(confirmed)
  }

  // Around the steps

  #beginning(): TemplateResult {
    const host = this.#host
    return html`
      ${host.headline(host.say(this.#o.replacement ? 'P2.headline' : 'E1.headline'))}
      ${host.busy ? html`<p class="muted" role="status">${host.say('common.working')}</p>` : nothing}
      ${host.troubles()}
      ${host.buttons({ label: host.say('E1.cancel'), click: () => { this.#kept.forget(); this.#o.cancel() } })}`
  }

  /** A headline that says how far it is. */
  #headline(key: 'E1.headline' | 'E2.headline' | 'E3.headline' | 'E5.headline' | 'P2.headline' | 'P3.headline', step: number): TemplateResult {
    const host = this.#host
    const before = this.#setUp?.backup_code !== undefined
    const after = this.#o.codeFollows ?? (!this.#o.replacement && !before)
    const total = 2 + Number(before) + Number(after || this.#confirmed?.backup_code !== undefined)
    return html`<h2 part="headline" tabindex="-1"><span class="progress" part="progress">${host.say('common.step', { step: Math.min(step, total), total })}</span> ${host.say(key)}</h2>`
  }

  #cancel(): void {
    void this.#host.act('cancel', async () => {
      const dropped = this.#o.discard?.().catch(() => undefined) // what is not dropped lapses
      await Promise.race([dropped, new Promise((resolve) => setTimeout(resolve, discardFor))])
      const { id, confirm } = this.#kept.at
      if (id && confirm && (await this.#wasOn(id, confirm))) return
      this.#kept.forget()
      this.#leave()
    })
  }

  /** Whether a confirmation was right whose answer was lost: it is on then, and perhaps with a backup code that nobody has seen. */
  #wasOn(id: string, confirm: Confirmation): Promise<boolean> {
    return this.#confirmAgain(id, confirm).catch((error: unknown) => {
      if (unanswered(error)) throw error
      return false
    })
  }

  /** To where the element was before, when the action that runs is over. */
  #leave(): void {
    setTimeout(() => this.#o.cancel())
  }

  #go(step: SetUpStep, id?: string): void {
    this.#over = undefined
    this.#host.step(() => this.#kept.change(id ? { id, step } : { step }))
  }

  /** The account's name, as it stands in the app. */
  #account(): string {
    return this.#o.account() || labelled(this.#setUp?.otpauth_uri ?? '')
  }
}
