import type { Locator } from '@playwright/test'

import { alice, expect, test, type App } from '../harness/app.ts'
import { decide, identityCheck, inReview, lostDevice, reviewing } from '../harness/recovery.ts'

const button = (on: Locator, name: string) => on.getByRole('button', { name, exact: true })
const heading = (on: Locator, name: string | RegExp) => on.getByRole('heading', { name, level: 2 })

/** A reset that was asked for, and the link of its mail. */
async function mailed(app: App, purpose: 'identity' | 'cancel'): Promise<string> {
  await app.start()
  await app.enable()
  await lostDevice(app)
  return app.server.link(await app.server.mail(/Confirm your identity/, alice), purpose)
}

const open = (app: App, purpose: string, token: string, more = {}) => app.mount('nightlatch-recovery', { purpose, token, support: 'help@example.com', ...more })

/** The state of Alice's reset. */
const state = async (app: App) => (await app.login()).reset.state

test('R3: on to the identity check, once by a double click', async ({ app }) => {
  const page = await open(app, 'identity', await mailed(app, 'identity'))
  await expect(heading(page, 'Confirm your identity')).toBeFocused()
  await expect(page.getByText(/Case R-[0-9A-Z]{4}/)).toBeVisible()
  await app.look('R3')
  await button(page, 'Start').dblclick()
  await expect.poll(() => app.events()).toHaveLength(1)
  const [left] = await app.events()
  expect(left!.type).toBe('nightlatch-leave')
  expect(new URL(left!.detail.url).origin).toBe(app.server.url)
  await app.page.reload()
  await expect(heading(page, 'Confirm your identity')).toBeVisible()
})

test('R3: only to a page of https, or of our own', async ({ app }) => {
  const page = await open(app, 'identity', await mailed(app, 'identity'))
  for (const url of ['javascript:alert(1)', 'http://evil.example/', 'data:text/html,x']) {
    await app.page.route('**/v1/reset/identity', (route) => route.fulfill({ json: { url } }))
    await button(page, 'Start').click()
    await expect(page.getByText('Something went wrong on our side. Try again.')).toBeVisible()
    await app.page.unroute('**/v1/reset/identity')
  }
  expect(await app.events()).toEqual([])
  expect(app.complaints.splice(0)).toHaveLength(3) // told to the page's own error report
})

test('R3: opened again once the check was submitted: thank you', async ({ app }) => {
  const token = await mailed(app, 'identity')
  const page = await open(app, 'identity', token)
  await expect(heading(page, 'Confirm your identity')).toBeVisible()
  await app.page.route('**/v1/reset/identity', (route) => route.fulfill({ status: 410, contentType: 'application/problem+json', json: { status: 410, code: 'link_expired' } }))
  await button(page, 'Start').click()
  await expect(heading(page, "Thank you. We're reviewing your case")).toBeFocused()
})

test('R4: back from the identity check', async ({ app }) => {
  const token = await mailed(app, 'identity')
  const first = await open(app, 'identity', token)
  await expect(heading(first, 'Confirm your identity')).toBeVisible()
  const page = await open(app, 'thanks', '')
  await expect(heading(page, "Thank you. We're reviewing your case")).toBeVisible()
  await expect(page.getByText(/Case R-[0-9A-Z]{4}/)).toBeVisible()
  await app.look('R4')
  await button(page, 'Close').click()
  expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-done'])
})

