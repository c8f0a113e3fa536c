import { forget, keep, kept, type Confirmed, type Refusal, type Status } from '@nightlatch/client'
import { html, nothing, type TemplateResult } from 'lit'

import { backupInstead, codeRefused, type Card, type Proof, type Screen } from './card.ts'
import { CheckScreen } from './check.ts'
import { CodeForm } from './code-form.ts'
import { Paused } from './paused.ts'
import { SetUpSteps } from './set-up.ts'
import { isFinal, pausedUntil } from './verdicts.ts'
import { withoutPhone } from './without-phone.ts'

/** Where a move is kept in this tab. What proved the right to it is kept as well: a request is the same by its body, too. */
export const keptMove = 'move'
const keptProof = 'move.proof'

/** Moving to another phone (P1 to P4): with a code of the old one, or with the grant of a sign-in with the backup code. */
export class MoveScreen implements Screen {
  readonly #card: Card
  readonly #status: Status
  readonly #grant: string
  readonly #form: CodeForm
  #steps: SetUpSteps | undefined
  #moved: Confirmed | undefined

  constructor(card: Card, status: Status, grant = '') {
    this.#card = card
    this.#status = status
    this.#grant = grant
    this.#form = new CodeForm(card)
  }

  /** Goes on with a move that a reload has interrupted; false if none is kept. */
  resume(): boolean {
    const proof = kept<Proof>(keptProof)
    if (!proof) return false
    this.#start(proof)
    return true
  }

  /** Begins with the grant. */
  start(): void {
    this.#start({ grant: this.#grant })
  }

  #start(proof: Proof): void {
    this.#steps = this.#with(proof)
    void this.#card.act('begin', () => this.#begin(proof), (error) => this.#startRefused(error))
  }

  render(): TemplateResult {
    if (this.#moved) return this.#done(this.#moved)
    return this.#steps ? this.#steps.render() : this.#ask()
  }

  // P1

  #ask(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('P1.headline'))}
      ${card.paragraph(card.sentences(card.say('P1.body.1'), card.say('P1.body.2')))}
      ${this.#form.render({
        label: card.say('label.code'),
        send: card.say('P1.continue'),
        action: 'begin',
        submit: (code) => this.#begin({ code }),
        refused: (error) => codeRefused(card, this, this.#status, error),
        backup: backupInstead(card, this, this.#status),
        more: [
          { label: card.say('common.cancel'), click: () => card.home() },
          { label: card.say('P1.no_old_phone'), kind: 'link', click: () => withoutPhone(card, this.#status, this) },
        ],
      })}`
  }

  async #begin(proof: Proof): Promise<void> {
    if (JSON.stringify(kept(keptProof)) !== JSON.stringify(proof)) {
      forget(keptMove) // another proof is another request, under another key
      keep(keptProof, proof)
    }
    const steps = this.#with(proof)
    await steps.start()
    this.#card.step(() => (this.#steps = steps)) // its own first step was before it was on the screen
  }

  /** The move cannot go on from where it was left: a code of the old phone is asked for. */
  #startRefused(error: Refusal): boolean {
    const card = this.#card
    if (error.code === 'locked') {
      card.show(new Paused(card, this.#status, pausedUntil(card, error), () => {
        card.show(this)
        this.resume()
      }))
      return true
    }
    if (!isFinal(error)) return false
    card.step(() => this.#forget())
    if (error.code === 'enrollment_expired' || error.code === 'enrollment_replaced') { // confirmed before, and long ago
      card.home()
      return true
    }
    if (error.code === 'grant_expired') {
      card.trouble = { body: card.say('common.error.grant_expired') }
      return true
    }
    if (error.code === 'code_reused') return true // the code that began it, which nobody has typed now
    return codeRefused(card, this, this.#status, error)
  }

  // P2, P3

  #with(proof: Proof): SetUpSteps {
    const card = this.#card
    return new SetUpSteps(card, {
      replacement: true,
      gone: 'grant' in proof,
      keptAs: keptMove,
      begin: (key) => card.service.beginEnrollment(proof, key),
      confirm: (id, code, key) => card.service.confirmEnrollment(id, code, key),
      discard: () => card.service.discardEnrollment(),
      account: () => card.account,
      codeFollows: !this.#status.backup_code.present && this.#status.policy.backup_issue === 'after_activation',
      activated: ({ activated_at }, told) => told || card.emit('nightlatch-replaced', { activated_at }),
      done: (confirmed) => card.step(() => {
        this.#forget()
        this.#moved = confirmed
      }),
      cancel: () => {
        this.#forget()
        card.home()
      },
      restart: () => {
        card.step(() => this.#forget())
        if (this.#grant) this.start()
      },
    })
  }

  #forget(): void {
    forget(keptMove)
    forget(keptProof)
    this.#form.clear()
    this.#steps = undefined
  }

  // P4

  #done(moved: Confirmed): TemplateResult {
    const card = this.#card
    const sameCode = this.#status.backup_code.present && !moved.backup_code
    return html`
      ${card.headline(card.say('P4.headline'))}
      ${card.paragraph(card.sentences(card.say(this.#grant ? 'P4.body.1.gone' : 'P4.body.1'), sameCode ? card.say('P4.body.2') : ''))}
      ${sameCode ? nothing : html`<p><span class="badge on" part="badge">${card.say('card.badge.enabled')}</span></p>`}
      ${card.buttons(
        { label: card.say('P4.check'), click: () => card.show(new CheckScreen(card, this.#status)) },
        { label: card.say('P4.done'), kind: 'main', click: () => card.home() },
      )}`
  }
}
