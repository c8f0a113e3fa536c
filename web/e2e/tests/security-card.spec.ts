import type { Locator } from '@playwright/test'

import { alice, expect, test, type App } from '../harness/app.ts'
import type { Phone } from '../harness/phone.ts'
import { shots } from '../harness/setup.ts'

const button = (card: Locator, name: string) => card.getByRole('button', { name, exact: true })
const heading = (card: Locator, name: string | RegExp) => card.getByRole('heading', { name, level: 2 })

/** Types a code and sends it. */
async function enter(card: Locator, code: string, send: string): Promise<void> {
  await card.getByRole('textbox', { name: '6-digit code' }).fill(code)
  await button(card, send).click()
}

/** A code that was never used, however many were used just now. */
async function fresh(app: App, phone: Phone = app.phone): Promise<string> {
  await app.wind(60)
  return phone.fresh()
}

/** Another session, signed in with such a code. */
async function another(app: App): Promise<string> {
  await app.wind(60)
  return app.session()
}

/** The card of a user whose two-factor authentication is on. */
async function on(app: App, preset = 'standard', settings = {}): Promise<Locator> {
  await app.start(preset, settings)
  await app.enable()
  return app.card()
}

/** The card of a user who has begun: the QR code is on the screen. */
async function begun(app: App, preset = 'standard', settings = {}): Promise<Locator> {
  await app.start(preset, settings)
  const card = await app.card()
  await button(card, 'Enable').click()
  await expect(heading(card, /Scan the QR code/)).toBeFocused()
  return card
}

/** Goes on to the code, with a phone that has scanned. */
async function scanned(app: App, card: Locator, next = 'Next'): Promise<Phone> {
  const phone = await app.scan()
  await button(card, next).click()
  if (await heading(card, /Save your/).isVisible()) {
    await card.getByRole('checkbox').check()
    await button(card, next).click()
  }
  await expect(heading(card, /Enter the code/)).toBeFocused()
  return phone
}

/** Wrong codes, until no code is accepted for a while. */
async function lock(app: App, session: string): Promise<void> {
  for (let i = 0; i < 5; i++) await app.server.ask('POST', '/v1/check', { code: app.phone.wrong() }, session)
}

