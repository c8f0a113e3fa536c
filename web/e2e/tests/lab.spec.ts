import { mkdirSync } from 'node:fs'

import { expect, test, type App } from '../harness/app.ts'
import { violations } from '../harness/look.ts'
import { shots } from '../harness/setup.ts'
import type { Locator, Page } from '@playwright/test'

test.setTimeout(120_000) // a visitor takes five minutes

/** The lab, and what a visitor does in it. */
class Lab {
  readonly page: Page
  readonly app: Locator
  readonly phone: Locator
  readonly inbox: Locator
  readonly desk: Locator
  readonly tour: Locator
  readonly top: Locator

  constructor(page: Page) {
    this.page = page
    this.app = page.locator('lab-application')
    this.phone = page.locator('lab-phone')
    this.inbox = page.locator('lab-inbox')
    this.desk = page.locator('lab-desk')
    this.tour = page.locator('lab-tour')
    this.top = page.locator('lab-top')
  }

  press(name: string | RegExp, where = this.app): Promise<void> {
    return where.getByRole('button', { name, exact: true }).click()
  }

  async signIn(user = 'alice'): Promise<void> {
    await this.press(user)
    await this.press('Sign in')
  }

  /** Types the phone's code, once it has changed: a minute later, by the service's clock. */
  async code(jump = true): Promise<void> {
    const digits = this.phone.locator('.digits').first()
    await expect(digits).toHaveText(/\d{3} \d{3}/)
    if (jump) {
      const before = await digits.textContent()
      await this.press('+1 min', this.top)
      await expect(digits).not.toHaveText(before!)
    }
    await this.phone.locator('.entry').first().click()
  }

  /** The three steps of a set-up, from the QR code on. */
  async setUp(): Promise<void> {
    await expect(this.app.locator('img.qr')).toBeVisible()
    await this.press('Scan', this.phone)
    await expect(this.phone.locator('.digits').first()).toHaveText(/\d{3} \d{3}/)
    await this.press('Next')
    await expect(this.app.locator('.code-shown')).toBeVisible()
    await this.press('Write down what is shown', this.phone)
    await this.app.getByRole('checkbox').check()
    await this.press('Next')
    await this.code(false)
    await this.press('Verify and Enable')
    await expect(this.app.getByText('Two-factor authentication is on')).toBeVisible()
    await this.press('Done')
  }

  async enable(): Promise<void> {
    await this.signIn()
    await this.press('Settings ▸ Security')
    await this.press('Enable')
    await this.setUp()
  }

  done(steps: number): Promise<void> {
    return expect(this.tour.locator('header')).toContainText(`${steps} of`)
  }
}

/** What sticks out of a page that scrolls sideways. */
function tooWide(): string[] {
  if (document.documentElement.scrollWidth <= innerWidth) return []
  const out = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth)
  return ['the page', ...out.map((e) => e.outerHTML.slice(0, 100))]
}

async function open(app: App, preset = 'standard', path = '/'): Promise<Lab> {
  await app.start(preset)
  await app.page.setViewportSize({ width: 1280, height: 900 })
  await app.page.goto(app.server.url + path)
  await expect(app.page, 'the pages are in the program: make dist/nightlatch').toHaveTitle('Nightlatch lab')
  return new Lab(app.page)
}

/** The whole page in light and dark, wide and narrow, against WCAG 2.2 AA and against a page that scrolls sideways. */
async function look(page: Page, id: string): Promise<void> {
  mkdirSync(shots, { recursive: true })
  for (const [name, scheme, width] of [['light', 'light', 1280], ['dark', 'dark', 1280], ['tablet', 'light', 768], ['phone', 'dark', 360], ['least', 'light', 320]] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
    await page.setViewportSize({ width, height: 900 })
    expect(await page.evaluate(tooWide), `${id} fits in ${width} pixels`).toEqual([])
    await page.screenshot({ path: `${shots}lab-${id}.${name}.png`, fullPage: true, animations: 'disabled' })
    expect(await violations(page), `${id} in ${name} against WCAG 2.2 AA`).toEqual([])
  }
  await page.setViewportSize({ width: 1280, height: 900 })
}

test('five minutes: the first half', async ({ app }) => {
  const lab = await open(app)
  await look(lab.page, 'first')
  await lab.enable()
  await lab.done(1)

  await lab.press('Sign out')
  await lab.signIn()
  await lab.code()
  await lab.press('Sign in')
  await expect(lab.app.getByText('Welcome back')).toBeVisible()
  await lab.done(2)

  await lab.press('Sign out')
  await lab.signIn()
  await lab.code(false)
  await lab.press('Sign in')
  await expect(lab.app.getByText("You've already used this code")).toBeVisible()
  await lab.done(3)

  const wire = lab.page.locator('lab-traffic')
  await wire.locator('li', { hasText: '/v1/verify 200' }).locator('summary').click()
  await lab.press('Send it again', wire)
  await expect(wire.getByText('The same answer again.')).toBeVisible()
  await lab.done(4)

  const attacks = lab.page.locator('lab-attacks')
  await lab.press('+1 min', lab.top)
  await lab.press('200 copies of one right code', attacks)
  await expect(attacks.getByText('One got in.')).toBeVisible({ timeout: 60_000 })
  await expect(attacks.locator('tr', { hasText: 'code_reused' })).toContainText('199')
  await lab.done(5)
  await lab.press('1,000 guesses at once', attacks)
  await expect(attacks.getByText('5 were compared.')).toBeVisible({ timeout: 60_000 })
  await expect(attacks.locator('tr', { hasText: 'locked' })).toContainText('995')
  await look(lab.page, 'attacked')

  await lab.press('Unlock', lab.desk)
  await expect(lab.desk.getByText('Unlocked.')).toBeVisible()
  await lab.done(7)
})

