// All of it without a mouse: the page of the program itself, as it is, and at 200 % with nothing that moves.
import type { Locator } from '@playwright/test'

import { expect, password, test, type App } from '../harness/app.ts'
import { Keyboard } from '../harness/keyboard.ts'
import { lostDevice } from '../harness/recovery.ts'

const views = [
  { name: 'as it is', use: { viewport: { width: 1280, height: 900 } } },
  // A browser at 200 % tells the page that it has half the pixels, each twice as fine.
  { name: 'at 200 %, without motion', use: { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2, contextOptions: { reducedMotion: 'reduce' as const } } },
]

/** The lab, with the focus where the application begins. */
async function open(app: App, path = '/'): Promise<{ keyboard: Keyboard; screen: Locator }> {
  await app.page.goto(app.server.url + path)
  return { keyboard: new Keyboard(app.page), screen: app.page.getByRole('region', { name: 'The application' }) }
}

/** Address and password, from the top of the page. */
async function signIn(keyboard: Keyboard, from: 'top' | 'form' = 'top'): Promise<void> {
  if (from === 'top') await keyboard.to('alice')
  await keyboard.to('Email address')
  await keyboard.type('alice@example.com') // over what is there
  await keyboard.to('Password')
  await keyboard.type(password)
  expect(await keyboard.presses('Sign in')).toEqual(['Sign in'])
}

for (const view of views) {
  test.describe(view.name, () => {
    test.use(view.use)

    test('set-up, and a sign-in', async ({ app }) => {
      await app.start('standard')
      const { keyboard, screen } = await open(app)
      await signIn(keyboard)
      await keyboard.isAt('Welcome back, Alice')
      await keyboard.presses('Settings ▸ Security', 'Shift+Tab')
      await expect(screen.getByText('Disabled', { exact: true })).toBeVisible()
      expect(await keyboard.presses('Enable')).toEqual(['Enable'])

      await keyboard.isAt('Step 1 of 3 Scan the QR code')
      app.phone = await app.scan()
      await keyboard.presses('Copy key')
      await expect(screen.getByRole('status').filter({ hasText: 'Copied' })).toBeVisible()
      expect(await keyboard.presses('Next')).toEqual(['Cancel', 'Next'])

      await keyboard.isAt('Step 2 of 3 Save your backup code')
      await expect(screen).toMatchAriaSnapshot(`
        - heading "Step 2 of 3 Save your backup code" [level=2]
        - status: /[0-9A-Z-]+/
        - button "Copy"
        - button "Download"
        - button "Print"
        - checkbox "I have saved it"
        - alert
        - button "Back"
        - button "Next" [disabled]
      `)
      expect(await keyboard.presses('Next')).toEqual(['Copy', 'Download', 'Print', 'I have saved it', 'Back', 'Next'])
      await keyboard.isAt('Next') // there is no way on yet
      expect(await keyboard.to('I have saved it', 'Shift+Tab')).toEqual(['Back', 'I have saved it'])
      await keyboard.press('Space')
      expect(await keyboard.presses('Next')).toEqual(['Back', 'Next'])

      await keyboard.isAt('Step 3 of 3 Enter the code from your app')
      const alert = screen.getByRole('alert')
      await expect(alert).toHaveText('')
      expect(await keyboard.to('6-digit code')).toEqual(['6-digit code'])
      await keyboard.type(app.phone.wrong())
      await keyboard.press('Enter')
      // Said in a region that was there before, and the field is ready for the next one.
      await expect(alert).toContainText("That code isn't right")
      await keyboard.isAt('6-digit code')
      await keyboard.type(app.phone.fresh())
      await keyboard.press('Enter')
      await keyboard.isAt('Two-factor authentication is on')
      expect(await keyboard.presses('Done')).toEqual(['Done'])
      await keyboard.isAt('Two-factor authentication')
      await expect(screen.getByText('Enabled', { exact: true })).toBeVisible()

      await keyboard.presses('Sign out', 'Shift+Tab')
      await keyboard.isAt('Sign in')
      await signIn(keyboard, 'form')
      await keyboard.isAt('6-digit code')
      expect(await keyboard.to('Not you? Start over')).toEqual(['Sign in', 'Use backup code', 'I no longer have access to my 2FA device', 'Not you? Start over'])
      await keyboard.to('6-digit code', 'Shift+Tab')
      await keyboard.type(app.phone.fresh())
      await keyboard.press('Enter')
      await keyboard.isAt('Welcome back, Alice')
    })

    test('the backup code, the new one, and a new phone', async ({ app }) => {
      await app.start('standard')
      await app.enable()
      const { keyboard, screen } = await open(app)
      await signIn(keyboard)
      await keyboard.isAt('6-digit code')
      expect(await keyboard.presses('Use backup code')).toEqual(['Sign in', 'Use backup code'])
      await keyboard.isAt('Backup code')
      await keyboard.type('0000000000000')
      await keyboard.press('Enter')
      await expect(screen.getByRole('alert').filter({ hasText: "That backup code isn't right" })).toBeVisible()
      await keyboard.isAt('Backup code')
      await keyboard.type(app.backupCode.toLowerCase())
      await keyboard.press('Enter')

      await keyboard.isAt('Save your new backup code')
      expect(await keyboard.presses('Copy')).toEqual(['Copy'])
      await expect(screen.getByRole('status').filter({ hasText: 'Copied' })).toBeVisible()
      expect(await keyboard.to('I have saved it')).toEqual(['Download', 'Print', 'I have saved it'])
      await keyboard.press('Space')
      expect(await keyboard.presses('Continue')).toEqual(['Continue'])
      await keyboard.isAt('Is your old phone gone?')
      expect(await keyboard.presses('Set up new phone')).toEqual(['Set up new phone'])
      await keyboard.isAt('Step 1 of 2 Scan with your new phone')
      app.phone = await app.scan()
      expect(await keyboard.presses('Next')).toEqual(['Copy key', 'Cancel', 'Next'])
      await keyboard.isAt('Step 2 of 2 Enter the code from your new phone')
      await keyboard.to('6-digit code')
      await keyboard.type(app.phone.fresh())
      expect(await keyboard.presses('Switch to this phone')).toEqual(['Back', 'Switch to this phone'])
      await keyboard.isAt('Your new phone is active')
      expect(await keyboard.presses('Done')).toEqual(['Done'])
      await keyboard.isAt('Settings ▸ Security') // the application, on that page
      await expect(screen.getByText('Enabled', { exact: true })).toBeVisible()
    })

    test('a reset is cancelled by the mailed link', async ({ app }) => {
      await app.start('standard')
      await app.enable()
      await lostDevice(app)
      const token = app.server.link(await app.server.mail(/Confirm your identity/), 'cancel')
      const { keyboard, screen } = await open(app, `/#/reset/cancel/${token}`)
      await keyboard.isAt('Cancel this reset?')
      await expect(screen).toMatchAriaSnapshot(`
        - heading "Cancel this reset?" [level=2]
        - paragraph: /Asked for on .* from 127.0.0.1/
        - paragraph: Your codes keep working.
        - alert
        - button "Cancel the reset"
        - button "Keep it"
      `)
      expect(await keyboard.to('Keep it')).toEqual(['Cancel the reset', 'Keep it'])
      expect(await keyboard.presses('Cancel the reset', 'Shift+Tab')).toEqual(['Cancel the reset'])
      await keyboard.isAt('The reset is canceled')
      expect(await keyboard.presses('Done')).toEqual(['Change password', 'Done'])
      await keyboard.isAt('Sign in')
    })
  })
}
