import { forget, keep, kept, type BackupCode, type Refusal, type Status } from '@nightlatch/client'
import { html, type TemplateResult } from 'lit'

import { backupInstead, codeRefused, type Card, type Proof, type Screen } from './card.ts'
import { CodeForm } from './code-form.ts'
import { Intent } from './intent.ts'
import { SavedCode } from './saved-code.ts'
import { isFinal } from './verdicts.ts'

/** Where the making of a code is kept in this tab: the same request again has the same answer, so a reload shows the code again. */
const keptRenewal = 'renewal'
/** Where the grant of a revocation is kept, until a code is made with it. */
const keptGrant = 'renewal.grant'

/** How long the service answers the same request with the same code, in milliseconds. */
const answeredFor = 10 * 60_000

interface Kept<T> {
  /** Of the account that it is about: another user of this tab has another. */
  activated: string | undefined
  at: number
  what: T
}

interface Asked {
  proof: Proof
  key: string
}

/** A new backup code (G1, G2); or one revoked and then another created (G1m, E5), where the policy has it so. */
export class RenewScreen implements Screen {
  readonly #card: Card
  readonly #status: Status
  readonly #form: CodeForm
  readonly #saved: SavedCode
  readonly #intent = new Intent()
  #grant: string
  #revoked = false
  #made: BackupCode | undefined

  constructor(card: Card, status: Status, grant = '') {
    this.#card = card
    this.#status = status
    this.#form = new CodeForm(card)
    this.#saved = new SavedCode(card)
    this.#grant = grant || (this.#revokes ? '' : (this.#left<string>(keptGrant) ?? ''))
  }

  /** Goes on after a reload, if there is anything to go on with: the code that was made, or the one to be made after a revocation. */
  resume(): boolean {
    const left = this.#left<Asked>(keptRenewal)
    if (!left && !this.#left(keptGrant)) return false
    if (left) void this.#card.act('create', () => this.#create(left), (error) => this.#resumeRefused(error))
    else this.#revoked = true
    return true
  }

  #left<T>(name: string): T | undefined {
    const left = kept<Kept<T>>(name)
    if (left === undefined) return undefined
    const now = this.#card.clock()
    return left.activated === this.#status.activated_at && now < left.at + answeredFor ? left.what : undefined
  }

  #keep<T>(name: string, what: T): void {
    keep(name, { activated: this.#status.activated_at, at: this.#card.clock(), what } satisfies Kept<T>)
  }

  /** The present code has to be revoked before another can be made. */
  get #revokes(): boolean {
    return this.#status.backup_code.present && this.#status.policy.backup_rotate === 'revoke_then_create'
  }

  render(): TemplateResult {
    if (this.#made) return this.#save(this.#made)
    if (this.#grant) return this.#createNow()
    return this.#revokes ? this.#askToRevoke() : this.#ask()
  }

  // G1

  #ask(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('G1.headline'))}
      ${card.paragraph(card.sentences(card.say(this.#status.backup_code.present ? 'G1.body.1' : 'G1.body.1.none'), card.say('G1.body.2')))}
      ${this.#code(card.say('G1.create'), 'create', (code) => this.#create({ proof: { code }, key: this.#intent.key(code) }), card.say('G1.cancel'))}`
  }

  // G1m

  #askToRevoke(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say('G1m.headline'))}
      ${card.paragraph(card.sentences(card.say('G1m.body.1'), card.say('G1m.body.2')))}
      ${this.#code(card.say('G1m.revoke'), 'revoke', (code) => this.#revoke(code), card.say('G1m.cancel'), true)}`
  }

  #code(send: string, action: string, submit: (code: string) => Promise<void>, cancel: string, danger = false): TemplateResult {
    const card = this.#card
    return this.#form.render({
      label: card.say('label.code'),
      send,
      danger,
      action,
      submit,
      refused: (error) => this.#refused(error),
      backup: backupInstead(card, this, this.#status),
      more: [{ label: cancel, click: () => card.home() }],
    })
  }

  async #revoke(code: string): Promise<void> {
    const card = this.#card
    const grant = await card.service.revokeBackupCode(code, this.#intent.key(code))
    this.#keep(keptGrant, grant)
    card.step(() => {
      this.#grant = grant
      this.#revoked = true
    })
  }

  /** With a grant nothing is asked. */
  #createNow(): TemplateResult {
    const card = this.#card
    return html`
      ${card.headline(card.say(this.#revoked ? 'G1m.revoked' : 'E5.headline'))}
      ${this.#revoked ? card.paragraph(card.say('G1m.revoked.body')) : card.paragraph(card.say('G1.body.1.none'))}
      ${card.troubles()}
      ${card.buttons(
        { label: card.say('G1m.cancel'), click: () => card.home() },
        { label: card.say('G1m.create'), kind: 'main', action: 'create', click: () => this.createWithGrant() },
      )}`
  }

  /** Makes the code with the grant. */
  createWithGrant(): void {
    void this.#card.act('create', () => this.#create({ proof: { grant: this.#grant }, key: this.#intent.key(this.#grant) }), (error) => this.#refused(error))
  }

  async #create(asked: Asked): Promise<void> {
    const card = this.#card
    if (this.#left<Asked>(keptRenewal)?.key !== asked.key) this.#keep(keptRenewal, asked) // before it is sent: should the page go before the answer comes, it can be asked for again
    const made = await card.service.createBackupCode(asked.proof, asked.key)
    forget(keptGrant)
    card.emit('nightlatch-backup-code-issued', { issued_at: made.issued_at })
    card.step(() => {
      this.#saved.reset()
      this.#made = made
    })
  }

  #refused(error: Refusal): boolean {
    if (isFinal(error)) forget(keptRenewal)
    if (error.code === 'grant_expired') {
      forget(keptGrant)
      this.#card.step(() => (this.#grant = ''))
      this.#card.trouble = { body: this.#card.say('common.error.grant_expired') }
      return true
    }
    return codeRefused(this.#card, this, this.#status, error)
  }

  /** What a reload has interrupted is no longer to be had: the card says how the account stands. */
  #resumeRefused(error: Refusal): boolean {
    if (!isFinal(error) && error.code !== 'locked') return false
    forget(keptRenewal)
    forget(keptGrant)
    this.#card.home()
    return true
  }

  // G2, E5

  #save(made: BackupCode): TemplateResult {
    const card = this.#card
    const follows = this.#status.policy.backup_rotate === 'revoke_then_create'
    return html`
      ${card.headline(card.say(follows ? 'E5.headline' : 'G2.headline'))}
      ${card.paragraph(follows ? card.sentences(card.say('E5.body.1'), card.say('E5.body.2')) : card.sentences(card.say('G2.body.1'), card.say('G2.body.2')))}
      ${this.#saved.render({
        code: made.backup_code,
        account: card.account,
        next: { label: card.say(follows ? 'E5.finish' : 'G2.done'), click: () => this.#finish() },
      })}`
  }

  #finish(): void {
    forget(keptRenewal)
    this.#card.home()
  }
}
