import { Client, Refusal, Unreachable } from '@nightlatch/client'
import { html, LitElement, nothing, type CSSResultGroup, type PropertyValues, type TemplateResult } from 'lit'
import { property, state } from 'lit/decorators.js'

import { styles } from './styles.ts'
import { english, load, Phrases, type Key, type Preset } from './words.ts'

/** A token, or what fetches one when a request needs it. */
export type Session = string | (() => string | undefined | Promise<string | undefined>)

/** What went wrong, in words, until the next action. */
export interface Trouble {
  headline?: string
  body: string
  /** The way on: it sends again what failed, unless its label says otherwise. */
  again?: () => void
  label?: string
  /** What helps, below. */
  more?: TemplateResult
}

/** A button. One of a screen is main, the one that most will want; a link is a way aside. */
export interface Button {
  label: string
  click: () => void
  kind?: 'main' | 'danger' | 'link'
  disabled?: boolean
  /** The action, as given to {@link NightlatchElement.act}, during which it shows that it is at work. */
  action?: string
}

/** Who has set nothing by then, in milliseconds, is told what to set. */
const patience = 2_000
/** An action that takes longer than this, in milliseconds, shows that it is at work. */
const slowAfter = 300

/**
 * What all Nightlatch elements share: where the API is, who is signed in, in which words they speak, and that one action
 * runs at a time and none fails silently.
 *
 * @fires nightlatch-session-over - The session is over: the application signs the user in again.
 * @fires nightlatch-reauthenticate - The session is too old for this; detail.max_age in seconds.
 */
export abstract class NightlatchElement extends LitElement {
  static override styles: CSSResultGroup = styles

  /** The language to speak, such as de or fr-CA. Default: that of what surrounds the element. */
  @property() override lang = ''
  /** Where the API is, without a slash at its end. Default: where the page is. */
  @property() api = ''
  /** Whose words are spoken: standard, mirox, miaxdx or midphase. */
  @property() preset: Preset = 'standard'
  /** The application's name, as its users know it. */
  @property() app = ''
  /** The signed-in user's token, or a function that fetches it; if that rejects, the user is no longer signed in. */
  @property({ attribute: false }) session: Session | undefined
  /** The application's own words, by key, in place of ours. */
  @property({ attribute: false }) strings: Record<string, string> = {}
  /** The service's clock in milliseconds, if it is not the browser's. */
  @property({ attribute: false }) clock: () => number = Date.now
  /** Instead of the browser's own fetch. */
  @property({ attribute: false }) fetch: typeof fetch | undefined

  @state() phrases = new Phrases(english, 'standard', {})
  /** What went wrong last; gone with the next action. */
  @state() trouble: Trouble | undefined
  @state() private acting = '' // the action that runs; empty: none
  @state() private slow = false

  #client: Client | undefined
  #end = new AbortController() // of what is under way
  #language = ''
  #focusNext = false
  #ticking: ReturnType<typeof setInterval> | undefined

