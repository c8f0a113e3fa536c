// What somebody else's session, a slow answer, or an answer that nobody expects must not do.
import type { Page } from '@playwright/test'

import { alice, expect, reviewer, reviewer2, test } from '../harness/app.ts'
import { inReview, reviewing } from '../harness/recovery.ts'

/** Sets properties of the element that is on the page, as an application does. */
const set = (page: Page, properties: Record<string, unknown>) =>
  page.evaluate((p) => void Object.assign(document.body.firstElementChild!, p), properties)

/** Holds the answers of a path back until the function that is returned is called. */
async function holdBack(page: Page, path: RegExp | string): Promise<() => void> {
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  await page.route(path, async (route) => {
    const answer = await route.fetch()
    await released
    await route.fulfill({ response: answer }).catch(() => {}) // nobody waits for it any more
  }, { times: 1 })
  return release
}

/** What the elements keep in this tab. */
const kept = (page: Page) => page.evaluate(() => JSON.stringify(Object.entries(sessionStorage).filter(([name]) => name.startsWith('nightlatch.'))))

test('review: what one reviewer has chosen, another does not send; and what they saw is gone', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const { id, reference } = await inReview(app)
  const one = await reviewing(app)
  const two = await reviewing(app, reviewer2)
  const console = await app.mount('nightlatch-review', { session: one.session, case: id, reviewer })
  const choose = async () => {
    await console.getByRole('button', { name: 'Approve', exact: true }).click()
    await console.getByRole('checkbox').check()
    await console.getByRole('textbox', { name: /to approve/ }).fill(reference)
  }
  await choose()
  await set(app.page, { session: two.session })
  await expect(console.getByRole('heading', { name: `Case ${reference}` })).toBeVisible()
  await expect(console.getByRole('button', { name: 'Confirm' })).toHaveCount(0)

  await choose()
  await set(app.page, { session: undefined })
  await expect(console.getByText('Alice Doe')).toHaveCount(0)
  await expect(console.getByRole('button', { name: 'Confirm' })).toHaveCount(0)
  await set(app.page, { session: await app.session('bob@example.com') })
  await expect(console.getByRole('alert')).not.toBeEmpty()
  await expect(console.getByText('Alice Doe')).toHaveCount(0)
})

test('review: a case that has changed meanwhile is judged anew', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const { id, reference } = await inReview(app)
  const { session } = await reviewing(app)
  const console = await app.mount('nightlatch-review', { session, case: id, reviewer })
  await console.getByRole('button', { name: 'Approve', exact: true }).click()
  await console.getByRole('checkbox').check()
  await console.getByRole('textbox', { name: /to approve/ }).fill(reference)
  await app.page.route('**/v1/reviews/*', async (route) => {
    const answer = await route.fetch()
    const c = await answer.json()
    await route.fulfill({ json: { ...c, case_version: c.case_version + 1, identity: c.identity.map((f: object) => ({ ...f, verified: 'Mallory', result: 'differs' })) } })
  })
  await app.page.evaluate(() => (document.body.firstElementChild as any).refresh())
  await expect(console.getByText('Mallory').first()).toBeVisible()
  await expect(console.getByRole('button', { name: 'Confirm' })).toHaveCount(0)
})

test('review: a slow case does not come onto the page of the next one, nor a slow queue under another state', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const a = await inReview(app)
  await app.enable('bob@example.com')
  const b = await inReview(app, 'bob@example.com')
  const { session } = await reviewing(app)
  const slowCase = await holdBack(app.page, `**/v1/reviews/${a.id}`)
  const console = await app.mount('nightlatch-review', { session, case: a.id, reviewer })
  await set(app.page, { case: b.id })
  await expect(console.getByRole('heading', { name: `Case ${b.reference}` })).toBeVisible()
  slowCase()
  await app.page.waitForTimeout(300)
  await expect(console.getByRole('heading', { name: `Case ${b.reference}` })).toBeVisible()

  // A case that is not to be had leaves nothing of the one before.
  await set(app.page, { case: 'nothing' })
  await expect(console.getByRole('alert')).not.toBeEmpty()
  await expect(console.getByRole('heading', { name: `Case ${b.reference}` })).toHaveCount(0)

  const slowQueue = await holdBack(app.page, /\/v1\/reviews(\?.*)?$/)
  await set(app.page, { case: '' })
  await console.getByRole('combobox').selectOption('ready')
  await expect(console.getByText('No case waits here.')).toBeVisible()
  slowQueue()
  await app.page.waitForTimeout(300)
  await expect(console.getByText('No case waits here.')).toBeVisible()
})