test.describe('set-up', () => {
  test('E0: disabled', async ({ app }) => {
    await app.start('mirox')
    const card = await app.card()
    await expect(heading(card, 'Two-factor authentication')).toBeVisible()
    await expect(card.getByText('Disabled', { exact: true })).toBeVisible()
    await app.look('E0')
  })

  test('E1: QR code and key; a double click begins once', async ({ app }) => {
    await app.start('standard')
    const card = await app.card()
    const begins: string[] = []
    app.page.on('request', (r) => r.url().endsWith('/v1/enroll') && begins.push(r.method()))
    await button(card, 'Enable').dblclick()
    await expect(heading(card, 'Step 1 of 3 Scan the QR code')).toBeFocused()
    expect(begins).toEqual(['POST'])
    await expect(card.getByRole('img', { name: 'QR code with the key for your authenticator app' })).toBeVisible()
    await expect(card.locator('.key')).toHaveText(/^([A-Z2-7]{4} ){7}[A-Z2-7]{4}$/)
    await expect(card).toContainText(/You can finish this set-up until \d\d:\d\d\./)
    await button(card, 'Copy key').click()
    await expect(card.getByText('Copied')).toBeVisible()
    expect(await app.page.evaluate(() => navigator.clipboard.readText())).toBe((await card.locator('.key').textContent())!.replaceAll(' ', ''))
    await app.look('E1')
  })

  test('E1 in the words of the help pages', async ({ app }) => {
    const card = await begun(app, 'mirox')
    await expect(card).toContainText('Manual Entry')
    await card.evaluate((element) => Object.assign(element, { preset: 'miaxdx' }))
    const [key, qr] = await Promise.all([card.locator('.key').boundingBox(), card.getByRole('img').boundingBox()])
    expect(key!.y).toBeLessThan(qr!.y) // the key, above the barcode
  })

  test('E1 on a phone: a link into the app', async ({ app, browser }) => {
    const context = await browser.newContext({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } })
    const phone = Object.assign(app, { page: await context.newPage() })
    const card = await begun(phone)
    await expect(card.getByRole('link', { name: 'Open in authenticator app' })).toHaveAttribute('href', /^otpauth:\/\/totp\/.*alice/)
    await app.page.screenshot({ path: shots + 'E1.phone.png', fullPage: true })
    await context.close()
  })

  test('E2: the backup code, off until it is saved; back loses nothing', async ({ app }) => {
    const card = await begun(app)
    const key = await card.locator('.key').textContent()
    await button(card, 'Next').click()
    await expect(heading(card, 'Step 2 of 3 Save your backup code')).toBeFocused()
    const code = await card.locator('.code-shown').textContent()
    await expect(button(card, 'Next')).toHaveAttribute('aria-disabled', 'true')
    await button(card, 'Next').click({ force: true })
    await expect(heading(card, /Save your backup code/)).toBeVisible()
    await app.look('E2')

    await button(card, 'Copy').click()
    expect(await app.page.evaluate(() => navigator.clipboard.readText())).toBe(code)
    const download = app.page.waitForEvent('download')
    await button(card, 'Download').click()
    const file = await (await download).path()
    const { readFileSync } = await import('node:fs')
    expect(readFileSync(file, 'utf8')).toContain(code!)
    expect(readFileSync(file, 'utf8')).toContain(alice)

    await card.getByRole('checkbox', { name: 'I have saved it' }).check()
    await button(card, 'Back').click()
    await expect(card.locator('.key')).toHaveText(key!)
    await button(card, 'Next').click()
    await expect(card.locator('.code-shown')).toHaveText(code!)
    await expect(card.getByRole('checkbox')).toBeChecked()
  })

  test('E2: printed on a page of its own', async ({ app }) => {
    await app.page.addInitScript(() => {
      window.print = () => ((window.top as any).printed = document.body.innerText) // in place of the dialogue
    })
    const card = await begun(app)
    await button(card, 'Next').click()
    const code = await card.locator('.code-shown').textContent()
    await button(card, 'Print').click()
    const printed = await app.page.waitForFunction(() => (window as any).printed)
    const lines = (await printed.jsonValue()).split('\n').filter(Boolean)
    expect(lines.slice(0, 3)).toEqual(['Backup code for Nightlatch Demo', code, `Account: ${alice}`])
    expect(lines).toHaveLength(7)
  })

  test('E3: not before the code works; E3a: wrong', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    await expect(heading(card, 'Step 3 of 3 Enter the code from your app')).toBeVisible()
    await app.look('E3')
    await enter(card, phone.wrong(), 'Verify and Enable')
    await expect(card.getByRole('alert')).toContainText('That code isn\'t right')
    await expect(card.getByRole('alert')).toContainText(`Look for “Nightlatch Demo (${alice})” in your app. 9 tries left, then set-up starts over. Nothing has changed on your account.`)
    await app.look('E3a')
    await enter(card, 'abc', 'Verify and Enable')
    await expect(card.getByRole('alert')).toContainText('Enter all 6 digits.')
    await expect(card.getByRole('textbox')).toHaveAttribute('aria-invalid', 'true')
  })

  test('E3b: expired', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    await app.wind(16 * 60)
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(heading(card, 'This set-up has expired')).toBeFocused()
    await expect(card).toContainText('Throw away the backup code you saved a moment ago')
    await app.look('E3b')
    await app.page.evaluate(() => sessionStorage.clear()) // as a session would, that was opened again
    await app.card()
    await button(card, 'Enable').click()
    await expect(heading(card, /Step 1 of 3/)).toBeFocused()
    expect((await app.scan()).code()).not.toBe(phone.code())
  })

  test('E3b: the tenth wrong code ends it, and it can be started again', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    for (let left = 9; left > 0; left--) {
      await enter(card, phone.wrong(), 'Verify and Enable')
      await expect(card.getByRole('alert')).toContainText(left === 1 ? '1 try left' : `${left} tries left`)
    }
    await enter(card, phone.wrong(), 'Verify and Enable')
    await expect(heading(card, 'This set-up has expired')).toBeFocused()
    await button(card, 'Start again').click()
    await expect(heading(card, /Step 1 of 3/)).toBeFocused()
    expect((await app.scan()).code()).not.toBe(phone.code())
  })

  test('E3: started again elsewhere', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    await app.server.ask('POST', '/v1/enroll', {}, await app.session())
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(card).toContainText('Set-up was started again elsewhere')
    await app.look('E3-replaced')
    await button(card, 'Start again').click()
    const newer = await scanned(app, card)
    await enter(card, newer.fresh(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
  })

  test('C1 at E3: the clock is off, by how much, and what helps', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    phone.drift = -240
    await enter(card, phone.code(), 'Verify and Enable')
    await expect(card.getByRole('alert')).toContainText("Your phone's clock is 4 minutes slow")
    await card.getByText('How?').click()
    await expect(card.getByText(/^iPhone:/)).toBeVisible()
    await app.look('C1')
    phone.drift = 0
    await enter(card, phone.code(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
  })

  test('E4: on', async ({ app }) => {
    const card = await begun(app, 'mirox')
    const phone = await scanned(app, card)
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
    await expect(card).toContainText(/Enabled since \d+ \w+ \d{4} at \d\d:\d\d\./)
    await app.look('E4')
    await button(card, 'Done').click()
    await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
    await app.look('E4-card')
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-enabled'])
  })

  test('E4: the application is told once, however often the page is loaded', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
    await app.page.reload()
    await expect(heading(card, 'Two-factor authentication is on')).toBeVisible()
    await button(card, 'Done').click()
    await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
    expect(await app.events()).toEqual([]) // since the reload
  })

  test('E5: midphase shows the token after activation, and again after a reload', async ({ app }) => {
    const card = await begun(app, 'midphase')
    const phone = await scanned(app, card, 'Continue')
    await expect(heading(card, 'Step 2 of 3 Enter the code from your app')).toBeVisible()
    await enter(card, phone.fresh(), 'Check')
    await expect(heading(card, 'Congratulations!')).toBeFocused()
    await app.look('E4-midphase')
    await button(card, 'OK').click()
    await expect(heading(card, 'Step 3 of 3 Create your Recovery Token')).toBeFocused()
    const token = await card.locator('.code-shown').textContent()
    await app.look('E5')
    await app.page.reload()
    await expect(card.locator('.code-shown')).toHaveText(token!)
    await card.getByRole('checkbox').check()
    await button(card, 'Finish').click()
    await expect(card).toContainText('Recovery Token created on')
    await app.look('card-midphase')
    await app.page.reload()
    await expect(card).toContainText('Recovery Token created on')
  })

  test('a reload at every step loses nothing; a cancel forgets', async ({ app }) => {
    const card = await begun(app)
    const key = await card.locator('.key').textContent()
    await app.page.reload()
    await expect(card.locator('.key')).toHaveText(key!)
    await button(card, 'Next').click()
    const code = await card.locator('.code-shown').textContent()
    await app.page.reload()
    await expect(card.locator('.code-shown')).toHaveText(code!)
    await card.getByRole('checkbox').check()
    await button(card, 'Next').click()
    await expect(heading(card, /Enter the code/)).toBeVisible()
    await app.page.reload()
    await expect(heading(card, /Enter the code/)).toBeVisible()
    await button(card, 'Back').click()
    await button(card, 'Back').click()
    await expect(card.locator('.key')).toHaveText(key!)
    await button(card, 'Cancel').click()
    await expect(button(card, 'Enable')).toBeVisible()
    expect(await app.server.ask('GET', '/v1/status', undefined, await app.session())).toMatchObject({ state: 'disabled', pending: null })
    await button(card, 'Enable').click()
    await expect(card.locator('.key')).toBeVisible()
    await expect(card.locator('.key')).not.toHaveText(key!)
  })

  test('a session from long ago signs in again, and goes on', async ({ app }) => {
    await app.start('standard')
    const card = await app.card()
    await expect(button(card, 'Enable')).toBeVisible()
    await app.wind(20 * 60)
    await button(card, 'Enable').click()
    await expect(card.getByRole('alert')).toContainText('please sign in again')
    await app.look('reauthenticate')
    expect(await app.events()).toEqual([{ type: 'nightlatch-reauthenticate', detail: { max_age: 900 } }])
    await button(card, 'Cancel').click()
    await expect(button(card, 'Enable')).toBeVisible()
  })
})

