import { mkdirSync } from 'node:fs'

import type { Page } from '@playwright/test'

import { expect, test } from '../harness/app.ts'
import { violations } from '../harness/look.ts'
import { Person } from '../harness/person.ts'
import { shots } from '../harness/setup.ts'

const { step } = test

/** What sticks out of a page that scrolls sideways. */
function tooWide(): string[] {
  if (document.documentElement.scrollWidth <= innerWidth) return []
  const out = [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth)
  return ['the page', ...out.map((e) => e.outerHTML.slice(0, 100))]
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

/** The three steps of a set-up, from the QR code on, where the backup code comes before the phone's. */
async function setsUp(alice: Person, length: number): Promise<void> {
  await alice.scans()
  await alice.presses('Next')
  await alice.saves(length, 'Next')
  await alice.presses('Next')
  await alice.types(await alice.newCode())
  await alice.presses('Verify and Enable')
  await alice.reads('Two-factor authentication is on')
  await alice.presses('Done')
}

/** Moves to the phone in hand, from its QR code on. */
async function movesToThisPhone(alice: Person): Promise<void> {
  await alice.scans()
  await alice.presses('Next')
  await alice.types(await alice.newCode())
  await alice.presses('Switch to this phone')
  await alice.presses('Done')
}

/** Tries the code that was typed last once more, at another sign-in. */
async function signsInOnceMore(alice: Person): Promise<void> {
  await alice.password()
  await alice.types([...alice.typed].at(-1)!)
  await alice.presses('Sign in')
}

/** Signs in with the backup code that is on the paper, once the phone is lost. */
async function signsInFromPaper(alice: Person, name: string): Promise<void> {
  await alice.loses()
  await alice.password()
  await alice.presses(`Use ${name}`)
  await alice.typesFromPaper((await alice.paper())[0]!)
  await alice.presses('Sign in')
}

/** A reviewer approves the only case. */
async function isApproved(alice: Person, looks: (reviewer: Page) => Promise<void> = async () => {}): Promise<void> {
  const reviewer = await alice.asReviewer()
  await reviewer.presses(/^Open case R-/)
  await reviewer.presses('Approve')
  await looks(reviewer.page)
  const reference = /R-\w{4}/.exec(await reviewer.app.getByRole('heading', { name: /^Case/ }).innerText())![0]
  await reviewer.app.getByRole('checkbox').check()
  await reviewer.app.getByLabel(`Type ${reference} to approve`).fill(reference)
  await reviewer.presses('Confirm')
  await reviewer.sees('Approved. The link is mailed as soon as it takes effect.')
  await reviewer.page.close()
}

/** Opens the mail that has just come: there are others with its subject. */
async function opensNewestMail(alice: Person, subject: RegExp): Promise<void> {
  const all = alice.inbox.getByRole('button', { name: 'All mails' })
  if (await all.isVisible()) await all.click()
  await expect(alice.inbox.getByRole('listitem').first().getByRole('button', { name: subject })).toBeVisible()
  await alice.opensMail(subject)
}

/** Signs in by the link of the mail, with the password. */
async function signsInByLink(alice: Person): Promise<void> {
  await opensNewestMail(alice, /^You can sign in again/)
  await alice.presses('Sign in', alice.inbox)
  await alice.reads('You can sign in again')
  await alice.presses('Sign in')
  await alice.sees('The link from the mail is ready.')
  await alice.password()
  await alice.presses('Sign in')
}

/** Asks for the link, and goes to the identity check. */
async function goesToIdentityCheck(alice: Person): Promise<void> {
  await alice.presses('I no longer have access to my 2FA device')
  await alice.presses('Send me the link')
  await opensNewestMail(alice, /^Confirm your identity/)
}

/** An account that is not new: the tour says so, and what to do. */
async function startsOver(alice: Person): Promise<void> {
  await expect(alice.tour).toContainText('It begins with an account that has no second factor, and Alice has one.')
  await alice.presses('Show me', alice.tour.getByText('It begins with'))
  await expect(alice.desk).toBeFocused()
  await alice.hasAuthenticatorRemoved()
  await expect(alice.tour.getByText('It begins with')).toHaveCount(0)
}

test('every tour, one after another, as the one before has left it', async ({ app }) => {
  test.setTimeout(400_000) // a visitor takes half an hour
  const alice = await Person.atTheLab(app, 'standard')
  const attacks = alice.page.getByRole('region', { name: 'Attack it' })
  const wire = alice.page.getByRole('region', { name: 'Over the wire' })

  await step('Five minutes', async () => {
    await look(alice.page, 'first')
    await alice.password()
    await alice.presses('Settings ▸ Security')
    await alice.presses('Enable')
    await setsUp(alice, 13)
    await alice.ticked(1)
    await alice.signsIn()
    await alice.ticked(2)

    await signsInOnceMore(alice)
    await alice.sees("You've already used this code")
    await alice.ticked(3)
    await wire.getByRole('listitem').filter({ hasText: '/v1/verify 200' }).locator('summary').click()
    await alice.presses('Send it again', wire)
    await expect(wire.getByText('The same answer again.')).toBeVisible()
    await alice.ticked(4)

    await alice.waits()
    await alice.presses('200 copies of one right code', attacks)
    await expect(attacks.getByText('One got in.')).toBeVisible({ timeout: 60_000 })
    await expect(attacks.getByRole('row', { name: 'code_reused' })).toContainText('199')
    await alice.ticked(5)
    await alice.presses('1,000 guesses at once', attacks)
    await expect(attacks.getByText('5 were compared.')).toBeVisible({ timeout: 60_000 })
    await expect(attacks.getByRole('row', { name: 'locked' })).toContainText('995')
    await look(alice.page, 'attacked')
    await alice.presses('Unlock', alice.desk)
    await expect(alice.desk.getByText('Unlocked.')).toBeVisible()
    await alice.ticked(7)

    await signsInFromPaper(alice, 'backup code')
    await alice.saves(13, 'Continue')
    await alice.presses('Continue')
    await alice.ticked(8)
    await alice.presses('Set up new phone')
    await alice.takesAnotherPhone()
    await movesToThisPhone(alice)
    await alice.ticked(9)

    await alice.loses()
    await alice.password()
    await goesToIdentityCheck(alice)
    await look(alice.page, 'mail')
    await alice.ticked(10)
    await alice.presses('Confirm your identity', alice.inbox)
    await alice.sees('You continue at Persona')
    expect(alice.page.url(), 'the token is out of the address').toBe(app.server.url + '/#/reset/identity')
    await alice.presses('Start')
    await alice.checksIdentity('Pass')
    await alice.comesBack()
    await alice.sees("We're reviewing your case")
    await alice.ticked(11)
    await isApproved(alice, (page) => look(page, 'review'))
    await alice.ticked(12)
    await alice.presses('+24 h', alice.page.getByRole('group', { name: 'The service’s clock' }))
    await alice.ticked(13)
    await signsInByLink(alice)
    await alice.badge('Disabled')
    await alice.ticked(13)
    await alice.takesAnotherPhone()
    await alice.presses('Set up now')
    await setsUp(alice, 13)
    await alice.ticked(14)
  })

  await step('The help page of Mirox', async () => {
    await alice.page.getByText('mirox', { exact: true }).click()
    await startsOver(alice)
    await alice.password()
    await alice.presses('Profile ▸ Security card')
    await alice.badge('Disabled')
    await alice.presses('Set up now')
    await alice.ticked(1)
    await alice.scans()
    await alice.presses('Next')
    await alice.saves(8, 'Next')
    await alice.presses('Next')
    await alice.types(await alice.wrongCode())
    await alice.presses('Verify and Enable')
    await alice.ticked(2)
    await alice.types(await alice.newCode())
    await alice.presses('Verify and Enable')
    await alice.presses('Done')
    await alice.ticked(3)
    await alice.signsIn()
    await alice.ticked(4)
    await alice.presses('Profile ▸ Security card')
    await alice.presses('Check 2FA')
    await alice.types(await alice.newCode())
    await alice.presses('Check')
    await alice.presses('Done')
    await alice.ticked(5)
    await alice.presses('New backup code')
    await alice.types(await alice.newCode())
    await alice.presses('Create')
    await alice.saves(8, 'Done')
    await alice.presses('Done')
    await alice.ticked(6)
    await signsInFromPaper(alice, 'backup code')
    await alice.ticked(7)
    await alice.takesAnotherPhone()
    await alice.presses('Set up now')
    await setsUp(alice, 8)
    await alice.ticked(8)
    await alice.presses('Disable')
    await alice.types(await alice.newCode())
    await alice.presses('Disable')
    await alice.presses('Done')
    await alice.ticked(9)
    await alice.presses('Enable')
    await setsUp(alice, 8)
    await alice.ticked(9)
    await alice.hasAuthenticatorRemoved()
    await alice.ticked(10)
  })

  await step('The help page of MIAXdx', async () => {
    await alice.page.getByText('miaxdx', { exact: true }).click()
    await alice.password()
    await alice.reads('Set up two-factor authentication to continue')
    await alice.presses('Start')
    await setsUp(alice, 13)
    await alice.ticked(1)
    await alice.signsIn()
    await alice.ticked(2)
    await signsInOnceMore(alice)
    await alice.ticked(3)
    await alice.windsPhone(-4)
    await alice.password()
    await alice.types(await alice.newCode())
    await alice.presses('Sign in')
    await alice.sees(/Your phone's clock is [45] minutes slow/) // a code is shown for half a minute
    await alice.ticked(4)
    await alice.presses('Automatic', alice.phone)
    await alice.signsIn()
    await alice.presses('Settings ▸ Security')
    await alice.presses('Reset')
    await alice.types(await alice.newCode())
    await alice.presses('Continue')
    await alice.takesAnotherPhone()
    await movesToThisPhone(alice)
    await alice.ticked(5)
    await signsInFromPaper(alice, 'backup key')
    await alice.saves(13, 'Continue')
    await alice.presses('Continue')
    await alice.ticked(6)
    await alice.presses('I still have my phone')
    await alice.password()
    await goesToIdentityCheck(alice)
    await alice.ticked(7)
    await alice.presses('Confirm your identity', alice.inbox)
    await alice.presses('Start')
    await alice.checksIdentity('Fail')
    await alice.comesBack()
    await alice.sees('Show the ENTIRE ID')
    await alice.ticked(8)
    await alice.presses('Try again')
    await alice.checksIdentity('Pass')
    await alice.comesBack()
    await alice.ticked(9)
    await isApproved(alice)
    await alice.ticked(10)
    await signsInByLink(alice)
    await alice.takesAnotherPhone()
    await setsUp(alice, 13)
    await alice.ticked(11)
  })

  await step('The help page of Midphase', async () => {
    await alice.page.getByText('midphase', { exact: true }).click()
    await startsOver(alice)
    await alice.password()
    await alice.presses('My Account ▸ 2FA Security')
    await alice.presses('Set up now')
    await alice.scans()
    await alice.presses('Continue')
    await alice.types(await alice.newCode())
    await alice.presses('Check')
    await alice.reads('Congratulations!')
    await alice.ticked(1)
    await alice.presses('OK')
    await alice.saves(13, 'Finish')
    await alice.presses('Finish')
    await alice.ticked(2)
    await alice.signsIn()
    await alice.ticked(3)
    await alice.presses('My Account ▸ 2FA Security')
    await alice.presses('Revoke Recovery Token')
    await alice.types(await alice.newCode())
    await alice.presses('Revoke')
    await alice.presses('Create')
    await alice.saves(13, 'Finish')
    await alice.presses('Finish')
    await alice.ticked(4)
    await signsInFromPaper(alice, 'Recovery Token')
    await alice.ticked(5)
    await alice.takesAnotherPhone()
    await alice.presses('Set up new phone')
    await alice.scans()
    await alice.presses('Continue')
    await alice.types(await alice.newCode())
    await alice.presses('Switch to this phone')
    await alice.saves(13, 'Finish')
    await alice.presses('Finish')
    await alice.presses('OK')
    await alice.ticked(6)
    await alice.presses('History')
    await alice.ticked(7)
    await alice.hasAuthenticatorRemoved()
    await alice.ticked(8)
    await expect(alice.tour).toContainText('That was all of it.')
  })
})

test('other words, and a clock that is ahead', async ({ app }) => {
  const alice = await Person.atTheLab(app, 'miaxdx')
  const top = alice.page.getByRole('banner')
  await alice.page.getByRole('combobox', { name: 'Language' }).selectOption('de')
  await alice.password()
  await alice.reads('Richten Sie die Zwei-Faktor-Authentifizierung ein, um fortzufahren')
  await expect(top).not.toContainText('A back end of yours')
  await alice.waits()
  await expect(top).toContainText('1 min ahead')
  await expect(top).toContainText('A back end of yours now refuses what it signs.')
})

test('a minute’s wait does what the operator does', async ({ app }) => {
  const alice = await Person.atTheLab(app, 'standard')
  await alice.password()
  await alice.presses('Settings ▸ Security')
  await alice.presses('Enable')
  await setsUp(alice, 13)
  const attacks = alice.page.getByRole('region', { name: 'Attack it' })
  const unlock = alice.tour.getByRole('listitem').filter({ hasText: 'Have the operator unlock' })
  await alice.presses('1,000 guesses at once', attacks)
  await expect(attacks.getByText('5 were compared.')).toBeVisible({ timeout: 60_000 })
  await alice.ticked(2)
  await expect(unlock).not.toContainText('done')
  await alice.waits()
  await expect(unlock).toContainText('done')
})

test('what the reviewer does with their own account is not on the tour', async ({ app }) => {
  const reviewer = await Person.atTheLab(app, 'standard')
  await reviewer.password('reviewer')
  await reviewer.isIn('Reviewer')
  await expect(reviewer.tour).toContainText('does not count on the tour')
  await reviewer.password('bob')
  await reviewer.isIn('Bob')
  await expect(reviewer.tour).not.toContainText('does not count on the tour')
})

test('what was under way goes on after a reload', async ({ app }) => {
  const alice = await Person.atTheLab(app, 'standard')
  await alice.password()
  await alice.presses('Settings ▸ Security')
  await alice.presses('Enable')
  await setsUp(alice, 13)
  await alice.password()
  await alice.reads('Enter your 6-digit code')
  await alice.page.reload()
  await alice.reads('Enter your 6-digit code')
  await alice.newCode()
  await alice.presses(/\d{3} \d{3}/, alice.phone) // it types its code by itself
  await alice.presses('Sign in')
  await alice.isIn()
  await alice.page.reload()
  await alice.isIn()
})

test('the page runs no script but its own', async ({ app }) => {
  const { page } = await Person.atTheLab(app, 'standard')
  const tried = await page.evaluate(() => {
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