test('card: an answer that was for one user is not shown to the next one in the same tab', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const session = await app.session()
  const slow = await holdBack(app.page, '**/v1/status')
  const card = await app.mount('nightlatch-security-card', { session, account: alice })
  const bob = (await app.login('bob@example.com')).session
  await set(app.page, { session: bob, account: 'bob@example.com' })
  await expect(card.getByText('Disabled', { exact: true })).toBeVisible()
  slow()
  await app.page.waitForTimeout(300)
  await expect(card.getByText('Disabled', { exact: true })).toBeVisible()
})

test('card: a grant that was dealt with is kept nowhere', async ({ app }) => {
  await app.start('midphase')
  await app.enable()
  const offer = await app.login()
  const { assertion, grant } = await app.server.ask('POST', '/v1/verify', { challenge: offer.challenge, method: 'backup_code', code: app.backupCode })
  const { session } = await app.page.evaluate((body) => window.bench.post('/demo/session', body), { assertion })
  const card = await app.mount('nightlatch-security-card', { session, grant, account: alice })
  await card.getByRole('button', { name: 'Later' }).click()
  await expect(card.getByText('Enabled', { exact: true })).toBeVisible()
  expect(grant.length).toBeGreaterThan(40)
  expect(await kept(app.page)).not.toContain(grant)
  await set(app.page, { open: 'backup-code' })
  await set(app.page, { open: '' })
  await app.page.reload()
  await expect(card.getByText('Enabled', { exact: true })).toBeVisible() // and not what the grant opened
})

test('sign-in: an element that was taken away does not sign in behind the next one', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  await app.enable('bob@example.com')
  const page = await app.signIn()
  const slow = await holdBack(app.page, '**/v1/verify')
  let redeemed = 0
  app.page.on('request', (r) => r.url().endsWith('/demo/session') && redeemed++)
  await page.getByRole('textbox').fill(app.phone.fresh())
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  const bob = await app.login('bob@example.com')
  await app.mount('nightlatch-sign-in', { offer: bob })
  await expect(page.getByText('bob@example.com')).toBeVisible()
  slow()
  await app.page.waitForTimeout(500)
  expect(redeemed).toBe(0)
  expect((await app.events()).map((e) => e.type)).not.toContain('nightlatch-signed-in')
  expect(JSON.parse((await app.page.evaluate(() => sessionStorage.getItem('nightlatch.sign-in')))!).offer.account).toBe('bob@example.com')
})

test('sign-in: another offer in the same element has nothing of the one before', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  await app.enable('bob@example.com')
  const page = await app.signIn()
  const slow = await holdBack(app.page, '**/v1/verify')
  let redeemed = 0
  app.page.on('request', (r) => r.url().endsWith('/demo/session') && redeemed++)
  await page.getByRole('textbox').fill(app.phone.fresh())
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await set(app.page, { offer: await app.login('bob@example.com') })
  await expect(page.getByText('bob@example.com')).toBeVisible()
  slow()
  await app.page.waitForTimeout(500)
  expect(redeemed).toBe(0)
  await expect(page.getByRole('heading', { name: 'Enter your 6-digit code' })).toBeVisible()
})