  /** The client, made of the properties. */
  protected get client(): Client {
    return (this.#client ??= new Client({
      url: this.api,
      session: () => (typeof this.session === 'function' ? this.session() : this.session),
      signal: this.#end.signal,
      ...(this.fetch ? { fetch: this.fetch } : {}),
    }))
  }

  override connectedCallback(): void {
    super.connectedCallback()
    void this.#speak()
    setTimeout(() => this.isConnected && this.missing && console.warn(`<${this.localName}> waits for its property ${this.missing}`), patience)
  }

  /** The property that the page has not set, and what it is: for its author's eyes. */
  protected get missing(): string {
    return ''
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.tick(false)
    // An element that is only moved is back at once. What a removed one has begun is nobody's: it tells and keeps nothing.
    queueMicrotask(() => this.isConnected || this.abandon())
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('api') || changed.has('fetch')) this.#client = undefined
    if (changed.has('preset') || changed.has('strings')) this.phrases = new Phrases(this.phrases.words, this.preset, this.strings)
    if (changed.has('lang')) void this.#speak()
  }

  protected override updated(_changed: PropertyValues): void {
    if (!this.#focusNext) return
    this.#focusNext = false
    this.renderRoot.querySelector<HTMLElement>('[data-focus], h2')?.focus()
  }

  /** Whether the session is another user's. A function is asked anew each time: another one is no other user. */
  protected isAnother(changed: PropertyValues): boolean {
    return changed.has('session') && !(typeof changed.get('session') === 'function' && typeof this.session === 'function')
  }

  /** Ends what is under way, since it is about something else than what is on the screen by now. */
  protected abandon(): void {
    this.#end.abort()
    this.#end = new AbortController()
    this.#client = undefined
    this.acting = ''
    this.slow = false
    this.trouble = undefined
  }

  /** Loads the language of the element, or of what surrounds it. */
  async #speak(): Promise<void> {
    const lang = this.lang || this.closest('[lang]')?.getAttribute('lang') || document.documentElement.lang || 'en'
    if (lang === this.#language) return
    this.#language = lang
    const words = await load(lang)
    if (lang === this.#language) this.phrases = new Phrases(words, this.preset, this.strings)
  }

  /** A sentence in the user's language, in the words of the preset. */
  say(key: Key, values: Record<string, string | number> = {}): string {
    return this.phrases.say(key, { app: this.app, ...values })
  }

  /** The same for a key that ends in a word of the service; empty, where the service is newer than this and has another. */
  named(key: string): string {
    return this.phrases.has(key) ? this.say(key) : ''
  }

  /** Sentences, one after another, as the language puts them. */
  sentences(...all: string[]): string {
    return all.filter(Boolean).join(/^(ja|zh)\b/.test(this.phrases.lang) ? '' : ' ')
  }

  /** Another step of the screen: what went wrong before is over, and the new headline gets the focus. */
  step(change: () => void): void {
    this.trouble = undefined
    change()
    this.#focusNext = true
    this.requestUpdate()
  }

  /** True while an action runs: nothing else can be begun. */
  get busy(): boolean {
    return this.acting !== ''
  }

  /**
   * Runs an action, unless one runs already: a double click does nothing twice. What it throws is told, with a way on,
   * unless `refused` deals with it by returning true.
   */
  async act(name: string, action: () => Promise<void>, refused: (error: Refusal) => boolean = () => false): Promise<void> {
    if (this.busy) return
    const { signal } = this.#end
    this.acting = name
    this.trouble = undefined
    const timer = setTimeout(() => (this.slow = !signal.aborted), slowAfter)
    try {
      await action()
    } catch (error) {
      if (!signal.aborted && !(error instanceof Refusal && refused(error))) this.#tell(error, () => void this.act(name, action, refused))
    } finally {
      clearTimeout(timer)
      if (!signal.aborted) {
        this.slow = false
        this.acting = ''
      }
    }
  }

  #tell(error: unknown, again: () => void): void {
    if (error instanceof Error && error.cause) console.warn(`<${this.localName}>`, error.cause) // what fetch or the page's own function said
    if (error instanceof Unreachable) {
      this.trouble = { body: this.say(navigator.onLine ? 'common.error.network' : 'common.error.offline'), again }
      return
    }
    if (!(error instanceof Refusal)) {
      this.trouble = { body: this.say('common.error.unexpected') }
      throw error // ours to mend: the page's own error report should have it
    }
    switch (error.code) {
      case 'unavailable':
        this.trouble = { body: this.say('common.error.unavailable'), again }
        return
      case 'unauthorized':
        this.#signInAgain({ body: this.say('common.error.session_over') }, 'nightlatch-session-over')
        return
      case 'reauthenticate':
        this.#signInAgain({ body: this.say('common.error.reauthenticate') }, 'nightlatch-reauthenticate', { max_age: error.problem.max_age })
        return
    }
    const own = `common.error.${error.code}`
    if (this.phrases.has(own)) this.trouble = { body: this.say(own, { moment: this.phrases.moment(error.problem.locked_until ?? this.clock()) }) } // sent again, it would be refused again
    else if (error.problem.request_id) this.trouble = { body: this.say('common.error.unexpected.id', { id: error.problem.request_id }), again }
    else this.trouble = { body: this.say('common.error.unexpected'), again }
  }

  /** The application knows where to sign in. It is told at once, and again on a click. */
  #signInAgain(trouble: Trouble, event: `nightlatch-${string}`, detail?: unknown): void {
    this.emit(event, detail)
    this.trouble = { ...trouble, label: this.say('common.sign_in_again'), again: () => this.emit(event, detail) }
  }

  /** Tells the application. Events leave the shadow tree and bubble. */
  emit(name: `nightlatch-${string}`, detail?: unknown): void {
    const event = new CustomEvent(name, { detail, bubbles: true, composed: true })
    this.dispatchEvent(event)
  }

  /** Renders once a second while something counts down. */
  tick(on: boolean): void {
    if (on === (this.#ticking !== undefined)) return
    if (on) this.#ticking = setInterval(() => this.requestUpdate(), 1000)
    else this.#ticking = void clearInterval(this.#ticking)
  }

  /** The headline of a screen: it gets the focus when the screen comes, so that a screen reader begins there. */
  headline(text: string): TemplateResult {
    return html`<h2 part="headline" tabindex="-1">${text}</h2>`
  }

  paragraph(text: string): TemplateResult {
    return html`<p part="body">${text}</p>`
  }

  /** What went wrong. The region is there before anything does, or it would not be read out. */
  troubles(): TemplateResult {
    const t = this.trouble
    return html`<div role="alert" part="alert">
      ${t && html`<div class="trouble" part="trouble">
        ${t.headline ? html`<strong>${t.headline}</strong>` : nothing}
        <p>${t.body}</p>
        ${t.more ?? nothing}
        ${t.again ? html`<button type="button" part="button" @click=${t.again}>${t.label ?? this.say('common.try_again')}</button>` : nothing}
      </div>`}
    </div>`
  }

  /** A row of buttons, in the order of reading. */
  buttons(...row: (Button | false | undefined)[]): TemplateResult {
    return html`<div class="buttons" part="buttons">${row.map((b) => (b ? this.button(b) : nothing))}</div>`
  }

  /** A button. While an action runs none can be pressed; it keeps the focus all the same. */
  button(b: Button): TemplateResult {
    const kind = b.kind ?? ''
    return html`<button
      type="button"
      class=${kind}
      part=${`button ${kind}`}
      aria-disabled=${b.disabled || this.busy ? 'true' : nothing}
      @click=${() => !b.disabled && !this.busy && b.click()}
    >${b.label}${this.atWork(b.action)}</button>`
  }

  /** Shows that an action is at work, once it has taken long enough to wonder. */
  atWork(action: string | undefined): TemplateResult | typeof nothing {
    if (!action || action !== this.acting || !this.slow) return nothing
    return html`<span class="at-work" part="at-work" role="status"><span class="hidden">${this.say('common.loading')}</span></span>`
  }
}