test.describe('check', () => {
  test('K1, K2: a right code changes nothing', async ({ app }) => {
    const card = await on(app, 'mirox')
    await button(card, 'Check 2FA').click()
    await expect(heading(card, 'Check 2FA')).toBeFocused()
    await app.look('K1')
    await enter(card, await fresh(app), 'Check')
    await expect(heading(card, 'Your code is valid')).toBeFocused()
    await app.look('K2')
    await button(card, 'Done').click()
    await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
  })

  test('K3: right, and used already', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Check 2FA').click()
    await app.wind(60)
    const code = app.phone.fresh()
    const offer = await app.login()
    await app.server.ask('POST', '/v1/verify', { challenge: offer.challenge, method: 'totp', code })
    await enter(card, code, 'Check')
    await expect(heading(card, 'Your app is in sync')).toBeFocused()
    await app.look('K3')
  })

  test('K4: wrong', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Check 2FA').click()
    await enter(card, app.phone.wrong(), 'Check')
    await expect(card.getByRole('alert')).toContainText('Perhaps an older “Nightlatch Demo” entry? Only the newest one works. 4 tries left.')
    await app.look('K4')
    await button(card, 'Cancel').click()
    await expect(card.getByRole('alert')).toBeEmpty()
  })

  test('C1: the clock is off', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Check 2FA').click()
    app.phone.drift = 300
    await enter(card, app.phone.code(), 'Check')
    await expect(card.getByRole('alert')).toContainText("Your phone's clock is 5 minutes fast")
    await app.look('C1-check')
  })

  test('X1: locked, counting down, and on again', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Check 2FA').click()
    for (let left = 4; left > 0; left--) {
      await enter(card, app.phone.wrong(), 'Check')
      await expect(card.getByRole('alert')).toContainText(left === 1 ? '1 try left.' : `${left} tries left.`)
    }
    await enter(card, app.phone.wrong(), 'Check')
    await expect(card.getByRole('alert')).toContainText('0 tries left.')
    await enter(card, app.phone.fresh(), 'Check')
    await expect(heading(card, 'Too many wrong codes')).toBeFocused()
    await expect(card.getByRole('timer')).toHaveText(/^You can try again in (0:5\d|1:00)\.$/)
    await app.look('X1')
    await button(card, 'Use backup code').click()
    await expect(card).toContainText('Sign out, then sign in with your backup code.')
    await app.look('P1-without')
    await button(card, 'Sign in again').click()
    await button(card, 'Back').click()
    await button(card, 'Change password').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-reauthenticate', 'nightlatch-change-password'])
    await app.wind(61)
    await button(card, 'Try again').click()
    await enter(card, app.phone.fresh(), 'Check')
    await expect(heading(card, 'Your code is valid')).toBeFocused()
  })

  test('X2: suspended', async ({ app }) => {
    const card = await on(app, 'mirox', { monthly_failures: 5 })
    await lock(app, await another(app))
    await app.wind(61)
    await button(card, 'Check 2FA').click()
    await enter(card, app.phone.fresh(), 'Check')
    await expect(heading(card, 'App codes are switched off')).toBeFocused()
    await app.look('X2')
    await button(card, 'Contact support').click()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-support'])
    await button(card, 'Back').click()
    await expect(card).toContainText('App codes are switched off')
    await app.look('card-suspended')
  })

  test('a backup code in the field for a code is never sent by itself', async ({ app }) => {
    const card = await on(app)
    const sent: string[] = []
    app.page.on('request', (r) => r.method() === 'POST' && sent.push(r.url()))
    await button(card, 'Check 2FA').click()
    await enter(card, app.backupCode, 'Check')
    await expect(card).toContainText('That looks like your backup code. Use it?')
    await app.look('looks-like')
    await button(card, 'Use it').click()
    await expect(card).toContainText('Sign out, then sign in with your backup code.')
    expect(sent).toEqual([])
  })
})

