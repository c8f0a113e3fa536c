import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'

import { test as base, type Locator, type Page } from '@playwright/test'

import type { Mounted } from '../page/main.ts'
import { look } from './look.ts'
import { Phone } from './phone.ts'
import { Server } from './server.ts'
import { pageFiles } from './setup.ts'

export const password = 'correct horse'
export const alice = 'alice@example.com'
export const reviewer = 'reviewer@example.com'
export const reviewer2 = 'reviewer2@example.com'

/** As the deployed pages are served. */
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types lit-html"

/**
 * An application that holds one element at a time, before the real program. Its page is served under the program's own
 * origin, with the policy that the deployed pages have.
 */
export class App {
  readonly server = new Server()
  page: Page
  /** What the pages have complained of: content security policy, errors, failed loads. */
  readonly complaints: string[] = []
  phone!: Phone
  backupCode = ''
  preset = 'standard'

  constructor(page: Page) {
    this.page = page
  }

  /** Starts the program with a preset, and opens the page. */
  async start(preset = 'standard', settings: Record<string, unknown> = {}): Promise<void> {
    this.preset = preset
    await this.server.start(preset)
    if (Object.keys(settings).length > 0) await this.server.policy({ preset, ...settings })
    const context = this.page.context() // of every tab
    context.on('weberror', (error) => this.complaints.push(String(error.error())))
    context.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) this.complaints.push(message.text())
    })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: this.server.url })
    await context.route(`${this.server.url}/e2e/**`, async (route) => {
      const name = new URL(route.request().url()).pathname.replace(/^\/e2e\/?/, '') || 'index.html'
      const contentType = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }[extname(name)] ?? 'application/octet-stream'
      const headers = { 'content-security-policy': csp }
      await route.fulfill({ body: readFileSync(join(pageFiles, name)), contentType, headers })
    })
    await this.page.goto(this.server.url + '/e2e/')
  }

  /** Moves the service's clock on, and the elements' with it. */
  async wind(seconds: number): Promise<void> {
    await this.server.wind(seconds)
    await this.page.evaluate((ms) => window.bench.wind(ms), this.server.offset * 1000)
  }

  /** Puts an element on the page, in place of the one before; what is mounted comes back after a reload. */
  async mount(tag: Mounted['tag'], properties: Mounted['properties'] = {}): Promise<Locator> {
    const all = { preset: this.preset, app: 'Nightlatch Demo', ...properties }
    await this.page.evaluate(([tag, properties, offset]) => window.bench.mount({ tag, properties, offset }), [tag, all, this.server.offset * 1000] as const)
    return this.page.locator(tag)
  }

  /** The password step, in the browser: a session, or an offer. */
  login(email = alice): Promise<any> {
    return this.page.evaluate((body) => window.bench.post('/demo/login', body), { email, password })
  }

  /** Signs in, with a code of the phone where one is due, and returns the session. */
  async session(email = alice, phone: Phone | undefined = this.phone): Promise<string> {
    const offer = await this.login(email)
    if (offer.session) return offer.session
    const signedIn = await this.server.ask('POST', '/v1/verify', { challenge: offer.challenge, method: 'totp', code: phone.fresh() })
    const { session } = await this.page.evaluate((body) => window.bench.post('/demo/session', body), { assertion: signedIn.assertion })
    return session
  }

  /** Sets 2FA up over the API, for a user who has none, and keeps phone and backup code. Where it is required, inside a sign-in. */
  async enable(email = alice): Promise<Phone> {
    const offer = await this.login(email)
    const [path, proof] = offer.session ? ['/v1/enroll', {}] : ['/v1/verify/enroll', { challenge: offer.challenge }]
    const setUp = await this.server.ask('POST', path, proof, offer.session)
    const phone = new Phone(setUp.manual_secret, () => this.server.now())
    const confirmed = await this.server.ask('POST', `${path}/confirm`, { ...proof, enrollment_id: setUp.enrollment_id, code: phone.fresh() }, offer.session)
    if (confirmed.state !== 'enabled') throw new Error(JSON.stringify(confirmed))
    if (email === alice) {
      this.phone = phone
      this.backupCode = setUp.backup_code ?? confirmed.backup_code
    }
    return phone
  }

  /** The security card of a signed-in user, in a fresh session. */
  async card(properties: Mounted['properties'] = {}): Promise<Locator> {
    return this.mount('nightlatch-security-card', { session: await this.session(), account: alice, ...properties })
  }

  /** The second step of a sign-in, after the password. */
  async signIn(properties: Mounted['properties'] = {}, email = alice): Promise<Locator> {
    return this.mount('nightlatch-sign-in', { offer: await this.login(email), ...properties })
  }

  /** The setup key that is on the screen. */
  async scan(): Promise<Phone> {
    const key = await this.page.locator('.key').textContent()
    return new Phone(key!, () => this.server.now())
  }

  /** The names of the events that the element has fired, with their details. */
  events(): Promise<{ type: string; detail: any }[]> {
    return this.page.evaluate(() => window.bench.events)
  }

  /** The names of what the elements keep in the tab. */
  kept(): Promise<string[]> {
    return this.page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.startsWith('nightlatch.')))
  }

  /** Looks at the screen: see {@link look}. */
  look(id: string): Promise<void> {
    return look(this.page, id)
  }
}

/** A test with an application and a program of its own. A page that complained has failed, whatever it showed. */
export const test = base.extend<{ app: App }>({
  app: async ({ page }, use) => {
    const app = new App(page)
    await use(app)
    await app.server.remove()
    expect(app.complaints).toEqual([])
  },
})

export { expect } from '@playwright/test'
import { expect } from '@playwright/test'
