import { Refusal, type Client, type HistoryEvent, type Status } from '@nightlatch/client'
import { css, html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { property, state } from 'lit/decorators.js'

import { NightlatchElement } from './element.ts'
import { BackInScreen } from './parts/back-in.ts'
import type { Card, Screen } from './parts/card.ts'
import { answered, isAnswered } from './parts/granted.ts'
import { firstSetUp, heading, home, keptSetUp } from './parts/home.ts'
import { keptMove, MoveScreen } from './parts/move.ts'
import { RenewScreen } from './parts/renew.ts'
import { leftSetUp } from './parts/set-up-kept.ts'

/**
 * A signed-in user's two-factor authentication: turn it on and off, check it, renew the backup code, move to another phone,
 * and see what has happened. What is offered follows the service's policy; the preset decides the words.
 *
 * @element nightlatch-security-card
 * @attr {string} api - Where the API is, without a slash at its end. Default: where the page is.
 * @attr {"standard"|"mirox"|"miaxdx"|"midphase"} preset - Whose words are spoken.
 * @attr {string} app - The application's name, as it stands in authenticator apps.
 * @attr {string} lang - The language; default: that of what surrounds the element.
 * @prop {string | (() => string | Promise<string>)} session - The user's session token, or what fetches it.
 * @prop {Record<string, string>} strings - The application's own words, by key.
 * @fires nightlatch-enabled - Two-factor authentication is on: detail.activated_at.
 * @fires nightlatch-disabled - It is off.
 * @fires nightlatch-replaced - The new phone is active: detail.activated_at.
 * @fires nightlatch-backup-code-issued - There is a new backup code: detail.issued_at. The code is not told.
 * @fires nightlatch-change-password - The user wants to change the password.
 * @fires nightlatch-support - The user needs help. Prevent its default to show something of your own.
 * @fires nightlatch-reauthenticate - The user has to sign in again: detail.max_age in seconds; detail.method is backup_code or recovery where the sign-in should begin with that.
 * @fires nightlatch-session-over - The session is over.
 * @csspart headline - of the screen
 * @csspart body - what it says
 * @csspart badge - Enabled, Disabled; success and failure in the history
 * @csspart notice - what needs attention
 * @csspart alert - where it is told what went wrong
 * @csspart trouble - what went wrong
 * @csspart buttons - a row of buttons
 * @csspart button - a button; also main, danger, link
 * @csspart field - a field with its label
 * @csspart input - what codes are typed into
 * @csspart qr - the QR code
 * @csspart key - the setup key
 * @csspart code - a backup code
 * @csspart progress - which step it is
 * @csspart list - the history
 * @cssprop --nightlatch-accent - colour of main buttons and links
 * @cssprop --nightlatch-on-accent - colour on it
 * @cssprop --nightlatch-surface - background
 * @cssprop --nightlatch-sunken - background of codes and notices
 * @cssprop --nightlatch-text - colour of text
 * @cssprop --nightlatch-muted - colour of what matters less
 * @cssprop --nightlatch-line - colour of borders
 * @cssprop --nightlatch-danger - colour of what went wrong, or takes something away
 * @cssprop --nightlatch-good - colour of what is as it should be
 * @cssprop --nightlatch-radius - of corners
 * @cssprop --nightlatch-space - between things
 * @cssprop --nightlatch-font - the font shorthand
 * @cssprop --nightlatch-width - the greatest width
 * @cssprop --nightlatch-color-scheme - light, dark, or both
 * @slot - Below the card itself, such as a link to a help page; not shown on its other screens.
 */
export class NightlatchSecurityCard extends NightlatchElement implements Card {
  static override styles = [
    NightlatchElement.styles,
    css`
      .heading { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 0.8rem; margin-block-end: calc(var(--_space) * 0.6); }
      .heading h2 { margin: 0; }
      ul.history { padding: 0; list-style: none; }
      .history li { margin: 0; padding-block: 0.75em; border-block-end: 1px solid color-mix(in srgb, var(--_line) 35%, transparent); }
      .history li:first-child { padding-block-start: 0; }
      .history p { margin: 0; }
      .history .what { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.2em 0.7em; }
      .history .agent { font-size: 0.8em; }
    `,
  ]

  /** The account's name in the authenticator app, for the texts that help to find it there. */
  @property() account = ''
  /** Where users write to for help: an address, or an https URL. Without it nightlatch-support tells the application. */
  @property() support = ''
  /** From a sign-in with the backup code: stands in for a code of the old phone. With it the card opens on what comes next. */
  @property() grant = ''
  /** What to open at once: set-up, new-phone, backup-code; empty: the card itself, or with a grant what the account needs. */
  @property() open: '' | 'set-up' | 'new-phone' | 'backup-code' = ''

  @state() private status: Status | undefined
  @state() private screen: Screen | undefined
  @state() private notice = ''
  @state() private turnedOff = false
  @state() private failed = false // the status could not be loaded

  #stale = false // the status is to be loaded as soon as no action runs
  #opened = false // what was left by a reload, or asked for by a property, has been opened

  /** The client, for the card's screens. */
  get service(): Client {
    return this.client
  }

  protected override get missing(): string {
    return this.session === undefined && this.fetch === undefined ? 'session: the token of the signed-in user, or a function that fetches it' : ''
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    super.willUpdate(changed)
    const another = this.isAnother(changed)
    if (another || changed.has('api') || changed.has('fetch') || changed.has('grant') || changed.has('open')) {
      this.#opened = false
      this.#stale = true
    }
    if (another) {
      this.abandon()
      this.screen = undefined
      this.status = undefined
      this.notice = ''
    }
  }

  protected override updated(changed: PropertyValues<this>): void {
    super.updated(changed)
    if (!this.#stale || this.busy || this.missing) return
    this.#stale = false
    void this.refresh()
  }

  /** Shows how the account stands now. */
  async refresh(): Promise<void> {
    this.failed = false
    const { client } = this
    await this.act('load', async () => {
      try {
        const status = await client.status()
        const turnedOff = status.state === 'disabled' && (await this.#lostIt())
        if (client !== this.client) return // another user's by now
        this.turnedOff = turnedOff
        this.status = status
      } catch (error) {
        this.failed = !(error instanceof Refusal && error.status === 401)
        throw error
      }
    })
    if (this.status && !this.trouble && !this.#opened) {
      this.#opened = true
      this.#open(this.status)
    }
  }

  /** Whether it was turned off by somebody without the phone. It is good to know, and no more: the card does without. */
  async #lostIt(): Promise<boolean> {
    try {
      const { events } = await this.client.history(undefined, 50)
      const last = events.find(({ type }) => ['enabled', 'disabled', 'reset_completed', 'admin_removed'].includes(type))
      return last !== undefined && withoutPhone(last)
    } catch {
      return false
    }
  }

  /** Goes on with what a reload has interrupted, or opens what the application asks for. */
  #open(status: Status): void {
    const setUp = leftSetUp(keptSetUp)
    const move = leftSetUp(keptMove)
    const goesOn = (left: typeof setUp, replacement: boolean) => left !== undefined && left.id !== undefined &&
      (status.pending ? status.pending.replacement === replacement && status.pending.enrollment_id === left.id : left.confirming && status.state === 'enabled')
    if (goesOn(setUp, false)) this.#setUp()
    else if (goesOn(move, true) && this.#resumeMove(status)) return
    else if (status.state === 'enabled' && this.#resumeRenewal(status)) return
    else if (this.open === 'set-up' && status.state !== 'enabled') this.#setUp()
    else if (status.state === 'enabled' && (this.grant || this.open)) this.#openGranted(status)
  }

  #openGranted(status: Status): void {
    const grant = isAnswered(this.grant) ? '' : this.grant
    if (this.open === 'new-phone') this.#move()
    else if (this.open === 'backup-code') this.#renew()
    else if (grant && status.backup_code.present) this.#move()
    else if (grant) {
      this.show(new BackInScreen(this, {
        setUpPhone: () => this.#move(),
        create: () => this.#renew(),
        later: () => this.home(),
      }))
    }
  }

  // What the screens call

  show(screen: Screen): void {
    this.tick(false)
    this.step(() => {
      this.notice = ''
      this.screen = screen
    })
  }

  home(notice = ''): void {
    this.tick(false)
    if (this.grant) answered(this.grant)
    this.step(() => {
      this.notice = notice
      this.screen = undefined
      this.status = undefined // as it was; how it is now is asked for
      this.#stale = true
    })
  }

  // What can be begun

  #setUp(): void {
    const steps = firstSetUp(this)
    this.show(steps)
    void this.act('begin', () => steps.start(), (error) => {
      if (error.code === 'already_enabled') this.home(this.say('common.error.already_enabled'))
      else if (error.code === 'enrollment_expired' || error.code === 'enrollment_replaced') this.home() // what a reload has interrupted is over, long ago
      else return false
      return true
    })
  }

  #move(): void {
    const screen = new MoveScreen(this, this.status!, this.grant)
    this.show(screen)
    if (this.grant) screen.start()
  }

  #resumeMove(status: Status): boolean {
    const screen = new MoveScreen(this, status, this.grant)
    if (!screen.resume()) return false
    this.show(screen)
    return true
  }

  #renew(): void {
    const { present } = this.status!.backup_code
    const screen = new RenewScreen(this, this.status!, present ? '' : this.grant)
    this.show(screen)
  }

  #resumeRenewal(status: Status): boolean {
    const screen = new RenewScreen(this, status)
    if (!screen.resume()) return false
    this.show(screen)
    return true
  }

  #discard(): void {
    void this.act('discard', async () => {
      await this.client.discardEnrollment()
      this.home()
    })
  }

  override render(): TemplateResult {
    if (this.screen) return this.screen.render()
    // One heading for both: it keeps the focus when the status comes.
    return html`${heading(this, this.status)}${this.status ? this.#home(this.status) : this.#waiting()}`
  }

  #home(status: Status): TemplateResult {
    this.tick(status.locked_until !== null)
    return html`
      ${home(this, {
        status,
        turnedOff: this.turnedOff,
        notice: this.notice,
        setUp: () => this.#setUp(),
        move: () => this.#move(),
        renew: () => this.#renew(),
        discard: () => this.#discard(),
      })}
      <slot></slot>`
  }

  #waiting(): TemplateResult {
    return html`
      ${this.failed ? this.paragraph(this.say('card.unavailable')) : nothing}
      ${this.troubles()}
      ${this.failed && !this.trouble?.again ? this.buttons({ label: this.say('common.try_again'), click: () => void this.refresh() }) : this.atWork('load')}`
  }
}

/** Whether it went off by a way in for those who have lost the phone. */
function withoutPhone(e: HistoryEvent): boolean {
  return e.type === 'reset_completed' || e.type === 'admin_removed' || (e.type === 'disabled' && e.method !== 'totp')
}

if (!customElements.get('nightlatch-security-card')) customElements.define('nightlatch-security-card', NightlatchSecurityCard)

declare global {
  interface HTMLElementTagNameMap {
    'nightlatch-security-card': NightlatchSecurityCard
  }
}
