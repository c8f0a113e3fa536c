import type { Locator } from '@playwright/test'

import { alice, expect, reviewer, reviewer2, test, type App } from '../harness/app.ts'
import { decide, inReview, lostDevice, reviewing } from '../harness/recovery.ts'

/** Alice's case, before a reviewer. */
async function openCase(app: App, preset = 'standard', settings = {}): Promise<{ id: string; reference: string; session: string; console: Locator }> {
  await app.start(preset, settings)
  await app.enable()
  const about = await inReview(app)
  const { session } = await reviewing(app)
  return { ...about, session, console: await app.mount('nightlatch-review', { session, case: about.id, reviewer }) }
}

test('queue: cases that wait, by reference, and each opens', async ({ app }) => {
  await app.start('standard')
  await app.enable()
  const { reference, id } = await inReview(app)
  const { session } = await reviewing(app)
  const console = await app.mount('nightlatch-review', { session })
  await expect(console.getByRole('row')).toHaveCount(2)
  await app.look('review-queue')
  await expect(console).not.toContainText(alice) // nothing about the person
  await console.getByRole('combobox').selectOption('ready')
  await expect(console.getByText('No case waits here.')).toBeVisible()
  await console.getByRole('combobox').selectOption('in_review')
  await console.getByRole('button', { name: `Open case ${reference}` }).click()
  await expect(console.getByRole('heading', { name: `Case ${reference}` })).toBeFocused()
  expect(await app.events()).toContainEqual({ type: 'nightlatch-case', detail: { id } })
})

test('case: the whole of it in the order in which it is judged; nothing is chosen first', async ({ app }) => {
  const { reference, console } = await openCase(app)
  await expect(console.getByRole('heading', { name: `Case ${reference}` })).toBeFocused()
  const headings = await console.getByRole('heading', { level: 3 }).allTextContents()
  expect(headings).toEqual([
    'Identity', 'What approving does', 'Changes of the last seven days', 'Where the request came from', 'Earlier resets', 'Approvals: 0 of 1', 'Decision',
  ])
  await expect(console.getByRole('row', { name: /Name Alice Doe Alice Doe Match/ })).toBeVisible()
  await expect(console.getByRole('button', { name: 'Confirm' })).toHaveCount(0)
  await app.look('review-case')
})

test('narrow: all of a row is in sight, and what a browser says of itself is there once', async ({ app }) => {
  const { id, session } = await openCase(app)
  const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/150.0.0.0 Safari/537.36'
  await app.page.route('**/v1/reviews/*', async (route) => {
    const answer = await route.fetch()
    const found = await answer.json()
    found.identity[0].verified = '+15555550100155555501001555555010015555550100'
    found.recent_changes = ['enabled', 'backup_code_issued', 'password_changed', 'login'].map((type, i) =>
      ({ ...found.history[0], id: String(i), type, outcome: i === 3 ? 'failure' : 'success', ip: '203.0.113.7', user_agent: i === 2 ? 'curl/8' : agent }))
    await route.fulfill({ response: answer, json: found })
  })
  const console = await app.mount('nightlatch-review', { session, case: id })
  const changes = console.getByRole('region', { name: 'Changes of the last seven days' }).getByRole('row')
  await expect(changes).toHaveText([/Mozilla/, /Same browser as above/, /curl\/8/, /Mozilla/])
  for (const width of [720, 390, 320]) {
    await app.page.setViewportSize({ width, height: 900 })
    for (const region of await console.getByRole('region').all()) {
      expect(await region.evaluate((r) => r.scrollWidth - r.clientWidth), `${await region.getAttribute('aria-label')} at ${width} pixels`).toBe(0)
    }
    await expect(console.getByText('Match', { exact: true }).first()).toBeInViewport()
  }
  await app.look('review-narrow')
})

