import { expect, type Locator, type Page } from '@playwright/test'

import { password, type App } from './app.ts'

type Words = string | RegExp

/** How often a clock is looked at, in milliseconds. */
const often = { intervals: [20] }

/**
 * Somebody at the lab, with a phone, a sheet of paper and a mailbox. They know of the page what is written on it: its parts
 * are found by their headings, and what is in them by names and roles.
 */
export class Person {
  readonly page: Page
  /** The application. What is seen, pressed and typed is in here, unless it says otherwise. */
  readonly app: Locator
  readonly phone: Locator
  readonly inbox: Locator
  readonly desk: Locator
  readonly tour: Locator
  readonly #clock: Locator
  /** Every code of the phone that was typed. */
  readonly typed = new Set<string>()

  constructor(page: Page) {
    this.page = page
    page.setDefaultTimeout(10_000)
    this.app = page.getByRole('region', { name: 'The application' })
    this.phone = page.getByRole('region', { name: 'The phone' })
    this.inbox = page.getByRole('region', { name: 'The inbox' })
    this.desk = page.getByRole('region', { name: 'The support desk' })
    this.tour = page.getByRole('complementary', { name: 'Tour' })
    this.#clock = page.getByRole('group', { name: 'The service’s clock' })
  }

  /** Opens the lab of a program of its own, in which a preset is in force. What would be printed is kept. */
  static async atTheLab(app: App, preset: string): Promise<Person> {
    await app.page.addInitScript(() => {
      window.print = () => ((window.top as unknown as { printed: string }).printed = document.body.innerText)
    })
    await app.start(preset)
    await app.page.setViewportSize({ width: 1280, height: 900 })
    await app.page.goto(app.server.url + '/')
    await expect(app.page, 'the pages are in the program: make dist/nightlatch').toHaveTitle('Nightlatch lab')
    return new Person(app.page)
  }

  // What is on the screen

  /** All of this is on the application's screen. */
  async sees(...all: Words[]): Promise<void> {
    for (const words of all) await expect(this.app.getByText(words).filter({ visible: true }).first()).toBeVisible()
  }

  /** None of this is. It says something only after what the screen does show was seen. */
  async seesNo(...all: Words[]): Promise<void> {
    for (const words of all) await expect(this.app.getByText(words).filter({ visible: true })).toHaveCount(0)
  }

  /** The headline of the screen, and what else is on it. */
  async reads(headline: Words, ...all: Words[]): Promise<void> {
    await expect(this.app.getByRole('heading', { name: headline }).first()).toBeVisible()
    await this.sees(...all)
  }

  /** So many steps of the tour are ticked. */
  ticked(steps: number): Promise<void> {
    return expect(this.tour.getByRole('status')).toHaveText(new RegExp(`^${steps} of`))
  }

  /** The badge of the security card. */
  async badge(state: 'Enabled' | 'Disabled' | 'Setting up'): Promise<void> {
    await expect(this.app.getByText(state, { exact: true })).toBeVisible()
  }

  button(name: Words, where = this.app): Locator {
    return where.getByRole('button', { name, exact: true })
  }

  /** Presses a button, or a link that looks like one. */
  presses(name: Words, where = this.app): Promise<void> {
    return this.button(name, where).or(where.getByRole('link', { name, exact: true })).click()
  }

  // The password

  /** Leaves what is on the screen, and enters address and password. */
  async password(user = 'alice', typed = password): Promise<void> {
    for (const leave of ['Sign out', 'Not you? Start over']) {
      if (await this.button(leave).isVisible()) await this.presses(leave)
    }
    await this.app.getByLabel('Email address').fill(`${user}@example.com`)
    await this.app.getByLabel('Password', { exact: true }).fill(typed)
    await this.presses('Sign in')
  }

  async isIn(name = 'Alice'): Promise<void> {
    await this.sees(`Welcome back, ${name}`)
    await expect(this.app.getByRole('navigation')).toBeVisible()
  }

  /** There is no session: nothing of the application is there to go to. */
  async isNotIn(): Promise<void> {
    await expect(this.app.getByRole('navigation')).toHaveCount(0)
  }

  /** The whole sign-in, with a code of the phone. */
  async signsIn(): Promise<void> {
    await this.password()
    await this.reads('Enter your 6-digit code')
    await this.types(await this.newCode())
    await this.presses('Sign in')
    await this.isIn()
  }

  // The phone, and its clock

  /** Points the phone at the QR code. */
  async scans(): Promise<void> {
    await expect(this.app.getByRole('img', { name: 'QR code' })).toBeVisible()
    await this.presses('Scan', this.phone)
    await expect(this.phone.getByRole('status').getByText('Scanned.')).toBeVisible()
  }

  /** Types the key that is on the screen into the phone, by hand. */
  async typesKey(key: string): Promise<void> {
    await this.presses('Type a key', this.phone)
    await this.phone.getByLabel('Key', { exact: true }).fill(key)
    await this.presses('Add', this.phone)
  }

  /** The code that the phone shows for an account, the newest entry first. */
  async code(): Promise<string> {
    const entry = this.phone.getByRole('button', { name: /Nightlatch Demo .*\d{3} \d{3}/ }).first()
    const [, first, second] = /(\d{3}) (\d{3})/.exec((await entry.textContent())!)!
    return first! + second!
  }

