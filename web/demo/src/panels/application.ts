import type { SignedInDetail } from '@nightlatch/components'
import { html, nothing, type PropertyValues, type TemplateResult } from 'lit'
import { customElement, query, state } from 'lit/decorators.js'
import { keyed } from 'lit/directives/keyed.js'
import { mountSite, routeOf } from 'nightlatch-site'

import { isReviewer, lab, firstNameOf, Panel, password, users } from '../lab.ts'
import { program, Refused } from '../program.ts'
import { NoPhone, signInAs } from '../reviewer.ts'
import { words } from '../words.ts'

const w = words.app

/** An application with a password page, a home page and settings, which takes its two-factor authentication from Nightlatch. */
@customElement('lab-application')
export class Application extends Panel {
  @state() private email: string = users[0]
  @state() private typed = password
  @state() private refused = ''
  @state() private busy = false
  @state() private page: 'home' | 'security' = 'home'
  @state() private said = ''
  @state() private link = '' // of a mail, which the next sign-in is opened with
  @query('.site') private site!: HTMLElement | null

  #leaveSite: (() => void) | undefined
  #siteOf = ''
  #shown = '' // which page

  override connectedCallback(): void {
    super.connectedCallback()
    addEventListener('hashchange', this.#moved)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    removeEventListener('hashchange', this.#moved)
    this.#leaveSite?.()
  }

  readonly #moved = () => this.requestUpdate()

  /** Whether the address leads to a page of the site, and it can be shown. */
  get #onSite(): boolean {
    const route = routeOf(location.hash)
    return route.page === 'link' || route.page === 'thanks' || (route.page === 'reviews' && lab.stage.at === 'home')
  }

  /** On another page, whoever has no mouse goes on where it begins. The elements see to that by themselves. */
  #arrive(): void {
    const before = this.#shown
    this.#shown = this.#onSite ? 'site' : lab.stage.at
    if (before === '' || before === this.#shown || document.activeElement !== document.body) return
    const begins = this.querySelector<HTMLElement>('.screen h3') ?? this.querySelector<HTMLElement>('.tabs [aria-current]')
    begins?.focus()
  }