test('approve: the reference typed, the person ticked, and only then', async ({ app }) => {
  const { reference, console } = await openCase(app)
  const decisions: string[] = []
  app.page.on('request', (r) => r.url().endsWith('/decision') && decisions.push(r.postData() ?? ''))
  await console.getByRole('button', { name: 'Approve', exact: true }).click()
  const confirm = console.getByRole('button', { name: 'Confirm' })
  await expect(confirm).toHaveAttribute('aria-disabled', 'true')
  await console.getByRole('textbox', { name: `Type ${reference} to approve` }).fill('R-XXXX')
  await console.getByRole('checkbox').check()
  await console.getByRole('textbox', { name: /to approve/ }).press('Enter')
  await expect(console.getByRole('alert')).toContainText(`That is not ${reference}.`)
  await app.look('review-approve')
  await console.getByRole('textbox', { name: `Type ${reference} to approve` }).fill(reference.toLowerCase())
  await confirm.dblclick()
  await expect(console.getByText('Approved. The link is mailed as soon as it takes effect.')).toBeVisible()
  expect(decisions).toHaveLength(1)
  await expect(console.getByText('Someone else must approve, too')).toHaveCount(0)
  await expect(console.getByText('Approved, waiting', { exact: true })).toBeVisible()
  await expect(console.getByRole('button', { name: 'Stop the reset' })).toBeVisible()
  await app.look('review-approved')
  await console.getByRole('button', { name: 'Stop the reset' }).click()
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByText('This case is closed.')).toBeVisible()
  await app.server.mail(/canceled|cancelled/, alice)
})

test('approve by keyboard alone', async ({ app }) => {
  const { reference, console } = await openCase(app)
  await expect(console.getByRole('heading', { level: 2 })).toBeFocused()
  const approve = console.getByRole('button', { name: 'Approve', exact: true })
  for (let i = 0; i < 12 && !(await approve.evaluate((b) => b.matches(':focus'))); i++) await app.page.keyboard.press('Tab')
  await expect(approve).toBeFocused()
  await app.page.keyboard.press('Enter')
  await app.page.keyboard.press('Enter') // pressed once too often: nothing is approved
  const tick = console.getByRole('checkbox')
  await approve.press('Enter')
  for (let i = 0; i < 6 && !(await tick.evaluate((b) => b.matches(':focus'))); i++) await app.page.keyboard.press('Tab')
  await app.page.keyboard.press('Space')
  await app.page.keyboard.press('Tab')
  await app.page.keyboard.type(reference)
  await app.page.keyboard.press('Enter')
  await expect(console.getByText('Approved. The link is mailed as soon as it takes effect.')).toBeVisible()
})

test('deny: needs a reason; the note is for reviewers only', async ({ app }) => {
  const { console } = await openCase(app)
  await console.getByRole('button', { name: 'Deny' }).click()
  await expect(console.getByRole('button', { name: 'Confirm' })).toHaveAttribute('aria-disabled', 'true')
  await console.getByRole('combobox').selectOption('identity_mismatch')
  await console.getByRole('textbox', { name: /Note/ }).fill('the photo is of somebody else')
  await app.look('review-deny')
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByText('Denied. The user is told.')).toBeVisible()
  const mail = await app.server.mail(/not approved/, alice)
  expect(mail.text).toContain('The ID does not match what we have on file.')
  expect(mail.text + mail.html).not.toContain('the photo is of somebody else')
})

test('retry: another identity check', async ({ app }) => {
  const { console } = await openCase(app)
  await console.getByRole('button', { name: 'Ask for another identity check' }).click()
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByText('Identity check not done yet')).toBeVisible()
})

test('two reviewers: the first approval is noted, the second must be somebody else', async ({ app }) => {
  const { reference, id, console } = await openCase(app, 'miaxdx', { reviewers: 2 })
  await console.getByRole('button', { name: 'Approve', exact: true }).click()
  await console.getByRole('checkbox').check()
  await console.getByRole('textbox', { name: /to approve/ }).fill(reference)
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByText('Your approval is noted. One more is needed.')).toBeVisible()
  await expect(console.getByRole('button', { name: 'Approve', exact: true })).toHaveCount(0)
  await app.look('review-first-approval')
  const second = await reviewing(app, reviewer2)
  expect(await decide(app, second.session, id, { decision: 'approve', identity_matches: true })).toMatchObject({ approvals: 2 })
})

test('a stale case: somebody else decided meanwhile', async ({ app }) => {
  const { id, console } = await openCase(app)
  await expect(console.getByRole('button', { name: 'Deny' })).toBeVisible()
  const second = await reviewing(app, reviewer2)
  await decide(app, second.session, id, { decision: 'deny', reason_code: 'other' })
  await console.getByRole('button', { name: 'Ask for another identity check' }).click()
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByRole('alert')).toContainText('The case has changed')
  await app.look('review-stale')
  await console.getByRole('button', { name: 'Show the case as it is now' }).click()
  await expect(console.getByText('This case is closed.')).toBeVisible()
})