  /** A code that was not typed before: who has just typed the one that is shown waits for the next. */
  async newCode(): Promise<string> {
    const before = await this.code()
    if (!this.typed.has(before)) return before
    const since = await time(this.phone)
    await this.waits()
    await expect.poll(async () => passed(since, await time(this.phone)), often).toBeGreaterThan(55)
    await expect.poll(() => this.code(), often).not.toBe(before)
    return this.code()
  }

  /** A code that is wrong for a good while. */
  async wrongCode(): Promise<string> {
    return String((Number(await this.code()) + 123_456) % 1_000_000).padStart(6, '0')
  }

  /** Types a code into the application. */
  async types(code: string): Promise<void> {
    this.typed.add(code)
    await this.app.getByLabel('6-digit code').fill(code)
  }

  /** Minutes pass, for the service and for every phone. */
  async waits(minutes = 1): Promise<void> {
    for (let i = 0; i < minutes; i++) {
      const since = await time(this.#clock)
      await this.presses('+1 min', this.#clock)
      await expect.poll(async () => passed(since, await time(this.#clock)), often).toBeGreaterThan(55)
    }
  }

  loses(): Promise<void> {
    return this.presses('Lose it', this.phone)
  }

  /** Takes a new phone in the hand; returns its name. */
  async takesAnotherPhone(): Promise<string> {
    await this.presses('Another phone', this.phone)
    await expect(this.phone.getByText('No codes yet')).toBeVisible()
    return (await this.phone.getByRole('group', { name: 'Phones' }).getByRole('button', { pressed: true }).textContent())!
  }

  takes(phone: string): Promise<void> {
    return this.presses(phone, this.phone)
  }

  /** Winds the clock of the phone in the hand, in minutes. */
  async windsPhone(minutes: number): Promise<void> {
    for (let i = 0; i < Math.abs(minutes); i++) await this.presses(minutes < 0 ? '−1 min' : '+1 min', this.phone)
    await expect(this.phone.getByText(`${Math.abs(minutes)} min ${minutes < 0 ? 'slow' : 'fast'}`)).toBeVisible()
  }

  // The sheet of paper

  /** Writes the backup code down that is on the screen, and ticks that it is saved. Without that there is no way on. */
  async saves(length: number, next: string): Promise<string> {
    await expect(this.button(next)).toBeDisabled()
    await this.presses('Write down what is shown', this.phone)
    await expect(this.phone.getByText('Written down.')).toBeVisible()
    const [code] = await this.paper()
    expect(code!.replaceAll('-', '')).toMatch(new RegExp(`^[0-9A-Z]{${length}}$`))
    await this.sees(code!)
    await this.app.getByRole('checkbox', { name: 'I have saved it' }).check()
    return code!
  }

  /** What is written on the paper, the newest first. */
  async paper(): Promise<string[]> {
    const notes = this.phone.getByTitle('Type this code into the application').getByRole('code')
    return notes.allTextContents()
  }

  /** Types a backup code, as it is written. */
  async typesFromPaper(code: string): Promise<void> {
    await this.app.getByRole('textbox', { name: /^(Backup code|Backup key|Recovery Token)$/ }).fill(code)
  }

  /** What came out of the printer last. */
  async printed(): Promise<string> {
    const handle = await this.page.waitForFunction(() => (window as unknown as { printed: string }).printed)
    return handle.jsonValue()
  }

  // Mails

  /** Opens the newest mail with such a subject, once it has come. */
  async opensMail(subject: Words): Promise<void> {
    const all = this.inbox.getByRole('button', { name: 'All mails' })
    if (await all.isVisible()) await all.click()
    await this.inbox.getByRole('button', { name: subject }).first().click()
    await expect(this.inbox.getByRole('heading', { name: subject })).toBeVisible()
  }

  /** Follows a link of the mail that is open, in a tab of its own, as from a mail program. */
  followsInNewTab(link: string): Promise<Person> {
    return this.inNewTab(() => this.inbox.getByRole('link', { name: link }).click({ modifiers: ['ControlOrMeta'] }))
  }

  /** Does what opens a tab, and goes there. */
  async inNewTab(open: () => Promise<void>): Promise<Person> {
    const opened = this.page.context().waitForEvent('page')
    await open()
    const tab = await opened
    await tab.setViewportSize({ width: 1280, height: 900 })
    return new Person(tab)
  }

  /** At the page that stands in for Persona: the check is passed, or it fails. */
  async checksIdentity(result: 'Pass' | 'Fail'): Promise<void> {
    await this.page.getByRole('button', { name: `${result} the check` }).click()
  }

  /** And back from there. */
  comesBack(): Promise<void> {
    return this.page.getByRole('link', { name: 'Continue' }).click()
  }

  // Those who help

  /** Support removes the authenticator. */
  async hasAuthenticatorRemoved(): Promise<void> {
    await this.presses('Remove the authenticator', this.desk)
    await expect(this.desk.getByText('Removed. The password alone signs in now.')).toBeVisible()
  }

  /** The console, in a reviewer's own tab. */
  async asReviewer(): Promise<Person> {
    const reviewer = await this.inNewTab(() => this.presses('Open a reviewer’s tab', this.desk))
    await reviewer.presses('Sign in as the reviewer')
    await reviewer.reads('Cases')
    return reviewer
  }
}

/** The time of day that a part of the page shows, in seconds. */
async function time(where: Locator): Promise<number> {
  const [, h, m, s] = /(\d\d):(\d\d):(\d\d)/.exec((await where.textContent())!)!
  return (Number(h) * 60 + Number(m)) * 60 + Number(s)
}

/** Seconds from one time of day to a later one. */
function passed(since: number, now: number): number {
  return (now - since + 86_400) % 86_400
}