test.describe('backup code', () => {
  test('G1, G2: a new one, shown again after a reload', async ({ app }) => {
    const card = await on(app)
    await button(card, 'New backup code').click()
    await expect(heading(card, 'Get a new backup code')).toBeFocused()
    await app.look('G1')
    await enter(card, await fresh(app), 'Create')
    await expect(heading(card, 'Save your new backup code')).toBeFocused()
    const code = (await card.locator('.code-shown').textContent())!
    expect(code).not.toBe(app.backupCode)
    await app.look('G2')
    const told = (await app.events()).find((e) => e.type === 'nightlatch-backup-code-issued')!
    expect(Object.keys(told.detail)).toEqual(['issued_at'])
    await app.page.reload()
    await expect(card.locator('.code-shown')).toHaveText(code)
    await card.getByRole('checkbox').check()
    await button(card, 'Done').click()
    await expect(card).toContainText('Backup code created on')
    await app.page.reload()
    await expect(card).toContainText('Backup code created on')

    const offer = await app.login()
    expect(await app.server.ask('POST', '/v1/verify', { challenge: offer.challenge, method: 'backup_code', code })).toHaveProperty('assertion')
  })

  test('G1m, E5: revoked, then another, with one code', async ({ app }) => {
    const card = await on(app, 'midphase')
    await button(card, 'Revoke Recovery Token').click()
    await expect(heading(card, 'Revoke your Recovery Token')).toBeFocused()
    await app.look('G1m')
    await enter(card, await fresh(app), 'Revoke')
    await expect(heading(card, 'Your Recovery Token is revoked')).toBeFocused()
    await app.look('G1m-revoked')
    await app.page.reload()
    await expect(heading(card, 'Your Recovery Token is revoked')).toBeVisible()
    await button(card, 'Create').click()
    await expect(heading(card, 'Create your Recovery Token')).toBeFocused()
    const token = await card.locator('.code-shown').textContent()
    await app.look('G1m-E5')
    await app.page.reload()
    await expect(card.locator('.code-shown')).toHaveText(token!)
    await card.getByRole('checkbox').check()
    await button(card, 'Finish').click()
    await expect(card).toContainText('Recovery Token created on')
  })

  test('G1m: whoever leaves without one is told, and makes one later', async ({ app }) => {
    const card = await on(app, 'midphase')
    await button(card, 'Revoke Recovery Token').click()
    await enter(card, await fresh(app), 'Revoke')
    await button(card, 'Cancel').click()
    await expect(card).toContainText('You have no Recovery Token.')
    await app.look('card-no-code')
    await button(card, 'Create Recovery Token').click()
    await app.wind(20 * 60) // longer than a grant lasts
    await button(card, 'Create').click()
    await expect(card.getByRole('alert')).toContainText('The 15 minutes are over.')
    await enter(card, await fresh(app), 'Create')
    await expect(heading(card, 'Create your Recovery Token')).toBeFocused()
  })

  test('an answer that was lost is asked for again, with the same code', async ({ app }) => {
    const card = await on(app)
    await button(card, 'New backup code').click()
    let lost = 0
    await app.page.route('**/v1/backup-code', async (route) => {
      await route.fetch() // it was done, and nobody hears of it
      lost++
      await route.abort()
    })
    await enter(card, await fresh(app), 'Create')
    await expect(card.getByRole('alert')).toContainText("connection")
    expect(lost).toBe(3)
    await app.page.unroute('**/v1/backup-code')
    await button(card, 'Try again').click()
    await expect(heading(card, 'Save your new backup code')).toBeFocused()
    const status = await app.server.ask('GET', '/v1/history', undefined, await another(app))
    expect(status.events.filter((e: any) => e.type === 'backup_code_issued')).toHaveLength(2) // the first, and this one
  })
})