test('who may not: own case, no reviewer, a sign-in too long ago, no such case', async ({ app }) => {
  await app.start('miaxdx')
  const phone = await app.enable(reviewer)
  await lostDevice(app, reviewer)
  const { id } = await (async () => {
    await app.enable()
    return inReview(app)
  })()
  const { session } = await reviewing(app, reviewer, phone)
  // Whoever is no reviewer
  const other = await app.mount('nightlatch-review', { session: await app.session(), case: id })
  await expect(other.getByRole('alert')).toContainText('Only reviewers')
  // No such case
  const none = await app.mount('nightlatch-review', { session, case: 'nobody' })
  await expect(none.getByRole('alert')).toContainText('There is no such case.')
  // Too long ago
  await app.wind(16 * 60)
  const late = await app.mount('nightlatch-review', { session, case: id })
  await expect(late.getByRole('alert')).toContainText('more than 15 minutes ago')
  await app.look('review-reauthenticate')
  await late.getByRole('button', { name: 'Sign in' }).click()
  expect((await app.events()).map((e) => e.type)).toContain('nightlatch-reauthenticate')
})

test('a case is called the reviewer’s own only where the service says so', async ({ app }) => {
  const { id, session, console } = await openCase(app)
  const service = { status: 403, contentType: 'application/problem+json', json: { status: 403, code: 'forbidden', title: 'You may not do this', detail: 'Nobody decides on their own account.' } }
  const gateway = { status: 403, json: { message: 'Forbidden' } }
  const answers = async (pattern: string, answer: typeof service | typeof gateway) => {
    await app.page.unroute(pattern)
    await app.page.route(pattern, (route) => route.fulfill(answer))
  }
  const decision = '**/v1/reviews/*/decision'
  await answers(decision, gateway)
  await console.getByRole('button', { name: 'Ask for another identity check' }).click()
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByRole('alert')).toHaveText(/^\s*You may not do this\.\s*$/)
  await answers(decision, service)
  await console.getByRole('button', { name: 'Confirm' }).click()
  await expect(console.getByRole('alert')).toHaveText(/^\s*Nobody decides on their own account\.\s*$/)

  for (const [answer, words] of [[gateway, 'You may not do this.'], [service, 'Nobody decides on their own account.']] as const) {
    await answers('**/v1/reviews/*', answer)
    const opened = await app.mount('nightlatch-review', { session, case: id })
    await expect(opened.getByRole('alert')).toContainText(words)
  }
  // Who is no reviewer is refused the queue as well.
  await answers('**/v1/reviews', service)
  const other = await app.mount('nightlatch-review', { session, case: id })
  await expect(other.getByRole('alert')).toContainText('Only reviewers')
})

test('what an attacker writes is shown as text, and nothing invisible hides in it', async ({ app }) => {
  const { id, session } = await openCase(app)
  await app.page.route('**/v1/reviews/*', async (route) => {
    const answer = await route.fetch()
    const found = await answer.json()
    found.request.user_agent = '<img src=x onerror=alert(1)> \u202eexe.ylno daer\u202c \u0007 Approved by reviewer'
    found.identity[0].verified = 'Alice\u200b Doe'
    found.inquiry_url = 'javascript:alert(document.domain)'
    await route.fulfill({ response: answer, json: found })
  })
  const console = await app.mount('nightlatch-review', { session, case: id })
  await expect(console.getByText('<img src=x onerror=alert(1)> \ufffdexe.ylno daer\ufffd \ufffd Approved by reviewer')).toBeVisible()
  await expect(console.getByText('Alice\ufffd Doe')).toBeVisible()
  await expect(console.getByRole('link')).toHaveCount(0)
  await expect(console.locator('img')).toHaveCount(0)
})

test('a newer service: what is not known here is shown as it is', async ({ app }) => {
  const { id, session } = await openCase(app)
  await app.page.route('**/v1/reviews/*', async (route) => {
    const answer = await route.fetch()
    const found = await answer.json()
    found.state = 'on_ice'
    found.effect.enforcement = 'sometimes'
    Object.assign(found.identity[0], { field: 'shoe_size', result: 'nearly' })
    await route.fulfill({ response: answer, json: found })
  })
  const console = await app.mount('nightlatch-review', { session, case: id })
  for (const text of ['on_ice', 'nearly']) await expect(console.getByText(text)).toBeVisible()
  await expect(console.getByRole('rowheader', { name: 'shoe_size' })).toBeVisible()
  await expect(console.getByRole('heading', { name: 'What approving does' })).toBeVisible()
})
