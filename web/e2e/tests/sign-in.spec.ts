import type { Locator, Route } from '@playwright/test'

import { alice, expect, test, type App } from '../harness/app.ts'
import { Phone } from '../harness/phone.ts'
import { decide, identityCheck, inReview, lostDevice, reviewing } from '../harness/recovery.ts'

const button = (on: Locator, name: string) => on.getByRole('button', { name, exact: true })
const heading = (on: Locator, name: string | RegExp) => on.getByRole('heading', { name, level: 2 })
const codeField = (on: Locator) => on.getByRole('textbox', { name: '6-digit code' })
const noWayIn = 'I no longer have access to my 2FA device'

/** A user with 2FA at the second step of a sign-in. */
async function asked(app: App, preset = 'standard', settings = {}): Promise<Locator> {
  await app.start(preset, settings)
  await app.enable()
  return app.signIn()
}

/** At the field for the backup code. */
async function backup(app: App, preset = 'standard', word = 'backup code', settings = {}): Promise<Locator> {
  const element = await asked(app, preset, settings)
  await button(element, `Use ${word}`).click()
  await expect(heading(element, `Enter your ${word}`)).toBeVisible()
  return element
}

/** Signs in with the backup code. */
async function useBackup(app: App, preset?: string, word?: string): Promise<Locator> {
  const element = await backup(app, preset, word)
  await element.getByRole('textbox').fill(app.backupCode)
  await button(element, 'Sign in').click()
  return element
}

/** A code that was never used. */
async function fresh(app: App): Promise<string> {
  await app.wind(60)
  return app.phone.fresh()
}

async function enter(element: Locator, code: string, send = 'Sign in'): Promise<void> {
  await codeField(element).fill(code)
  await button(element, send).click()
}

/** What the end of the sign-in has told, once it has. */
async function signedIn(app: App): Promise<any> {
  await expect.poll(async () => (await app.events()).some((e) => e.type === 'nightlatch-signed-in')).toBe(true)
  return (await app.events()).find((e) => e.type === 'nightlatch-signed-in')!.detail
}

/** The host's session has begun, and the page knows: a reload before that would lose the host's only answer. */
const opened = (app: App) => expect.poll(() => app.page.evaluate(() => JSON.parse(sessionStorage.getItem('nightlatch.sign-in') ?? '{}').opened)).toBe(true)

/** Has requests to a path answered otherwise. */
async function instead(app: App, path: string, answer: (route: Route) => unknown): Promise<() => Promise<void>> {
  await app.page.route(`**${path}`, (route) => answer(route))
  return () => app.page.unroute(`**${path}`)
}

/** The answer is lost after the service has decided. */
const lost = async (route: Route) => { await route.fetch(); await route.abort() }
const unreachable = (on: Locator) => on.getByRole('alert').filter({ hasText: "We can't reach the service." })

/** A backup code was sent, and nothing was heard of it. */
async function unheard(app: App, preset: string, answer: (route: Route) => unknown): Promise<Locator> {
  const element = await backup(app, preset)
  const restore = await instead(app, '/v1/verify', answer)
  await element.getByRole('textbox').fill(app.backupCode)
  await button(element, 'Sign in').click()
  await expect(unreachable(element)).toBeVisible()
  await restore()
  return element
}

/** A set-up that is demanded was confirmed, and nothing was heard of it. */
async function unheardSetUp(app: App): Promise<Locator> {
  await app.start('midphase', { enforcement: 'required' })
  const element = await app.signIn()
  await button(element, 'Start').click()
  app.phone = await app.scan()
  await button(element, 'Continue').click()
  const restore = await instead(app, '/v1/verify/enroll/confirm', lost)
  await enter(element, app.phone.fresh(), 'Check')
  await expect(unreachable(element)).toBeVisible()
  await restore()
  return element
}

/** Another backup code, which is wrong. */
async function retype(app: App, element: Locator): Promise<void> {
  await element.getByRole('textbox').fill(app.backupCode.replace(/^./, (c) => (c === '7' ? '8' : '7')))
  await button(element, 'Sign in').click()
}

const busy = (route: Route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ status: 503, code: 'unavailable', title: '', detail: '' }) })