test.describe('another phone', () => {
  test('P1 to P4', async ({ app }) => {
    const card = await on(app, 'mirox')
    await button(card, 'Check 2FA').click()
    await button(card, 'Moving to a new phone?').click()
    await expect(heading(card, 'Move to a new phone')).toBeFocused()
    await app.look('P1')
    await enter(card, await fresh(app), 'Continue')
    await expect(heading(card, 'Step 1 of 2 Scan with your new phone')).toBeFocused()
    await expect(card).toContainText('Your old phone still works; the new one does not yet.')
    await app.look('P2')
    const key = await card.locator('.key').textContent()
    await app.page.reload()
    await expect(card.locator('.key')).toHaveText(key!)
    const phone = await app.scan()
    await button(card, 'Next').click()
    await expect(heading(card, 'Step 2 of 2 Enter the code from your new phone')).toBeFocused()
    await expect(card).toContainText('Your old phone stays the one we accept until this code works.')
    await app.look('P3')
    await app.page.reload()
    await enter(card, await fresh(app), 'Switch to this phone') // the old one's
    await expect(card.getByRole('alert')).toContainText("That code isn't right")
    await enter(card, phone.fresh(), 'Switch to this phone')
    await expect(heading(card, 'Your new phone is active')).toBeFocused()
    await expect(card).toContainText('Your backup code is unchanged.')
    await app.look('P4')
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-replaced'])
    await button(card, 'Check 2FA').click()
    await enter(card, await fresh(app, phone), 'Check')
    await expect(heading(card, 'Your code is valid')).toBeFocused()
  })

  test('P1: from the card, where no help page puts it elsewhere', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Move to a new phone').click()
    await expect(heading(card, 'Move to a new phone')).toBeFocused()
    await button(card, 'Cancel').click()
    await card.evaluate((element) => ((element as any).preset = 'mirox'))
    await expect(button(card, 'Check 2FA')).toBeVisible()
    await expect(button(card, 'Move to a new phone')).toHaveCount(0)
  })

  test('P1: without the old phone', async ({ app }) => {
    const card = await on(app, 'midphase')
    await button(card, 'Move to a new phone').click()
    await button(card, "I don't have the old phone").click()
    await expect(card).toContainText('Sign out, then sign in with your Recovery Token.')
    await button(card, 'Sign in again').click()
    expect(await app.events()).toEqual([{ type: 'nightlatch-reauthenticate', detail: { max_age: 0, method: 'backup_code' } }])
  })

  test('P2: canceled; P5: left, finished and discarded', async ({ app }) => {
    const card = await on(app, 'miaxdx')
    await expect(card.getByRole('heading', { name: 'Reset Two-Factor Authentication' })).toBeVisible()
    await button(card, 'Reset').click()
    await enter(card, await fresh(app), 'Continue')
    await button(card, 'Cancel').click()
    await expect(button(card, 'Reset')).toBeVisible()
    expect(await app.server.ask('GET', '/v1/status', undefined, await another(app))).toMatchObject({ pending: null })

    const elsewhere = await another(app) // on another machine
    await app.server.ask('POST', '/v1/enroll', { code: await fresh(app) }, elsewhere)
    await app.page.reload()
    await expect(card).toContainText("You haven't finished moving")
    await app.look('P5')
    await button(card, 'Finish').click()
    await expect(heading(card, 'Move to a new phone')).toBeFocused()
    await button(card, 'Cancel').click()
    await button(card, 'Discard').click()
    await expect(card).not.toContainText("You haven't finished moving")
  })

  test('P3: expired: the old phone is still the one', async ({ app }) => {
    const card = await on(app, 'midphase')
    await button(card, 'Move to a new phone').click()
    await enter(card, await fresh(app), 'Continue')
    await button(card, 'Continue').click()
    await app.wind(16 * 60)
    await enter(card, app.phone.fresh(), 'Switch to this phone')
    await expect(heading(card, 'This set-up has expired')).toBeFocused()
    await expect(card).toContainText('Your old phone is still the one we accept.')
    await app.look('P3-expired')
    await button(card, 'Start again').click()
    await expect(heading(card, 'Move to a new phone')).toBeFocused()
  })

  test('with a grant: straight to the new phone, without a code', async ({ app }) => {
    await app.start('standard')
    await app.enable()
    const { session, grant } = await backupSignIn(app)
    const card = await app.mount('nightlatch-security-card', { session, grant, account: alice })
    await expect(heading(card, /Scan with your new phone/)).toBeFocused()
    const phone = await app.scan()
    await app.page.reload()
    await expect(card).toContainText('When you finish, the codes of your old phone stop working.')
    await button(card, 'Next').click()
    await enter(card, phone.fresh(), 'Switch to this phone')
    await expect(heading(card, 'Your new phone is active')).toBeFocused()
    await button(card, 'Done').click()
    await app.page.reload() // the page still hands the grant over
    await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
  })

  test('with a grant and no code left: B2', async ({ app }) => {
    await app.start('midphase')
    await app.enable()
    const { session, grant } = await backupSignIn(app)
    const card = await app.mount('nightlatch-security-card', { session, grant, account: alice })
    await expect(heading(card, "You're in. You have no Recovery Token now")).toBeFocused()
    await app.look('B2-midphase')
    await button(card, 'Set up new phone').click()
    const phone = await app.scan()
    await button(card, 'Continue').click()
    await expect(heading(card, /Step 2 of 3/)).toBeVisible()
    await enter(card, phone.fresh(), 'Switch to this phone')
    await expect(heading(card, 'Step 3 of 3 Create your Recovery Token')).toBeFocused()
    await card.getByRole('checkbox').check()
    await button(card, 'Finish').click()
    await expect(heading(card, 'Your new phone is active')).toBeFocused()
  })

  test('with a grant and the phone: just the code', async ({ app }) => {
    await app.start('midphase')
    await app.enable()
    const { session, grant } = await backupSignIn(app)
    const card = await app.mount('nightlatch-security-card', { session, grant, account: alice })
    await button(card, 'Create Recovery Token').click()
    await button(card, 'Create').click()
    await expect(card.locator('.code-shown')).toBeVisible()
    await card.getByRole('checkbox').check()
    await button(card, 'Finish').click()
    await expect(card).toContainText('Recovery Token created on')
  })
})