test('recovery: an answer about one link is not told of another', async ({ app }) => {
  await app.start('standard')
  const about = (reference: string) => ({ purpose: 'cancel', reference, state: 'in_review', requested_at: '2026-03-04T12:00:00Z', ip: '203.0.113.7', tries_left: 3 })
  let slow = () => {}
  const released = new Promise<void>((resolve) => (slow = resolve))
  await app.page.route('**/v1/reset/show', async (route) => {
    const { token } = route.request().postDataJSON()
    if (token === 'first') await released
    await route.fulfill({ json: about(token === 'first' ? 'R-1111' : 'R-2222') }).catch(() => {})
  })
  const page = await app.mount('nightlatch-recovery', { purpose: 'cancel', token: 'first', support: 'help@example.com' })
  await set(app.page, { token: 'second' })
  await expect(page.getByRole('heading', { name: 'Cancel this reset?' })).toBeVisible()
  slow()
  await app.page.waitForTimeout(300)
  expect(await app.page.evaluate(() => sessionStorage.getItem('nightlatch.recovery'))).toContain('R-2222')
})

test('E1: a picture that is none, and a link that is none, are not followed', async ({ app }) => {
  await app.start('standard')
  await app.page.route('**/v1/enroll', async (route) => {
    const answer = await route.fetch()
    const setUp = await answer.json()
    await route.fulfill({ response: answer, json: { ...setUp, qr_png: 'https://evil.example/pixel.png', otpauth_uri: 'javascript:document.title="run"//' } })
  })
  await app.page.evaluate(() => void (window.matchMedia = (() => ({ matches: true })) as never)) // a phone: it has a coarse pointer
  const card = await app.card()
  const asked: string[] = []
  app.page.on('request', (r) => asked.push(r.url()))
  await card.getByRole('button', { name: 'Enable' }).click()
  await expect(app.page.locator('.key')).toBeVisible()
  expect(asked.filter((url) => url.includes('evil'))).toEqual([])
  await expect(card.locator('a[href^="javascript"]')).toHaveCount(0)
  await expect(card.locator('img')).toHaveCount(0)
})

test('X1: a clock that is put back, as people are told to, is not waited for', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const page = await app.signIn()
  await app.page.evaluate((ms) => window.bench.wind(ms), 4 * 3600_000) // four hours fast
  for (let n = 0; n < 5; n++) {
    await page.getByRole('textbox').fill(`00000${n}`)
    const answered = app.page.waitForResponse('**/v1/verify')
    await page.getByRole('textbox').press('Enter')
    await answered
  }
  await expect(page.getByRole('timer')).toContainText(/in [01]:\d\d/)
  await app.page.evaluate(() => window.bench.wind(0))
  await expect(page.getByRole('textbox')).toBeVisible()
})

test('G2: a clock that is put back loses no backup code', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const card = await app.card()
  await app.server.wind(60)
  await app.page.evaluate((ms) => window.bench.wind(ms), 4 * 3600_000)
  await card.getByRole('button', { name: 'New backup code' }).click()
  await card.getByRole('textbox').fill(app.phone.fresh())
  await card.getByRole('button', { name: 'Create' }).click()
  const code = await app.page.locator('.code-shown').textContent()
  await app.page.evaluate(() => window.bench.wind(0))
  await app.page.reload()
  await expect(app.page.locator('.code-shown')).toHaveText(code!)
})

test('G2: an answer that is not the one to this question is none, and leaves nothing behind', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const card = await app.card()
  await app.server.wind(60)
  await card.getByRole('button', { name: 'New backup code' }).click()
  await card.getByRole('textbox').fill(app.phone.fresh())
  await app.page.route('**/v1/backup-code', (route) => route.fulfill({ json: {} }))
  await card.getByRole('button', { name: 'Create' }).click()
  await expect(card.getByRole('alert')).toContainText('Try again')
  await expect(app.page.locator('.code-shown')).toHaveCount(0)
  await app.page.unroute('**/v1/backup-code')
  await card.getByRole('button', { name: 'Try again' }).click()
  await expect(app.page.locator('.code-shown')).toHaveText(/\w/)
})
