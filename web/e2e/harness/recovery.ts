import { alice, reviewer, type App } from './app.ts'
import type { Phone } from './phone.ts'

/** Asks for a reset as somebody who has lost phone and code, after the password. */
export async function lostDevice(app: App, email = alice): Promise<{ id: string; reference: string }> {
  const offer = await app.login(email)
  return app.server.ask('POST', '/v1/reset-request', { challenge: offer.challenge })
}

/** Goes through the identity check by the mailed link: pass or fail. */
export async function identityCheck(app: App, result: 'pass' | 'fail', email = alice): Promise<void> {
  const token = app.server.link(await app.server.mail(/Confirm your identity/, email), 'identity')
  const { url } = await app.server.ask('POST', '/v1/reset/identity', { token })
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ result }) })
  if (!answer.ok) throw new Error(`the identity check answered ${answer.status}`)
}

/** A case that waits for a reviewer. */
export async function inReview(app: App, email = alice): Promise<{ id: string; reference: string }> {
  const reset = await lostDevice(app, email)
  await identityCheck(app, 'pass', email)
  await app.server.mail(new RegExp(`Case ${reset.reference} waits`))
  return reset
}

/** A session of a reviewer who has signed in with a code just now. Once they have a phone, hand it in. */
export async function reviewing(app: App, email = reviewer, phone?: Phone): Promise<{ session: string; phone: Phone }> {
  phone ??= await app.enable(email)
  return { session: await app.session(email, phone), phone }
}

/** Decides on a case over the API. */
export async function decide(app: App, session: string, id: string, decision: Record<string, unknown>): Promise<any> {
  const { case_version } = await app.server.ask('GET', `/v1/reviews/${id}`, undefined, session)
  return app.server.ask('POST', `/v1/reviews/${id}/decision`, { case_version, ...decision }, session)
}