/** A sign-in with the backup code. */
async function backupSignIn(app: App): Promise<{ session: string; grant: string }> {
  const offer = await app.login()
  const { assertion, grant } = await app.server.ask('POST', '/v1/verify', { challenge: offer.challenge, method: 'backup_code', code: app.backupCode })
  const { session } = await app.page.evaluate((body) => window.bench.post('/demo/session', body), { assertion })
  return { session, grant }
}

test.describe('off', () => {
  test('D1, D2', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Disable').click()
    await expect(heading(card, 'Turn two-factor authentication off?')).toBeFocused()
    await app.look('D1')
    await enter(card, app.phone.wrong(), 'Disable')
    await expect(card.getByRole('alert')).toContainText("That code isn't right")
    await enter(card, await fresh(app), 'Disable')
    await expect(heading(card, 'Two-factor authentication is off')).toBeFocused()
    await app.look('D2')
    await button(card, 'Done').click()
    await expect(button(card, 'Enable')).toBeVisible()
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-disabled'])
  })

  test('D0: required', async ({ app }) => {
    const card = await on(app, 'standard', { enforcement: 'required' })
    await expect(card).toContainText('Your account requires two-factor authentication.')
    await expect(button(card, 'Disable')).toHaveCount(0)
    await app.look('D0')
    await button(card, 'Move to a new phone').click()
    await expect(heading(card, 'Move to a new phone')).toBeFocused()
  })

  test('D0: required, as miaxdx puts it', async ({ app }) => {
    const card = await on(app, 'miaxdx')
    await expect(button(card, 'Disable')).toHaveCount(0)
    await app.look('D0-miaxdx')
  })

  test('after a sign-in that turned it off: the banner stays', async ({ app }) => {
    await app.start('mirox')
    await app.enable()
    const { session } = await backupSignIn(app)
    const card = await app.mount('nightlatch-security-card', { session })
    await expect(card).toContainText('Only your password protects this account. Set two-factor authentication up again.')
    await app.look('card-off')
    await button(card, 'Set up now').click()
    await expect(heading(card, /Scan the QR code/)).toBeFocused()
  })
})