test.describe('the code', () => {
  test('L1: a code, with spaces, signs in; nothing is kept', async ({ app }) => {
    const element = await asked(app)
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    await expect(codeField(element)).toBeFocused()
    await expect(codeField(element)).toHaveAttribute('autocomplete', 'one-time-code')
    await expect(codeField(element)).toHaveAttribute('inputmode', 'numeric')
    await expect(element.getByText(`Open your authenticator app and find “Nightlatch Demo (${alice})”.`)).toBeVisible()
    await app.look('L1')
    const code = await fresh(app)
    await codeField(element).fill(`${code.slice(0, 3)} ${code.slice(3)}`)
    await button(element, 'Sign in').dblclick()
    const detail = await signedIn(app)
    expect(detail).toMatchObject({ state: 'enabled', method: 'totp' })
    expect(detail.session).toMatch(/^ey/)
    expect((await app.events()).filter((e) => e.type === 'nightlatch-signed-in')).toHaveLength(1)
    expect(await app.kept()).toEqual([])
  })

  test('L1: Not you? Start over', async ({ app }) => {
    const element = await asked(app)
    await button(element, 'Not you? Start over').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
    expect(await app.kept()).toEqual([])
  })

  test('L1: a backup code in the field for the code is offered, and never sent by itself', async ({ app }) => {
    const element = await asked(app)
    const sent: string[] = []
    app.page.on('request', (r) => r.url().endsWith('/v1/verify') && sent.push(r.postData()!))
    await codeField(element).fill(app.backupCode.toLowerCase())
    await expect(element.getByText('That looks like your backup code. Use it?')).toBeVisible()
    await app.look('L1-looks-like-code')
    await codeField(element).press('Enter')
    await expect(button(element, 'Use it')).toBeFocused()
    expect(sent).toEqual([])
    await button(element, 'Use it').click()
    await expect(heading(element, 'Enter your backup code')).toBeVisible()
    await expect(element.getByRole('textbox')).toHaveValue(app.backupCode.toLowerCase())
    expect(sent).toEqual([])
  })

  for (const preset of ['standard', 'mirox']) {
    // A backup code of mirox has 8 characters, too.
    test(`L1: the 8 digits of an imported authenticator sign in under ${preset}`, async ({ app }) => {
      await app.start(preset)
      const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
      app.phone = new Phone(secret, () => app.server.now(), 'sha256', 8)
      const done = await app.server.import(alice, { secret, algorithm: 'SHA256', digits: 8 })
      expect(done.state).toBe('enabled')
      await app.wind(120) // the first code that counts is three periods later
      const session = await app.session()
      await app.wind(60)
      const made = await app.server.ask('POST', '/v1/backup-code', { code: app.phone.fresh() }, session)
      expect(made.backup_code).toBeTruthy()

      const element = await app.signIn()
      await expect(button(element, 'Use backup code')).toBeVisible()
      const notice = element.getByText('That looks like your backup code. Use it?')
      await codeField(element).fill(app.phone.wrong())
      await expect(notice).toHaveCount(0)
      await codeField(element).press('Enter')
      await expect(element.getByText("That code didn't work")).toBeVisible()
      await expect(notice).toHaveCount(preset === 'mirox' ? 1 : 0)
      await codeField(element).press('Enter') // the question holds nothing back
      await expect(element.getByText(/3 tries left/)).toBeVisible()
      const code = await fresh(app)
      await codeField(element).fill(`${code.slice(0, 4)} ${code.slice(4)}`)
      await expect(notice).toHaveCount(0)
      await button(element, 'Try again').click()
      expect(await signedIn(app)).toMatchObject({ method: 'totp' })
    })
  }

  test('L1: where there is no reset, support', async ({ app }) => {
    const element = await asked(app, 'mirox')
    const support = element.getByRole('link', { name: 'Contact support' })
    await expect(support).toHaveAttribute('href', 'mailto:support@example.com')
    await app.page.evaluate(() => document.addEventListener('nightlatch-support', (event) => event.preventDefault()))
    await support.click()
    expect(await app.events()).toEqual([{ type: 'nightlatch-support', detail: { support: 'support@example.com' } }])
  })

  test('L1a: wrong, and the second time the hint about the clock', async ({ app }) => {
    const element = await asked(app)
    await enter(element, app.phone.wrong())
    await expect(element.getByText("That code didn't work")).toBeVisible()
    await expect(element.getByRole('alert').filter({ hasText: '4 tries left before a short pause.' })).toBeVisible()
    await expect(element.getByText('Still refused?')).toHaveCount(0)
    await expect(codeField(element)).toBeFocused()
    await enter(element, app.phone.wrong(), 'Try again')
    await expect(element.getByText(/3 tries left before a short pause\. Still refused\? Set your phone's date and time to Automatic\./)).toBeVisible()
    await app.look('L1a')
    await enter(element, await fresh(app), 'Try again')
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
  })

  test('L1a: too few digits cost nothing', async ({ app }) => {
    const element = await asked(app)
    await enter(element, '12345')
    await expect(element.getByText('Enter all 6 digits.')).toBeVisible()
    await enter(element, app.phone.wrong())
    await expect(element.getByText(/4 tries left/)).toBeVisible()
  })

  test('L1b: used, off until the next one', async ({ app }) => {
    await app.start()
    await app.enable()
    const code = await fresh(app)
    const offer = await app.login()
    await app.server.ask('POST', '/v1/verify', { challenge: offer.challenge, method: 'totp', code })
    const element = await app.signIn()
    await enter(element, code)
    await expect(element.getByText("You've already used this code")).toBeVisible()
    await expect(element.locator('p:visible').filter({ hasText: /Your next one appears in \d+ s\./ })).toBeVisible()
    await expect(button(element, 'Sign in')).toHaveAttribute('aria-disabled', 'true')
    await app.look('L1b')
    await app.wind(60)
    await expect(element.locator('p', { hasText: 'Enter the one that your app shows now.' })).toBeVisible()
    await enter(element, app.phone.fresh())
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
  })

  test('L1c: too late', async ({ app }) => {
    const element = await asked(app)
    await app.wind(11 * 60)
    await enter(element, app.phone.fresh())
    await expect(heading(element, 'That took too long')).toBeFocused()
    await app.look('L1c')
    expect(await app.kept()).toEqual([])
    await button(element, 'Back to sign-in').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
  })

  test('L1d: the same challenge and the same code again', async ({ app }) => {
    const element = await asked(app)
    const sent: string[] = []
    const restore = await instead(app, '/v1/verify', (route) => { sent.push(route.request().postData()!); return busy(route) })
    await enter(element, await fresh(app))
    await expect(element.getByText("We can't check codes right now")).toBeVisible()
    await expect(element.getByRole('button', { name: 'Try again' })).toHaveCount(1)
    await app.look('L1d')
    await restore()
    app.page.on('request', (r) => r.url().endsWith('/v1/verify') && sent.push(r.postData()!))
    await element.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
    expect(new Set(sent).size).toBe(1)
  })

  test('C1: the clock of the phone is off', async ({ app }) => {
    const element = await asked(app)
    await app.wind(600)
    app.phone.drift = -240
    const again = await app.signIn()
    await enter(again, app.phone.code())
    await expect(element.getByText("Your phone's clock is 4 minutes slow")).toBeVisible()
    await element.getByText('How?').click()
    await expect(element.getByText('iPhone: Settings')).toBeVisible()
    await app.look('C1')
    app.phone.drift = 0
    await enter(again, app.phone.fresh(), 'Try again')
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
  })

  test('X1: locked with the last wrong code; it lifts by itself', async ({ app }) => {
    const element = await asked(app)
    for (let i = 0; i < 5; i++) {
      await codeField(element).fill(app.phone.wrong())
      await codeField(element).press('Enter')
      if (i < 4) await expect(element.getByText(new RegExp(`${4 - i} (try|tries) left`))).toBeVisible()
    }
    await expect(heading(element, 'Too many wrong codes')).toBeFocused()
    await expect(element.getByText(/No codes from your app are accepted until \d\d:\d\d \(in (1 min|\d+ sec)\), not even right ones\./)).toBeVisible()
    await expect(element.getByRole('timer')).toContainText(/You can try again in (1:00|0:\d\d)\./)
    await app.look('X1')
    await button(element, 'Change password').click()
    expect((await app.events()).map((e) => e.type)).toContain('nightlatch-change-password')
    await app.page.reload()
    await expect(heading(element, 'Too many wrong codes')).toBeVisible()
    await app.wind(61)
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    await expect(element.getByText('You can try again now.')).toBeVisible()
    await enter(element, app.phone.fresh())
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
  })

  test('X1: locked before, and the backup code works all the same', async ({ app }) => {
    await app.start()
    await app.enable()
    const session = await app.session(alice)
    for (let i = 0; i < 5; i++) await app.server.ask('POST', '/v1/check', { code: app.phone.wrong() }, session)
    const element = await app.signIn()
    await expect(heading(element, 'Too many wrong codes')).toBeVisible()
    await button(element, 'Use backup code').click()
    await element.getByRole('textbox').fill(app.backupCode)
    await button(element, 'Sign in').click()
    await expect(heading(element, 'Save your new backup code')).toBeVisible()
  })

  test('X2: suspended', async ({ app }) => {
    const element = await asked(app, 'standard', { max_failures: 2, monthly_failures: 2 })
    await enter(element, app.phone.wrong())
    await enter(element, app.phone.wrong(), 'Try again')
    await expect(heading(element, 'App codes are switched off')).toBeFocused()
    await app.look('X2')
    await app.signIn()
    await expect(heading(element, 'App codes are switched off')).toBeVisible()
    await button(element, noWayIn).click()
    await expect(heading(element, 'Get back in without your phone')).toBeVisible()
    await button(element, 'Back').click()
    await button(element, 'Use backup code').click()
    await expect(heading(element, 'Enter your backup code')).toBeVisible()
  })
})

test.describe('the backup code', () => {
  for (const [preset, word, says] of [
    ['standard', 'backup code', 'It works once; you get a new one at once.'],
    ['mirox', 'backup code', 'This signs you in and turns two-factor authentication off, so that you can set it up again.'],
    ['midphase', 'Recovery Token', 'It works once; you create a new one afterwards.'],
  ] as const) {
    test(`B1: ${preset}`, async ({ app }) => {
      const element = await backup(app, preset, word)
      await expect(element.getByText(says)).toBeVisible()
      await expect(element.getByRole('textbox')).toBeFocused()
      await app.look(`B1-${preset}`)
      await button(element, 'Use an app code instead').click()
      await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    })
  }

  test('B1: a newer service has another use for it', async ({ app }) => {
    await app.start()
    await app.enable()
    const offer = await app.login()
    const element = await app.signIn({ offer: { ...offer, policy: { ...offer.policy, backup_use: 'as_never_before' } } })
    await button(element, 'Use backup code').click()
    await expect(heading(element, 'Enter your backup code')).toBeVisible()
    await expect(element.getByRole('textbox')).toBeFocused()
  })

  test('B1a: wrong, until a pause', async ({ app }) => {
    const element = await backup(app)
    const wrong = app.backupCode.replace(/^./, (c) => (c === '7' ? '8' : '7'))
    await element.getByRole('textbox').fill(wrong)
    await button(element, 'Sign in').click()
    await expect(element.getByText("That backup code isn't right")).toBeVisible()
    await expect(element.getByText(/Check you have the newest one: .* 4 tries left\./)).toBeVisible()
    await expect(button(element, noWayIn)).toBeVisible()
    await app.look('B1a')
    expect(JSON.stringify(await app.page.evaluate(() => ({ ...sessionStorage })))).not.toContain(wrong)
    for (let i = 0; i < 4; i++) {
      await element.getByRole('textbox').press('Enter')
      if (i < 3) await expect(element.getByText(new RegExp(`${3 - i} (try|tries) left`))).toBeVisible()
    }
    await expect(heading(element, 'Too many wrong codes')).toBeVisible()
    await expect(element.getByText(/No backup code is accepted until/)).toBeVisible()
    await app.wind(61)
    await expect(heading(element, 'Enter your backup code')).toBeVisible()
    await element.getByRole('textbox').fill(app.backupCode)
    await button(element, 'Sign in').click()
    await expect(heading(element, 'Save your new backup code')).toBeVisible()
  })

  for (const [preset, word] of [['standard', 'backup code'], ['miaxdx', 'backup key']] as const) {
    test(`B2 ${preset}: the new code, the host's session before it is saved, and B3`, async ({ app }) => {
      const element = await useBackup(app, preset, word)
      await expect(heading(element, `Save your new ${word}`)).toBeFocused()
      const code = await element.locator('.code-shown').textContent()
      expect(code).not.toBe(app.backupCode)
      await expect(button(element, 'Continue')).toHaveAttribute('aria-disabled', 'true')
      await expect.poll(() => app.page.evaluate(() => JSON.parse(sessionStorage.getItem('nightlatch.sign-in')!).opened)).toBe(true)
      await app.look(`B2-${preset}`)
      await element.getByRole('checkbox').check()
      await button(element, 'Continue').click()
      await expect(heading(element, 'Is your old phone gone?')).toBeFocused()
      expect(JSON.stringify(await app.page.evaluate(() => ({ ...sessionStorage })))).not.toContain(app.backupCode)
      await app.look(`B3-${preset}`)
      await button(element, 'I still have my phone').click()
      const detail = await signedIn(app)
      expect(detail).toMatchObject({ state: 'enabled', method: 'backup_code' })
      expect(detail.grant).toBeTruthy()
      // It has been answered what the grant is for: the card that gets it does not ask again.
      expect(await app.kept()).toEqual(['nightlatch.card.grant'])
      const card = await app.mount('nightlatch-security-card', { session: detail.session, grant: detail.grant })
      await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
    })
  }

  test('B3: a new phone without a code of the old one', async ({ app }) => {
    const element = await useBackup(app)
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    await button(element, 'Set up new phone').click()
    await expect(heading(element, /Scan with your new phone/)).toBeFocused()
    await expect(element.getByText('When you finish, the codes of your old phone stop working.')).toBeVisible()
    await expect(element).not.toContainText('still works')
    await app.look('B3-P2')
    app.phone = await app.scan()
    await button(element, 'Next').click()
    await expect(element.getByText('When you finish, the codes of your old phone stop working.')).toBeVisible()
    await enter(element, app.phone.fresh(), 'Switch to this phone')
    await expect(heading(element, 'Your new phone is active')).toBeFocused()
    await expect(element).not.toContainText('delete that entry')
    await app.look('B3-P4')
    await button(element, 'Done').click()
    const detail = await signedIn(app)
    expect(detail.grant).toBeUndefined()
    expect((await app.server.ask('POST', '/v1/check', { code: await fresh(app) }, detail.session)).valid).toBe(true)
  })

  test('B2 mirox: off, and set up again at once', async ({ app }) => {
    const element = await useBackup(app, 'mirox')
    await expect(heading(element, "You're in. Two-factor authentication is off")).toBeFocused()
    await app.look('B2-mirox')
    await button(element, 'Set up now').click()
    await expect(heading(element, /Scan the QR code/)).toBeFocused()
    app.phone = await app.scan()
    await button(element, 'Next').click()
    await element.getByRole('checkbox').check()
    await button(element, 'Next').click()
    await enter(element, app.phone.fresh(), 'Verify and Enable')
    await expect(heading(element, 'Two-factor authentication is on')).toBeFocused()
    await button(element, 'Done').click()
    expect(await signedIn(app)).toMatchObject({ state: 'enabled', method: 'backup_code' })
  })

  test('B2 mirox: later', async ({ app }) => {
    const element = await useBackup(app, 'mirox')
    await button(element, 'Later').click()
    expect(await signedIn(app)).toMatchObject({ state: 'disabled', method: 'backup_code' })
  })

  test('B2 midphase: a new token, with the grant', async ({ app }) => {
    const element = await useBackup(app, 'midphase', 'Recovery Token')
    await expect(heading(element, "You're in. You have no Recovery Token now")).toBeFocused()
    await app.look('B2-midphase')
    await button(element, 'Create Recovery Token').click()
    await expect(heading(element, 'Create your Recovery Token')).toBeFocused()
    await expect(element.locator('.code-shown')).toHaveText(/^[0-9A-Z-]{8,}$/)
    await app.look('B2-E5')
    await element.getByRole('checkbox').check()
    await button(element, 'Finish').click()
    const detail = await signedIn(app)
    expect(detail).toMatchObject({ state: 'enabled', method: 'backup_code' })
    expect(detail.grant).toBeUndefined()
  })

  test('B2 midphase: a new phone, and its token', async ({ app }) => {
    const element = await useBackup(app, 'midphase', 'Recovery Token')
    await button(element, 'Set up new phone').click()
    await expect(heading(element, /Scan with your new phone/)).toBeFocused()
    app.phone = await app.scan()
    await button(element, 'Continue').click()
    await enter(element, app.phone.fresh(), 'Switch to this phone')
    await expect(heading(element, /Create your Recovery Token/)).toBeFocused()
    await element.getByRole('checkbox').check()
    await button(element, 'Finish').click()
    await expect(heading(element, 'Your new phone is active')).toBeFocused()
    await expect(element.getByText('unchanged')).toHaveCount(0)
    await button(element, 'OK').click()
    expect(await signedIn(app)).toMatchObject({ state: 'enabled' })
  })

  test('B2 midphase: later, and the application has the grant', async ({ app }) => {
    const element = await useBackup(app, 'midphase', 'Recovery Token')
    await button(element, 'Later').click()
    const { session, grant } = await signedIn(app)
    expect(grant).toBeTruthy()
    const card = await app.mount('nightlatch-security-card', { session, grant })
    await expect(card.getByText('You have no Recovery Token.')).toBeVisible()
    await button(card, 'Create Recovery Token').click() // with the grant: no code is asked for
    await button(card, 'Create').click()
    await expect(heading(card, 'Create your Recovery Token')).toBeFocused()
    await expect(card.locator('.code-shown')).toBeVisible()
  })
})

test.describe('set-up inside the sign-in', () => {
  test('E0r: to the end', async ({ app }) => {
    await app.start('miaxdx')
    const element = await app.signIn()
    await expect(heading(element, 'Set up two-factor authentication to continue')).toBeVisible()
    await app.look('E0r')
    await button(element, 'Start').click()
    await expect(heading(element, /Scan the QR code/)).toBeFocused()
    app.phone = await app.scan()
    await button(element, 'Next').click()
    await element.getByRole('checkbox').check()
    await button(element, 'Next').click()
    await enter(element, app.phone.fresh(), 'Verify and Enable')
    await expect(heading(element, 'Two-factor authentication is on')).toBeFocused()
    expect(await app.events()).toEqual([])
    await button(element, 'Done').click()
    expect(await signedIn(app)).toMatchObject({ state: 'enabled', method: 'totp' })
    expect(await app.kept()).toEqual([])
  })

  test('E0r: sign out', async ({ app }) => {
    await app.start('miaxdx')
    const element = await app.signIn()
    await button(element, 'Sign out').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
  })

  test('E0r: a reload shows the same key and the same code', async ({ app }) => {
    await app.start('miaxdx')
    const element = await app.signIn()
    await button(element, 'Start').click()
    const key = await element.locator('.key').textContent()
    await app.page.reload()
    await expect(element.locator('.key')).toHaveText(key!)
    await button(element, 'Next').click()
    const code = await element.locator('.code-shown').textContent()
    await app.page.reload()
    await expect(element.locator('.code-shown')).toHaveText(code!)
  })

  test('E0r: the challenge is too old', async ({ app }) => {
    await app.start('miaxdx')
    const element = await app.signIn()
    await button(element, 'Start').click()
    app.phone = await app.scan()
    await button(element, 'Next').click()
    await element.getByRole('checkbox').check()
    await button(element, 'Next').click()
    await app.wind(11 * 60)
    await enter(element, app.phone.fresh(), 'Verify and Enable')
    await expect(heading(element, 'This set-up has expired')).toBeFocused()
    await expect(element.getByText(/Throw away the backup key you saved/)).toBeVisible()
    await app.look('E0r-expired')
    await button(element, 'Back to sign-in').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
  })

  test('E0r: the answer to the confirmation is lost, then canceled: it is on, and its token is shown', async ({ app }) => {
    const element = await unheardSetUp(app)
    await button(element, 'Back').click()
    await button(element, 'Cancel').click()
    await expect(heading(element, 'Congratulations!')).toBeVisible()
    await button(element, 'OK').click()
    await expect(element.locator('.code-shown')).toBeVisible()
  })

  test('E0r: the code after the confirmation outlives a lost answer and a reload', async ({ app }) => {
    const element = await unheardSetUp(app)
    await app.page.reload()
    await expect(heading(element, 'Congratulations!')).toBeVisible()
    await button(element, 'OK').click()
    const code = await element.locator('.code-shown').textContent()
    await opened(app)
    await app.page.reload()
    await expect(element.locator('.code-shown')).toHaveText(code!)
    await element.getByRole('checkbox').check()
    await button(element, 'Finish').click()
    expect(await signedIn(app)).toMatchObject({ state: 'enabled' })
  })
})

test.describe('a reset', () => {
  test('R1, R2: asked for, sent again after two minutes, and support', async ({ app }) => {
    const element = await asked(app)
    await button(element, noWayIn).click()
    await expect(heading(element, 'Get back in without your phone')).toBeFocused()
    await expect(element.getByText('after a safety wait of 24 hours')).toBeVisible()
    await expect(element.getByText('a•••e@example.com').or(element.getByText(/•••@example\.com/))).toBeVisible()
    await app.look('R1')
    await button(element, 'I found my backup code').click()
    await expect(heading(element, 'Enter your backup code')).toBeVisible()
    await button(element, noWayIn).click()
    await button(element, 'Send me the link').dblclick()
    await expect(heading(element, 'Check your email')).toBeFocused()
    await expect(element.getByText(/Your case: R-[0-9A-Z]{4}/)).toBeVisible()
    await expect(element.getByRole('button', { name: /Send again \(in [12]:\d\d\)/ })).toHaveAttribute('aria-disabled', 'true')
    await app.server.mail(/Confirm your identity/, alice)
    await app.look('R2')
    await app.page.reload()
    await expect(element.getByRole('button', { name: /Send again \(in/ })).toBeVisible()
    await app.wind(121)
    await button(element, 'Send again').click()
    await expect(element.getByText('Sent again.')).toBeVisible()
    await expect.poll(async () => (await app.server.ask('GET', '/dev/mail.json')).filter((m: any) => /Confirm your identity/.test(m.subject)).length).toBe(2)
    await button(element, "I can't reach that mailbox").click()
    await app.look('R2-no-mailbox')
    await button(element, 'Back to sign-in').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
  })

  test('R1 miaxdx: no wait', async ({ app }) => {
    const element = await asked(app, 'miaxdx')
    await button(element, noWayIn).click()
    await expect(element.getByText('We mail you when you can sign in.')).toBeVisible()
  })

  test('R5: not done yet', async ({ app }) => {
    await app.start()
    await app.enable()
    await lostDevice(app)
    const element = await app.signIn()
    await expect(heading(element, 'Your reset is under way')).toBeVisible()
    await expect(element.getByText('Identity check not done yet')).toBeVisible()
    await app.look('R5-identity')
    await app.wind(121)
    await button(element, 'Send link again').click()
    await expect(heading(element, 'Check your email')).toBeFocused()
    await app.signIn()
    await button(element, 'Enter a code').click()
    await enter(element, await fresh(app))
    await signedIn(app)
    await app.server.mail(/was canceled/, alice)
  })

  test('R5: in review, approved, ready', async ({ app }) => {
    await app.start()
    await app.enable()
    const { id } = await inReview(app)
    let element = await app.signIn()
    await expect(element.getByText(/In review since/)).toBeVisible()
    await expect(element.getByRole('button', { name: /Send/ })).toHaveCount(0)
    await app.look('R5-review')
    const { session } = await reviewing(app)
    await decide(app, session, id, { decision: 'approve', identity_matches: true })
    element = await app.signIn()
    await expect(element.getByText(/Approved: we mail you the link on/)).toBeVisible()
    await app.look('R5-approved')
    await app.wind(25 * 3600)
    await app.server.mail(/You can sign in again/, alice)
    element = await app.signIn()
    await expect(element.getByText(/Approved: the link to sign in is in your mailbox/)).toBeVisible()
    await app.look('R5-ready')
  })

  test('R6 optional: the link turns it off', async ({ app }) => {
    await app.start('standard')
    await app.enable()
    const token = await ready(app)
    const element = await app.signIn({ resetToken: token })
    await expect(heading(element, 'You can sign in again')).toBeVisible()
    await expect(element.getByText('This sign-in turns two-factor authentication off.')).toBeVisible()
    await app.look('R6-optional')
    await button(element, 'Sign in').click()
    expect(await signedIn(app)).toMatchObject({ state: 'disabled', method: 'reset_link' })
  })

  test('R6 required: on into the set-up of the new phone, over reloads', async ({ app }) => {
    await app.start('miaxdx')
    await app.enable()
    const token = await ready(app)
    const element = await app.signIn({ resetToken: token })
    await expect(element.getByText('Set up your new phone now; the old one stops counting when the new one works.')).toBeVisible()
    await app.look('R6-required')
    await app.page.reload()
    await button(element, 'Sign in').click()
    await expect(heading(element, /Scan the QR code/)).toBeFocused()
    const key = await element.locator('.key').textContent()
    await app.page.reload()
    await expect(element.locator('.key')).toHaveText(key!)
    app.phone = await app.scan()
    await button(element, 'Next').click()
    await element.getByRole('checkbox').check()
    await button(element, 'Next').click()
    await enter(element, app.phone.fresh(), 'Verify and Enable')
    await button(element, 'Done').click()
    expect(await signedIn(app)).toMatchObject({ state: 'enabled', method: 'reset_link' })
    await app.server.mail(/was reset/, alice)
  })

  test('R10: a link that no longer signs in', async ({ app }) => {
    await app.start('standard')
    await app.enable()
    const token = await ready(app)
    const cancel = app.server.link(await app.server.mail(/You can sign in again/, alice), 'cancel')
    const element = await app.signIn({ resetToken: token })
    await app.server.ask('POST', '/v1/reset/cancel', { token: cancel })
    await button(element, 'Sign in').click()
    await expect(heading(element, 'This link no longer works')).toBeFocused()
    await app.look('R10-sign-in')
    await button(element, 'Go to sign-in').click()
    await app.signIn({ resetToken: token })
    await expect(heading(element, 'This link no longer works')).toBeVisible()
    await button(element, 'Go to sign-in').click()
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
  })

  test('R7: denied', async ({ app }) => {
    await app.start()
    await app.enable()
    const { id, reference } = await inReview(app)
    const { session } = await reviewing(app)
    await decide(app, session, id, { decision: 'deny', reason_code: 'document_unreadable' })
    const element = await app.signIn()
    await button(element, noWayIn).click()
    await expect(heading(element, 'We could not approve your reset')).toBeFocused()
    await expect(element.getByText('The ID could not be read.')).toBeVisible()
    await expect(element.getByText(`Quote ${reference}.`)).toBeVisible()
    await app.look('R7')
    await button(element, 'Start again').click()
    await expect(heading(element, 'Get back in without your phone')).toBeVisible()
  })

  test('I1, I2: the identity check fails, and fails for the last time', async ({ app }) => {
    await app.start()
    await app.enable()
    await lostDevice(app)
    await identityCheck(app, 'fail')
    await app.server.mail(/couldn't verify your ID \(2/, alice)
    let element = await app.signIn()
    await expect(heading(element, "We couldn't verify your ID")).toBeVisible()
    await expect(element.getByText('2 of 3 tries left.')).toBeVisible()
    await app.look('I1')
    await button(element, 'Try again').click()
    await expect(heading(element, 'Check your email')).toBeVisible()
    await identityCheck(app, 'fail')
    await app.server.mail(/couldn't verify your ID \(1/, alice)
    await identityCheck(app, 'fail')
    await expect.poll(async () => (await app.login()).reset.state).toBe('expired')
    element = await app.signIn()
    await button(element, noWayIn).click()
    await expect(heading(element, "We couldn't verify your ID online")).toBeFocused()
    await app.look('I2')
    await button(element, 'Back').click()
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
  })
})

/** A reset whose link signs in. */
async function ready(app: App): Promise<string> {
  const { id } = await inReview(app)
  const { session } = await reviewing(app)
  await decide(app, session, id, { decision: 'approve', identity_matches: true })
  await app.wind(25 * 3600)
  return app.server.link(await app.server.mail(/You can sign in again/, alice), 'sign_in')
}

test.describe('what can go wrong on the way', () => {
  test('the answer to a backup code is lost: the reload has the same new code', async ({ app }) => {
    const element = await unheard(app, 'standard', lost)
    await app.page.reload()
    await expect(heading(element, 'Save your new backup code')).toBeVisible()
    const code = await element.locator('.code-shown').textContent()
    await opened(app)
    await app.page.reload()
    await expect(element.locator('.code-shown')).toHaveText(code!)
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    expect(await signedIn(app)).toMatchObject({ state: 'enabled', method: 'backup_code' })
    expect(await app.kept()).toEqual([])
  })

  test("the host's answer is lost with the page: the new code is there until it is saved, then the password again", async ({ app }) => {
    const element = await backup(app)
    const redeemed = new Promise<void>((done) => void instead(app, '/demo/session', async (route) => {
      await route.fetch()
      done()
    }))
    await element.getByRole('textbox').fill(app.backupCode)
    await button(element, 'Sign in').click()
    const code = await element.locator('.code-shown').textContent()
    await redeemed
    await app.page.unroute('**/demo/session')
    await app.page.reload()
    await expect(element.locator('.code-shown')).toHaveText(code!)
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    await expect(heading(element, 'That took too long')).toBeVisible()
    await button(element, 'Back to sign-in').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
    expect(await app.kept()).toEqual([])
  })

  for (const [way, turn] of Object.entries({
    'a code of the app': async (app: App, element: Locator) => {
      await button(element, 'Use an app code instead').click()
      await enter(element, app.phone.wrong())
    },
    'another backup code': (app: App, element: Locator) => retype(app, element),
    'the link': async (_app: App, element: Locator) => {
      await button(element, noWayIn).click()
      await button(element, 'Send me the link').click()
    },
    'starting over': (_app: App, element: Locator) => button(element, 'Not you? Start over').click(),
  })) {
    test(`the answer to a backup code is lost, then ${way}: the new code is shown`, async ({ app }) => {
      const element = await unheard(app, 'standard', lost)
      await turn(app, element)
      await expect(heading(element, 'Save your new backup code')).toBeVisible()
      const code = (await element.locator('.code-shown').textContent())!
      await element.getByRole('checkbox').check()
      await button(element, 'Continue').click()
      await button(element, 'I still have my phone').click()
      expect(await signedIn(app)).toMatchObject({ method: 'backup_code' })
      expect(await app.server.ask('POST', '/v1/verify', { challenge: (await app.login()).challenge, method: 'backup_code', code })).toHaveProperty('assertion')
    })
  }

  test('a backup code that never arrived, then a code of the app, a reload, and that code: the backup code is not used', async ({ app }) => {
    const element = await unheard(app, 'mirox', (route) => route.abort())
    await button(element, 'Use an app code instead').click()
    await app.page.reload()
    await enter(element, await fresh(app))
    expect(await signedIn(app)).toMatchObject({ state: 'enabled', method: 'totp' })
    expect(await app.kept()).toEqual([])
  })

  test('a backup code that turns 2FA off never arrived, then the password again: it is not used', async ({ app }) => {
    await unheard(app, 'mirox', (route) => route.abort())
    const element = await app.signIn()
    await enter(element, await fresh(app))
    expect(await signedIn(app)).toMatchObject({ state: 'enabled', method: 'totp' })
  })

  test('a wrong backup code that never arrived, then starting over', async ({ app }) => {
    const element = await backup(app)
    const restore = await instead(app, '/v1/verify', (route) => route.abort())
    await retype(app, element)
    await expect(unreachable(element)).toBeVisible()
    await button(element, 'Not you? Start over').click()
    await expect(unreachable(element)).toBeVisible() // it is not known yet what there is to be lost
    expect(await app.events()).toEqual([])
    await restore()
    await button(element, 'Not you? Start over').click()
    await expect.poll(async () => (await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
    expect(await app.kept()).toEqual([])
  })

  test('the password again before the new code was saved: first the code, then the new sign-in', async ({ app }) => {
    let element = await useBackup(app)
    const code = await element.locator('.code-shown').textContent()
    await app.page.reload()
    await expect(element.locator('.code-shown')).toHaveText(code!)
    element = await app.signIn()
    await expect(element.locator('.code-shown')).toHaveText(code!)
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    await enter(element, await fresh(app))
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
  })

  test('the password again after a wrong backup code whose answer was lost: the new sign-in', async ({ app }) => {
    const element = await backup(app)
    const restore = await instead(app, '/v1/verify', (route) => route.abort())
    await retype(app, element)
    await expect(unreachable(element)).toBeVisible()
    await restore()
    const next = await app.signIn()
    await expect(heading(next, 'Enter your 6-digit code')).toBeVisible()
    await enter(next, await fresh(app))
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
  })

  test('the host does not answer at first: it is asked again with the same assertion', async ({ app }) => {
    const element = await asked(app)
    const assertions: string[] = []
    let times = 2
    await instead(app, '/demo/session', (route) => {
      assertions.push(route.request().postDataJSON().assertion)
      return times-- > 0 ? route.abort() : route.continue()
    })
    await enter(element, await fresh(app))
    expect(await signedIn(app)).toMatchObject({ method: 'totp' })
    expect(assertions).toHaveLength(3)
    expect(new Set(assertions).size).toBe(1)
  })

  test('the host says no: back to the password, but not before the new code is saved', async ({ app }) => {
    const element = await backup(app)
    await instead(app, '/demo/session', (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{}' }))
    await element.getByRole('textbox').fill(app.backupCode)
    await button(element, 'Sign in').click()
    await expect(element.locator('.code-shown')).toBeVisible()
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    await expect(heading(element, 'That took too long')).toBeVisible()
    await button(element, 'Back to sign-in').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-start-over'])
  })

  test('offline: said at each step, and gone when it is over', async ({ app }) => {
    const element = await asked(app)
    await app.page.context().setOffline(true)
    await enter(element, await fresh(app))
    await expect(element.getByText(/You seem to be offline/)).toBeVisible()
    await button(element, noWayIn).click()
    await button(element, 'Send me the link').click()
    await expect(element.getByText(/You seem to be offline/)).toBeVisible()
    await app.page.context().setOffline(false)
    await element.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
    await expect(heading(element, 'Check your email')).toBeVisible()
  })

  test('not to be reached, though there is a network: another sentence', async ({ app }) => {
    const element = await asked(app)
    const restore = await instead(app, '/v1/verify', (route) => route.abort()) // as for a refused origin: fetch tells no more
    await enter(element, await fresh(app))
    await expect(element.getByText("We can't reach the service. Check your connection, then try again.")).toBeVisible()
    await expect(element.getByText(/offline/)).toHaveCount(0)
    await app.look('not-reached')
    await restore()
    await element.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
    await signedIn(app)
  })

  test('401 without a code ends the sign-in, and no session', async ({ app }) => {
    await asked(app)
    for (const [path, begin] of [
      ['/v1/verify', (element: Locator) => enter(element, '123456')],
      ['/v1/reset-request', async (element: Locator) => { await button(element, noWayIn).click(); await button(element, 'Send me the link').click() }],
    ] as const) {
      const element = await app.signIn()
      const restore = await instead(app, path, (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{"message":"Unauthorized"}' }))
      await begin(element)
      await expect(heading(element, 'That took too long')).toBeFocused()
      await restore()
    }
    expect(await app.events()).toEqual([])
  })

  test('what the page has not set, its author is told', async ({ app }) => {
    await app.start()
    await app.enable()
    const told: string[] = []
    app.page.on('console', (message) => message.type() === 'warning' && told.push(message.text()))
    const element = await app.mount('nightlatch-sign-in')
    await expect.poll(() => told).toEqual(['<nightlatch-sign-in> waits for its property offer, with a challenge: what your back end got from POST /v1/challenges'])
    await app.mount('nightlatch-sign-in', { offer: await app.login(), redeem: undefined })
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    await expect.poll(() => told[1]).toBe('<nightlatch-sign-in> waits for its property redeem: a function that has your back end exchange an assertion for its session')
  })

  test('a sign-in that was left goes on, while there is anything to go on with', async ({ app }) => {
    await asked(app)
    const underWay = () => app.page.evaluate(() => (customElements.get('nightlatch-sign-in') as any).underWay as boolean)
    const age = (minutes: number) => app.page.evaluate((minutes) => {
      const at = JSON.parse(sessionStorage.getItem('nightlatch.sign-in')!)
      sessionStorage.setItem('nightlatch.sign-in', JSON.stringify({ ...at, since: Date.now() - minutes * 60_000 }))
    }, minutes)
    await age(9)
    expect(await underWay()).toBe(true)
    await age(11)
    expect(await underWay()).toBe(false)
    expect(await app.kept()).toEqual([])
    expect(await underWay()).toBe(false)
  })

  test('a language that is not served: English', async ({ app }) => {
    await app.start()
    await app.enable()
    let asked = 0
    await app.page.route(/\/de[-.\w]*\.js$/, (route) => { asked++; return route.fulfill({ status: 404 }) })
    const element = await app.signIn({ lang: 'de' })
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    expect(asked).toBe(1)
  })

  test('429 without a code is no lock', async ({ app }) => {
    const element = await asked(app)
    const restore = await instead(app, '/v1/verify', (route) => route.fulfill({ status: 429, contentType: 'application/json', body: '{"message":"Too Many Requests"}' }))
    await enter(element, await fresh(app))
    await expect(element.getByText("We can't check codes right now")).toBeVisible()
    await restore()
    await element.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
    await signedIn(app)
  })

  test('a slow service: it says so, and nothing else can be pressed', async ({ app }) => {
    const element = await asked(app)
    let go: (() => void) | undefined
    await instead(app, '/v1/verify', async (route) => { await new Promise<void>((resolve) => (go = resolve)); await route.continue() })
    await enter(element, await fresh(app))
    await expect(element.locator('.at-work')).toBeVisible()
    await expect(button(element, 'Not you? Start over')).toHaveAttribute('aria-disabled', 'true')
    go!()
    await signedIn(app)
  })

  test('storage is blocked: the sign-in works all the same', async ({ app }) => {
    await app.start()
    await app.enable()
    const element = await app.signIn()
    await app.page.evaluate(() => { Storage.prototype.setItem = () => { throw new DOMException('no', 'QuotaExceededError') } })
    await button(element, 'Use backup code').click()
    await element.getByRole('textbox').fill(app.backupCode)
    await button(element, 'Sign in').click()
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    await button(element, 'I still have my phone').click()
    expect(await signedIn(app)).toMatchObject({ method: 'backup_code' })
  })

  for (const [preset, word, state] of [['mirox', 'backup code', 'disabled'], ['midphase', 'Recovery Token', 'enabled']] as const) {
    test(`a reload after the backup code, ${preset}: the application has its session, and goes on`, async ({ app }) => {
      const element = await useBackup(app, preset, word)
      await expect(heading(element, /You're in/)).toBeVisible()
      await app.page.reload()
      expect(await signedIn(app)).toMatchObject({ state, method: 'backup_code' })
      expect(await app.kept()).toEqual([])
    })
  }

  test('the host takes longer than usual: it says so', async ({ app }) => {
    const element = await asked(app)
    let go: (() => void) | undefined
    await instead(app, '/demo/session', async (route) => { await new Promise<void>((resolve) => (go = resolve)); await route.continue() })
    await enter(element, await fresh(app))
    await expect(element.getByText('Connecting takes longer than usual…')).toBeVisible()
    go!()
    await signedIn(app)
  })

  test('an answer that no service of ours gives: no dead end', async ({ app }) => {
    const element = await asked(app)
    const restore = await instead(app, '/v1/verify', (route) => route.fulfill({ status: 500, contentType: 'application/problem+json', body: JSON.stringify({ status: 500, code: 'internal', request_id: 'q7' }) }))
    await enter(element, await fresh(app))
    await expect(element.getByText(/write to support and quote q7/)).toBeVisible()
    await restore()
    await element.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
    await signedIn(app)
  })

  for (const lang of ['es', 'de', 'fr', 'ja']) {
    test(`in ${lang}, at 320 pixels`, async ({ app }) => {
      await app.start()
      await app.enable()
      await app.signIn({ lang })
      const links = app.page.locator('nightlatch-sign-in').locator('button.link')
      await expect(app.page.locator('nightlatch-sign-in h2')).not.toHaveText(/Enter your/)
      await app.look(`L1-${lang}`)
      await links.nth(1).click()
      await app.look(`R1-${lang}`)
    })
  }

  test('back and forward: the step is still there', async ({ app }) => {
    const element = await backup(app)
    await app.page.goto('about:blank')
    await app.page.goBack()
    await expect(heading(element, 'Enter your backup code')).toBeVisible()
    await button(element, 'Use an app code instead').click()
    await app.page.reload()
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
  })

  test('two tabs have a sign-in each', async ({ app }) => {
    const element = await asked(app)
    const first = app.page
    Object.assign(app, { page: await first.context().newPage() })
    await app.page.goto(first.url())
    const other = await app.signIn()
    await button(other, 'Use backup code').click()
    await first.reload()
    await expect(heading(element, 'Enter your 6-digit code')).toBeVisible()
    await app.page.reload()
    await expect(heading(other, 'Enter your backup code')).toBeVisible()
  })

  test('after a reload at the new phone it goes on there, in the session of the page', async ({ app }) => {
    const element = await useBackup(app)
    await element.getByRole('checkbox').check()
    await button(element, 'Continue').click()
    await expect(heading(element, 'Is your old phone gone?')).toBeVisible()
    const session = await element.evaluate((e: any) => e.session)
    await app.page.evaluate((session) => {
      const mounted = JSON.parse(sessionStorage.getItem('bench')!)
      sessionStorage.setItem('bench', JSON.stringify({ ...mounted, properties: { ...mounted.properties, session } }))
    }, session)
    await app.page.reload()
    await expect(heading(element, 'Is your old phone gone?')).toBeVisible()
    await button(element, 'Set up new phone').click()
    const key = await element.locator('.key').textContent()
    await app.page.reload()
    await expect(element.locator('.key')).toHaveText(key!)
    await button(element, 'Cancel').click()
    await expect(heading(element, 'Is your old phone gone?')).toBeVisible()
  })
})