test('I1: back from an identity check that has failed by then', async ({ app }) => {
  const token = await mailed(app, 'identity')
  await button(await open(app, 'identity', token), 'Start').click()
  await expect.poll(() => app.events()).toHaveLength(1)
  await identityCheck(app, 'fail')
  await app.server.mail(/couldn't verify your ID/, alice)
  let page = await open(app, 'thanks', '')
  await expect(heading(page, "We couldn't verify your ID")).toBeFocused()
  page = await open(app, 'thanks', '') // as after a reload
  await expect(heading(page, "We couldn't verify your ID")).toBeFocused()
  await expect(page.getByText('2 of 3 tries left.')).toBeVisible()
  await button(page, 'Try again').click()
  await expect.poll(async () => (await app.events()).map((e) => e.type)).toEqual(['nightlatch-leave', 'nightlatch-leave'])
  // The next one is not known to have failed.
  await expect(heading(await open(app, 'thanks', ''), "Thank you. We're reviewing your case")).toBeVisible()
})

test('R6: the link, and the password before it', async ({ app }) => {
  await app.start()
  await app.enable()
  const { id } = await inReview(app)
  const { session } = await reviewing(app)
  await decide(app, session, id, { decision: 'approve', identity_matches: true })
  await app.wind(25 * 3600)
  const token = app.server.link(await app.server.mail(/You can sign in again/, alice), 'sign_in')
  const page = await open(app, 'sign_in', token)
  await expect(heading(page, 'You can sign in again')).toBeFocused()
  await app.look('R6-link')
  await button(page, 'Sign in').click()
  expect(await app.events()).toEqual([{ type: 'nightlatch-sign-in', detail: { token } }])
})

test('R7: denied', async ({ app }) => {
  await app.start()
  await app.enable()
  const { id, reference } = await inReview(app)
  const { session } = await reviewing(app)
  await decide(app, session, id, { decision: 'deny', reason_code: 'identity_mismatch' })
  const { reset } = await app.login()
  const page = await open(app, 'identity', 'spent', { reset })
  await expect(heading(page, 'We could not approve your reset')).toBeVisible()
  await expect(page.getByText('The ID does not match what we have on file.')).toBeVisible()
  await expect(page.getByText(`Nothing changed on your account. Quote ${reference}.`)).toBeVisible()
  await expect(page.getByRole('link', { name: 'Write to help@example.com' })).toHaveAttribute('href', 'mailto:help@example.com')
  await app.look('R7-recovery')
  await button(page, 'Start again').click()
  expect(await app.events()).toEqual([{ type: 'nightlatch-sign-in', detail: {} }])
})

test('R8, R9: nothing by opening; canceled by the button', async ({ app }) => {
  const token = await mailed(app, 'cancel')
  const page = await open(app, 'cancel', token)
  await expect(heading(page, 'Cancel this reset?')).toBeFocused()
  await expect(page.locator('bdi')).toHaveText('127.0.0.1')
  await expect(page.getByText(/Asked for on .* from 127\.0\.0\.1\./)).toBeVisible()
  await app.look('R8')
  await app.page.reload()
  await expect(heading(page, 'Cancel this reset?')).toBeVisible()
  expect(await state(app)).toBe('identity_pending')
  await button(page, 'Cancel the reset').dblclick()
  await expect(heading(page, 'The reset is canceled')).toBeFocused()
  expect(await state(app)).toBe('canceled')
  await app.look('R9')
  await button(page, 'Change password').click()
  await button(page, 'Done').click()
  expect((await app.events()).map((e) => e.type)).toEqual(['nightlatch-canceled', 'nightlatch-change-password', 'nightlatch-done'])
})

test('R8: keep it', async ({ app }) => {
  const page = await open(app, 'cancel', await mailed(app, 'cancel'))
  await button(page, 'Keep it').click()
  await expect(page.getByText('Nothing changed. You can close this page.')).toBeVisible()
  await app.look('R8-kept')
  expect(await state(app)).toBe('identity_pending')
})

test('R8: from the page of the identity check', async ({ app }) => {
  const page = await open(app, 'identity', await mailed(app, 'identity'))
  await button(page, "I didn't ask for this").click()
  await expect(heading(page, 'Cancel this reset?')).toBeFocused()
  await button(page, 'Cancel the reset').click()
  await expect(heading(page, 'The reset is canceled')).toBeFocused()
})

test('R8: an address that somebody else wrote stays text, and in its place', async ({ app }) => {
  const token = await mailed(app, 'cancel')
  const ip = '<img src=x onerror=alert(1)>\u202e moc.live'
  await app.page.route('**/v1/reset/show', (route) => route.fulfill({
    json: { purpose: 'cancel', reference: 'R-7K4Q', state: 'in_review', requested_at: '2026-03-04T13:05:00Z', ip, tries_left: 3 },
  }))
  const page = await open(app, 'cancel', token)
  await expect(page.locator('bdi')).toHaveText('<img src=x onerror=alert(1)>\ufffd moc.live')
  await expect(page.locator('img')).toHaveCount(0)
})

test('R10: used, foreign, or none', async ({ app }) => {
  const token = await mailed(app, 'cancel')
  await app.server.ask('POST', '/v1/reset/cancel', { token })
  for (const dead of [token, token.slice(0, -1), 'x', '']) {
    await app.page.evaluate(() => sessionStorage.clear())
    const page = await open(app, 'cancel', dead)
    await expect(heading(page, 'This link no longer works')).toBeVisible()
  }
  await app.look('R10')
  await button(app.page.locator('nightlatch-recovery'), 'Go to sign-in').click()
  expect(await app.events()).toEqual([{ type: 'nightlatch-sign-in', detail: {} }])
})

test('R10: a link of a newer service, for what is not known here', async ({ app }) => {
  const token = await mailed(app, 'cancel')
  await app.page.route('**/v1/reset/show', async (route) => {
    const answer = await route.fetch()
    await route.fulfill({ response: answer, json: { ...(await answer.json()), purpose: 'as_never_before' } })
  })
  await expect(heading(await open(app, 'cancel', token), 'This link no longer works')).toBeVisible()
})

test('R10: canceled elsewhere while it is looked at', async ({ app }) => {
  const token = await mailed(app, 'cancel')
  const page = await open(app, 'cancel', token)
  await expect(heading(page, 'Cancel this reset?')).toBeVisible()
  await app.server.ask('POST', '/v1/reset/cancel', { token })
  await button(page, 'Cancel the reset').click()
  await expect(heading(page, 'This link no longer works')).toBeFocused()
})

test('I1: the identity check has failed', async ({ app }) => {
  await mailed(app, 'identity')
  await identityCheck(app, 'fail')
  const token = app.server.link(await app.server.mail(/couldn't verify your ID/, alice), 'identity')
  const page = await open(app, 'identity', token)
  await expect(heading(page, "We couldn't verify your ID")).toBeVisible()
  await expect(page.getByText('2 of 3 tries left.')).toBeVisible()
  await app.look('I1-recovery')
  await button(page, 'Try again').click()
  await expect.poll(() => app.events()).toHaveLength(1)
})

test('I2: for the last time', async ({ app }) => {
  await mailed(app, 'identity')
  for (const left of [2, 1]) {
    await identityCheck(app, 'fail')
    await app.server.mail(new RegExp(`couldn't verify your ID \\(${left}`), alice)
  }
  await identityCheck(app, 'fail')
  await expect.poll(() => state(app)).toBe('expired')
  const { reset } = await app.login()
  const page = await open(app, 'identity', 'spent', { reset })
  await expect(heading(page, "We couldn't verify your ID online")).toBeVisible()
  await expect(page.getByText('Never send a picture of your ID by email.')).toBeVisible()
  await app.look('I2-recovery')
})

test('offline, and a service that cannot answer: the link waits', async ({ app }) => {
  const token = await mailed(app, 'cancel')
  await app.page.context().setOffline(true)
  const page = await open(app, 'cancel', token)
  await expect(page.getByText(/You seem to be offline/)).toBeVisible()
  await app.look('recovery-offline')
  await app.page.context().setOffline(false)
  await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
  await expect(heading(page, 'Cancel this reset?')).toBeFocused()
  await app.page.route('**/v1/reset/cancel', (route) => route.fulfill({ status: 503, json: { message: 'Service Unavailable' } }))
  await button(page, 'Cancel the reset').click()
  await expect(page.getByText(/The service can't answer right now/)).toBeVisible()
  await app.page.unroute('**/v1/reset/cancel')
  await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click()
  await expect(heading(page, 'The reset is canceled')).toBeFocused()
})