test.describe('the card', () => {
  test('history', async ({ app }) => {
    await app.start('midphase')
    await app.enable()
    await app.server.report(alice, { type: 'password_failed', ip: '203.0.113.7', user_agent: 'Mozilla/5.0 \u202egpj.exe <img src=x onerror=alert(1)>' })
    await app.server.report(alice, { type: 'login', ip: '203.0.113.7', user_agent: '' })
    for (let i = 0; i < 28; i++) await app.server.report(alice, { type: 'password_failed', ip: '2001:db8::1', user_agent: 'curl/8' })
    const card = await app.card()
    await button(card, 'History').click()
    await expect(heading(card, 'History')).toBeFocused()
    await expect(card.getByRole('listitem')).toHaveCount(25)
    await button(card, 'Show more').click()
    await expect(card.getByRole('listitem').filter({ hasText: 'Two-factor authentication turned on' })).toBeVisible()
    await expect(button(card, 'Show more')).toHaveCount(0)
    const failed = card.getByRole('listitem').filter({ hasText: '203.0.113.7' }).filter({ hasText: 'Wrong password' })
    await expect(failed).toContainText('Failed')
    await expect(failed).toContainText('\ufffdgpj.exe <img')
    await app.look('history')
    await button(card, 'Back').click()
    await expect(heading(card, 'Two-factor authentication')).toBeFocused()
  })

  test('a newer service: what is not known here is left out', async ({ app }) => {
    await app.start('standard')
    await app.enable()
    const session = await app.session()
    await app.page.route('**/v1/status', async (route) => {
      const answer = await route.fetch()
      await route.fulfill({ response: answer, json: { ...(await answer.json()), state: 'as_never_before' } })
    })
    await app.page.route('**/v1/history*', (route) => route.fulfill({ json: { next: null, events: [
      { id: '1', at: '2026-03-04T13:05:00Z', type: 'as_never_before', outcome: 'failure', method: 'telepathy', actor: 'oracle', operation: 'x', reason: 'y', ip: '203.0.113.7' },
      { id: '2', at: '2026-03-04T13:05:00Z', type: 'login', outcome: 'undecided', method: 'totp', actor: 'user' },
    ] } }))
    const card = await app.mount('nightlatch-security-card', { session, preset: 'as_never_before' })
    await expect(card).toContainText("We can't show your two-factor authentication right now. It is as it was.")
    await expect(button(card, 'Enable')).toHaveCount(0)
    await expect(card.locator('.badge')).toHaveCount(0)
    await app.look('card-unknown')
    await button(card, 'History').click()
    const [unknown, undecided] = [card.getByRole('listitem').nth(0), card.getByRole('listitem').nth(1)]
    await expect(unknown).toContainText('Other event')
    await expect(unknown).toContainText('203.0.113.7')
    await expect(undecided).toContainText('Sign-in')
    await expect(undecided.locator('.badge')).toHaveCount(0)
    await app.look('history-unknown')
  })

  test('a set-up that was begun elsewhere', async ({ app }) => {
    await app.start('standard')
    const session = await app.session()
    await app.server.ask('POST', '/v1/enroll', {}, session)
    const card = await app.card()
    await expect(card).toContainText("Set-up isn't finished")
    await app.look('card-pending')
    await button(card, 'Discard').click()
    await expect(button(card, 'Enable')).toBeVisible()
  })

  test('locked', async ({ app }) => {
    await app.start('standard')
    await app.enable()
    const session = await app.session()
    await lock(app, session)
    const card = await app.mount('nightlatch-security-card', { session })
    await expect(card).toContainText(/no codes from your app are accepted until \d\d:\d\d \(in/)
    await app.look('card-locked')
  })

  test('R5, R8, R9: a reset that is open can be canceled', async ({ app }) => {
    await app.start('standard')
    await app.enable()
    const session = await app.session()
    const { challenge } = await app.login()
    const { reference } = await app.server.ask('POST', '/v1/reset-request', { challenge })
    const card = await app.mount('nightlatch-security-card', { session })
    await expect(card).toContainText(`case ${reference}`)
    await app.look('card-reset')
    await button(card, 'Cancel the reset').click()
    await expect(heading(card, 'Cancel this reset?')).toBeFocused()
    await app.look('R8-card')
    await button(card, 'Cancel the reset').click()
    await expect(heading(card, 'The reset is canceled')).toBeFocused()
    await app.look('R9-card')
    await button(card, 'Done').click()
    await expect(card).not.toContainText(`case ${reference}`)
  })

  test('without a session nothing is asked; it may come later', async ({ app }) => {
    await app.start('standard')
    const asked: string[] = []
    app.page.on('request', (r) => r.url().includes('/v1/') && asked.push(r.url()))
    const told = app.page.waitForEvent('console')
    const card = await app.mount('nightlatch-security-card', {})
    await expect(heading(card, 'Two-factor authentication')).toBeVisible()
    expect((await told).text()).toBe('<nightlatch-security-card> waits for its property session: the token of the signed-in user, or a function that fetches it')
    expect(asked).toEqual([])
    const session = await app.session()
    await card.evaluate((element, session) => Object.assign(element, { session }), session)
    await expect(button(card, 'Enable')).toBeVisible()
  })

  test('in every language, and from right to left', async ({ app }) => {
    const card = await on(app)
    for (const lang of ['de', 'es', 'fr', 'ja']) {
      await card.evaluate((element, lang) => ((element as HTMLElement).lang = lang), lang)
      await expect(card).not.toContainText('Two-factor authentication')
      await app.page.screenshot({ path: `${shots}card.${lang}.png` })
    }
    await app.page.evaluate(() => (document.documentElement.dir = 'rtl'))
    await app.look('card-rtl')
  })
})

test.describe('when things go wrong', () => {
  test('offline in each step', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    await app.page.context().setOffline(true)
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(card.getByRole('alert')).toContainText('offline')
    await app.look('offline')
    await app.page.context().setOffline(false)
    await button(card, 'Try again').click()
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
    await app.page.context().setOffline(true)
    await button(card, 'Done').click()
    await expect(card.getByRole('alert')).toContainText('offline')
    await app.look('offline-card')
    await app.page.context().setOffline(false)
    await button(card, 'Try again').click()
    await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
  })

  test('cancel while offline: nothing waits for it', async ({ app }) => {
    const card = await begun(app)
    await app.page.context().setOffline(true)
    await button(card, 'Cancel').click()
    await expect(card.getByRole('alert')).toContainText('offline')
    await app.page.context().setOffline(false)
    await button(card, 'Try again').click()
    await expect(card).toContainText("Set-up isn't finished")
    await button(card, 'Start again').click()
    await expect(heading(card, /Step 1 of 3/)).toBeFocused()
  })

  test('503, and 429 of a gateway: the same again is safe', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    for (const status of [503, 429]) {
      await app.page.route('**/v1/enroll/confirm', (route) => route.fulfill({ status, contentType: 'application/json', body: '{"message":"Slow down"}', headers: { 'retry-after': '30' } }))
      await enter(card, phone.wrong(), 'Verify and Enable')
      await expect(card.getByRole('alert')).toContainText("The service can't answer right now.")
      await app.page.unroute('**/v1/enroll/confirm')
    }
    await app.look('unavailable')
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
  })

  /** A set-up whose confirmation nothing was heard of. */
  async function unheard(app: App, card: Locator, code: string, send: string, arrives = true): Promise<void> {
    await app.page.route('**/v1/enroll/confirm', async (route) => {
      if (arrives) await route.fetch()
      await route.abort()
    })
    await enter(card, code, send)
    await expect(card.getByRole('alert')).toContainText('Check your connection')
    await app.page.unroute('**/v1/enroll/confirm')
  }

  test('the answer to the confirmation is lost, and the page with it', async ({ app }) => {
    const card = await begun(app, 'midphase')
    await unheard(app, card, (await scanned(app, card, 'Continue')).fresh(), 'Check')
    await app.page.reload()
    await expect(heading(card, 'Congratulations!')).toBeVisible()
    await button(card, 'OK').click()
    await expect(card.locator('.code-shown')).toBeVisible()
  })

  test('the answer is lost, and another code is typed', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    await unheard(app, card, phone.fresh(), 'Verify and Enable')
    await app.wind(30)
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
  })

  test('the answer is lost, then canceled: it is on, and its token is shown', async ({ app }) => {
    const card = await begun(app, 'midphase')
    await unheard(app, card, (await scanned(app, card, 'Continue')).fresh(), 'Check')
    await button(card, 'Back').click()
    await button(card, 'Cancel').click()
    await expect(heading(card, 'Congratulations!')).toBeVisible()
    await button(card, 'OK').click()
    await expect(card.locator('.code-shown')).toBeVisible()
  })

  test('the answer for another phone is lost, then canceled: that phone is the one', async ({ app }) => {
    const card = await on(app)
    await button(card, 'Move to a new phone').click()
    await enter(card, await fresh(app), 'Continue')
    await unheard(app, card, (await scanned(app, card)).fresh(), 'Switch to this phone')
    await button(card, 'Back').click()
    await button(card, 'Cancel').click()
    await expect(heading(card, 'Your new phone is active')).toBeVisible()
  })

  test('a right code that never arrived, then canceled: nothing is on, which is said when it is known', async ({ app }) => {
    const card = await begun(app, 'midphase')
    await unheard(app, card, (await scanned(app, card, 'Continue')).fresh(), 'Check', false)
    await button(card, 'Back').click()
    await app.page.route('**/v1/enroll/confirm', (route) => route.abort())
    await button(card, 'Cancel').click()
    await expect(card.getByRole('alert')).toContainText('Check your connection')
    await app.page.unroute('**/v1/enroll/confirm')
    await card.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
    await expect(button(card, 'Enable')).toBeVisible()
  })

  for (const way of ['tried again', 'reloaded']) {
    test(`the answer is lost, and ${way} when it is too late to ask for it: what the service says is shown`, async ({ app }) => {
      const card = await begun(app)
      await unheard(app, card, (await scanned(app, card)).fresh(), 'Verify and Enable')
      await app.wind(11 * 60)
      if (way === 'reloaded') await app.page.reload()
      else await card.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
      await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
      await expect(card.getByText('Nothing changed')).toHaveCount(0)
      expect(await app.kept()).toEqual([])
    })
  }

  test('the session is over', async ({ app }) => {
    const card = await on(app)
    await card.evaluate((element) => Object.assign(element, { session: () => 'bad' }))
    await expect(card.getByRole('alert')).toContainText('Your session is over.')
    await app.look('session-over')
    await button(card, 'Sign in again').click()
    expect((await app.events()).filter((e) => e.type === 'nightlatch-session-over').length).toBeGreaterThan(1)
  })

  test('the session cannot be fetched any more: nobody is offline', async ({ app }) => {
    const card = await on(app)
    await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
    const told = app.page.waitForEvent('console', (message) => message.type() === 'warning')
    await card.evaluate((element) => Object.assign(element, { session: () => Promise.reject(new Error('login_required')) }))
    await expect(card.getByRole('alert')).toContainText('Your session is over. Please sign in again.')
    expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-session-over'])
    expect((await told).text()).toContain('login_required')
  })

  test('clipboard denied, storage blocked', async ({ app }) => {
    await app.page.addInitScript(() => {
      Object.defineProperty(navigator, 'clipboard', { value: { writeText: () => Promise.reject(new Error('denied')) } })
    })
    await app.start('standard')
    const session = await app.session()
    await app.page.evaluate(() => {
      const blocked = () => { throw new DOMException('blocked', 'SecurityError') }
      Object.assign(Storage.prototype, { getItem: blocked, setItem: blocked, removeItem: blocked })
    })
    await app.page.evaluate(([session]) => {
      const card = document.createElement('nightlatch-security-card')
      Object.assign(card, { session, app: 'Nightlatch Demo' })
      document.body.replaceChildren(card)
    }, [session])
    const card = app.page.locator('nightlatch-security-card')
    await button(card, 'Enable').click()
    await button(card, 'Copy key').click()
    await expect(card).toContainText("Copying didn't work.")
    const phone = await scanned(app, card)
    await enter(card, phone.fresh(), 'Verify and Enable')
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
  })

  test('slow: it says so, and nothing is done twice', async ({ app }) => {
    const card = await begun(app)
    const phone = await scanned(app, card)
    let sent = 0
    await app.page.route('**/v1/enroll/confirm', async (route) => {
      sent++
      await new Promise((resolve) => setTimeout(resolve, 1200))
      await route.continue()
    })
    await card.getByRole('textbox').fill(phone.fresh())
    await button(card, 'Verify and Enable').dblclick()
    await card.getByRole('textbox').press('Enter')
    await expect(card.locator('.at-work')).toBeVisible()
    await expect(heading(card, 'Two-factor authentication is on')).toBeFocused()
    expect(sent).toBe(1)
  })
})