test('five minutes: the second half', async ({ app }) => {
  const lab = await open(app)
  await lab.enable()
  await lab.press('Sign out')

  // The phone is lost. The paper lets in, and another phone takes its place.
  await lab.press('Lose it', lab.phone)
  await lab.signIn()
  await lab.press('Use backup code')
  await lab.phone.locator('.note').first().click()
  await lab.press('Sign in')
  await lab.press('Write down what is shown', lab.phone)
  await lab.app.getByRole('checkbox').check()
  await lab.press('Continue')
  await lab.press('Set up new phone')
  await lab.press('Another phone', lab.phone)
  await expect(lab.app.locator('img.qr')).toBeVisible()
  await lab.press('Scan', lab.phone)
  await lab.press('Next')
  await lab.code(false)
  await lab.press('Switch to this phone')
  await lab.press('Done')
  await lab.done(3)

  // Phone and paper are gone: the link, the identity check, a reviewer, a day's wait.
  await lab.press('Sign out')
  await lab.press('Lose it', lab.phone)
  await lab.signIn()
  await lab.press('I no longer have access to my 2FA device')
  await lab.press('Send me the link')
  await lab.inbox.getByRole('button', { name: /Confirm your identity/ }).click()
  await look(lab.page, 'mail')
  await lab.inbox.getByRole('link', { name: 'Confirm your identity' }).click()
  await expect(lab.app.getByText('You continue at Persona')).toBeVisible()
  expect(lab.page.url(), 'the token is out of the address').toBe(app.server.url + '/#/reset/identity')
  await lab.press('Start')
  await lab.page.getByRole('button', { name: 'Pass the check' }).click()
  await lab.page.getByRole('link', { name: 'Continue' }).click()
  await expect(lab.app.getByText("We're reviewing your case")).toBeVisible()

  const [tab] = await Promise.all([lab.page.context().waitForEvent('page'), lab.desk.getByRole('link', { name: 'Open a reviewer’s tab' }).click()])
  await tab.setViewportSize({ width: 1280, height: 900 })
  const reviewer = new Lab(tab)
  await reviewer.press('Sign in as the reviewer')
  await reviewer.app.locator('nightlatch-review').getByText(/R-\w{4}/).first().click()
  await reviewer.press('Approve')
  await look(tab, 'review')
  const reference = /R-\w{4}/.exec(await reviewer.app.getByRole('heading', { name: /^Case/ }).innerText())![0]
  await reviewer.app.getByRole('checkbox').check()
  await reviewer.app.getByLabel(`Type ${reference} to approve`).fill(reference)
  await reviewer.press('Confirm')
  await expect(reviewer.app.getByText('Approved. The link is mailed as soon as it takes effect.')).toBeVisible()
  await tab.close()

  await lab.press('+24 h', lab.top)
  await lab.inbox.getByRole('button', { name: /You can sign in again/ }).click()
  await lab.inbox.getByRole('link', { name: 'Sign in' }).click()
  await expect(lab.app.getByText('You can sign in again')).toBeVisible()
  await lab.press('Sign in')
  await expect(lab.app.getByText('The link from the mail is ready.')).toBeVisible()
  await lab.signIn()
  await lab.press('Sign in')
  await lab.done(8)
})

test('another policy, another ending, and other words', async ({ app }) => {
  const lab = await open(app)
  await lab.top.getByText('miaxdx').click()
  await expect(lab.tour.getByText('The help page of MIAXdx')).toBeVisible()
  await lab.signIn()
  await expect(lab.app.getByText('Set up two-factor authentication to continue')).toBeVisible()
  await lab.press('Start')
  await lab.setUp()
  await lab.done(1)

  await lab.page.locator('lab-top select').selectOption('de')
  await lab.press('Sign out')
  await lab.press('−1 min', lab.phone)
  for (let i = 0; i < 3; i++) await lab.press('−1 min', lab.phone)
  await lab.signIn()
  await lab.code()
  await lab.press('Anmelden')
  await expect(lab.app.getByText('Automatisch').first()).toBeVisible()
  await lab.press('Automatic', lab.phone)
})

test('what was under way goes on after a reload', async ({ app }) => {
  const lab = await open(app)
  await lab.enable()
  await lab.press('Sign out')
  await lab.signIn()
  await expect(lab.app.getByText('Enter your 6-digit code')).toBeVisible()
  await lab.page.reload()
  await lab.code()
  await lab.press('Sign in')
  await expect(lab.app.getByText('Welcome back')).toBeVisible()
  await lab.page.reload()
  await expect(lab.app.getByText('Welcome back')).toBeVisible()
})

test('the page runs no script but its own', async ({ app }) => {
  const lab = await open(app)
  const tried = await lab.page.evaluate(() => {
    const refused: string[] = []
    try {
      document.body.insertAdjacentHTML('beforeend', '<img src=x>')
    } catch {
      refused.push('markup')
    }
    try {
      document.body.append(Object.assign(document.createElement('script'), { text: '1' }))
    } catch {
      refused.push('script')
    }
    try {
      ;(window as any).trustedTypes.createPolicy('mine', {})
    } catch {
      refused.push('policy')
    }
    return refused
  })
  expect(tried).toEqual(['markup', 'script', 'policy'])
  await expect.poll(() => app.complaints.length).toBeGreaterThanOrEqual(2)
  app.complaints.length = 0
})