  protected override updated(changed: PropertyValues): void {
    super.updated(changed)
    this.#arrive()
    // The site's pages are made anew for another language, other words or another person; from page to page they go by themselves.
    const of = this.#onSite ? [lab.lang, lab.preset, lab.stage.at === 'home' ? lab.stage.session : ''].join() : ''
    if (of === this.#siteOf && (!of || this.#leaveSite)) return
    this.#siteOf = of
    this.#leaveSite?.()
    this.#leaveSite = undefined
    if (!of || !this.site) return
    this.#leaveSite = mountSite(this.site, {
      api: '', app: w.name, preset: lab.preset, support: 'support@example.com', clock: lab.now, fetch: lab.fetch,
      session: () => (lab.stage.at === 'home' ? lab.stage.session : undefined),
      signInToReview: () => lab.go({ at: 'password' }),
      signIn: (link) => {
        this.link = link ?? ''
        this.#leave()
        lab.go({ at: 'password' })
      },
      changePassword: () => (this.said = w.changed),
      done: () => this.#leave(),
    })
  }

  #leave(): void {
    history.pushState(null, '', location.pathname)
    dispatchEvent(new HashChangeEvent('hashchange'))
  }

  protected override render(): TemplateResult {
    const stage = lab.stage
    return html`
      <header class="bar">
        <h2 class="tiny" id="app-title">${w.title}</h2>
        <strong>${w.name}</strong>
        ${stage.at === 'home' ? html`<span class="who"><bdi>${stage.user}</bdi><button type="button" class="small" @click=${this.#signOut}>${w.signOut}</button></span>` : nothing}
      </header>
      <div class="screen" lang=${lab.lang} @nightlatch-support=${this.#support} @nightlatch-change-password=${this.#password}>
        <div role="status">${this.said ? html`<p class="notice" lang="en">${this.said} <button type="button" class="link" @click=${() => (this.said = '')}>${w.close}</button></p>` : nothing}</div>
        ${this.#onSite ? this.#sitePage() : stage.at === 'password' ? this.#passwordPage() : stage.at === 'code' ? this.#codePage(stage) : this.#homePage(stage)}
      </div>`
  }

  #sitePage(): TemplateResult {
    return html`<p class="ways"><button type="button" class="link" lang="en" @click=${() => this.#leave()}>‹ ${w.back}</button></p><div class="site"></div>`
  }

  #passwordPage(): TemplateResult {
    const reviewing = routeOf(location.hash).page === 'reviews'
    return html`<form class="card" lang="en" @submit=${this.#login}>
      <h3 tabindex="-1">${w.signIn}</h3>
      ${reviewing ? html`<div class="notice"><p>${w.reviewersOnly}</p><p><button type="button" class="small" aria-disabled=${this.busy} @click=${this.#review}>${w.reviewer}</button></p><p>${w.reviewerAbout}</p></div>` : nothing}
      ${this.link ? html`<p class="notice">${w.linkHeld}</p>` : nothing}
      <fieldset class="chips"><legend>${w.fill}</legend>
        ${users.map((u) => html`<button type="button" class="small" aria-pressed=${this.email === u} @click=${() => this.#fill(u)}>${u.split('@')[0]}</button>`)}
      </fieldset>
      <label class="field"><span>${w.email}</span><input type="email" name="email" autocomplete="username" required .value=${this.email} @input=${(e: Event) => (this.email = (e.target as HTMLInputElement).value)} /></label>
      <label class="field"><span>${w.password}</span><input type="password" name="password" autocomplete="current-password" required .value=${this.typed} @input=${(e: Event) => (this.typed = (e.target as HTMLInputElement).value)} /></label>
      <div role="alert">${this.refused ? html`<p class="notice bad">${this.refused}</p>` : nothing}</div>
      <button class="main" type="submit" aria-disabled=${this.busy}>${w.signIn}</button>
      <p class="quiet">${w.tagline}</p>
    </form>`
  }

  #codePage(stage: Extract<typeof lab.stage, { at: 'code' }>): TemplateResult {
    return html`${keyed(stage.offer.challenge + lab.lang, html`<nightlatch-sign-in
      .app=${w.name} .preset=${lab.preset} .clock=${lab.now} .fetch=${lab.fetch} .offer=${stage.offer} .resetToken=${stage.link ?? ''}
      .redeem=${(assertion: string) => program.redeem(assertion, lab.fetch)}
      @nightlatch-signed-in=${(e: CustomEvent<SignedInDetail>) => this.#signedIn(stage.user, e.detail)}
      @nightlatch-start-over=${() => lab.go({ at: 'password' })}
    ></nightlatch-sign-in>`)}`
  }

  #homePage(stage: Extract<typeof lab.stage, { at: 'home' }>): TemplateResult {
    const reviewer = isReviewer(stage.user)
    const tab = (page: typeof this.page, label: string) =>
      html`<button type="button" aria-current=${this.page === page ? 'page' : nothing} @click=${() => (this.page = page)}>${label}</button>`
    return html`
      <nav class="tabs" lang="en" aria-label=${w.name}>${tab('home', w.home)}${tab('security', w.place[lab.preset])}${reviewer ? html`<a href="#/reviews">${w.console}</a>` : nothing}</nav>
      ${this.page === 'home'
        ? html`<section class="card" lang="en"><h3 tabindex="-1">${w.hello} <bdi>${firstNameOf(stage.user)}</bdi></h3>
            <h4>${w.orders}</h4><ul class="orders">${w.order.map((o) => html`<li><span>${o}</span><span class="quiet">${w.shipped}</span></li>`)}</ul></section>`
        : html`${keyed(stage.session + lab.lang, html`<nightlatch-security-card
            .app=${w.name} .preset=${lab.preset} .clock=${lab.now} .fetch=${lab.fetch} .session=${stage.session} .account=${stage.user} .support=${'support@example.com'} .grant=${stage.grant ?? ''}
            @nightlatch-session-over=${this.#over} @nightlatch-reauthenticate=${this.#again}
            @nightlatch-replaced=${() => lab.spendGrant()} @nightlatch-backup-code-issued=${() => lab.spendGrant()}
          ></nightlatch-security-card>`)}`}`
  }

  #fill(user: string): void {
    this.email = user
    this.typed = password
    this.refused = ''
  }

  readonly #login = async (event: Event): Promise<void> => {
    event.preventDefault()
    if (this.busy) return
    this.busy = true
    this.refused = ''
    try {
      const user = this.email
      const answer = await program.login(user, this.typed, lab.lang, lab.fetch)
      this.page = 'home'
      if ('session' in answer) lab.go({ at: 'home', user, session: answer.session })
      else lab.go({ at: 'code', user, offer: answer, ...(this.link ? { link: this.link } : {}) })
      this.link = ''
    } catch (error) {
      this.refused = error instanceof Refused && error.status === 401 ? w.wrong : w.unavailable
    } finally {
      this.busy = false
    }
  }

  /** Signs the reviewer in, for whoever has seen how that goes. */
  readonly #review = async (): Promise<void> => {
    if (this.busy) return
    this.busy = true
    this.refused = ''
    try {
      const user = 'reviewer@example.com'
      lab.go({ at: 'home', user, session: await signInAs(user) })
    } catch (error) {
      this.refused = error instanceof NoPhone ? w.reviewerNo : w.unavailable
    } finally {
      this.busy = false
    }
  }

  #signedIn(user: string, detail: SignedInDetail): void {
    if (!detail.session) return lab.go({ at: 'password' })
    // Who came in with a backup code, or without two-factor authentication, has something to do there.
    this.page = detail.method === 'totp' ? 'home' : 'security'
    lab.go({ at: 'home', user, session: detail.session, ...(detail.grant ? { grant: detail.grant } : {}) })
  }

  readonly #signOut = (): void => {
    if (routeOf(location.hash).page === 'reviews') this.#leave()
    this.said = ''
    lab.go({ at: 'password' })
  }

  readonly #over = (): void => {
    this.refused = w.over
    lab.go({ at: 'password' })
  }

  /** The session is too old for what was asked: the same user signs in again. */
  readonly #again = (): void => {
    if (lab.stage.at === 'home') this.#fill(lab.stage.user)
    this.refused = w.again
    lab.go({ at: 'password' })
  }

  readonly #support = (event: CustomEvent<{ support: string; reference?: string }>): void => {
    event.preventDefault()
    this.said = `${w.support} ${event.detail.support}${event.detail.reference ? ` (${event.detail.reference})` : ''}`
  }

  readonly #password = (): void => void (this.said = w.changed)
}
