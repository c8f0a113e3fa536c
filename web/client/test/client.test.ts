import { describe, expect, test } from 'vitest'

import { Client, newKey, Refusal, Unreachable } from '../src/index.ts'

/** Answers requests in turn, and keeps them. */
function service(...answers: (Response | Error)[]) {
  return ending(undefined, ...answers)
}

/** The same, for a client that may be told to end. */
function ending(signal: AbortSignal | undefined, ...answers: (Response | Error)[]) {
  const asked: Request[] = []
  const fetch = async (request: Request) => {
    asked.push(request.clone())
    const answer = answers[Math.min(asked.length, answers.length) - 1]!
    if (answer instanceof Error) throw answer
    return answer.clone()
  }
  return { asked, client: new Client({ url: 'https://2fa.example.com', session: () => 'token', fetch: fetch as typeof globalThis.fetch, ...(signal ? { signal } : {}) }) }
}

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })
const problem = (status: number, code: string, more: object = {}, headers = {}) => json(status, { code, status, title: 't', detail: 'd', ...more }, headers)
const setUp = { enrollment_id: 'id', manual_secret: 'K' }
const lost = new TypeError('Failed to fetch')

describe('a refusal', () => {
  const gateway = (status: number) => json(status, { message: 'Forbidden' })
  const cases: [string, Response, string][] = [
    ['has the code of the service', problem(422, 'invalid_code'), 'invalid_code'],
    ['has the code of its status where the gateway answers: 401', gateway(401), 'unauthorized'],
    ['403', gateway(403), 'forbidden'],
    ['404', gateway(404), 'not_found'],
    ['429', gateway(429), 'unavailable'],
    ['502', gateway(502), 'unavailable'],
    ['503', gateway(503), 'unavailable'],
    ['504', gateway(504), 'unavailable'],
    ['500', gateway(500), 'internal'],
    ['a status of which nothing is known', gateway(418), 'internal'],
    ['does not take a code that belongs to another status', problem(503, 'invalid_code'), 'unavailable'],
    ['does not take a code that nobody knows', problem(422, 'toString'), 'internal'],
    ['is told without a body', new Response(null, { status: 401 }), 'unauthorized'],
    ['is told with a page', new Response('<html>', { status: 503 }), 'unavailable'],
    ['is told with null', json(401, null), 'unauthorized'],
    ['is told with a list', json(403, ['code']), 'forbidden'],
  ]
  test.each(cases)('%s', async (name, answer, code) => {
    const refusal = await service(answer).client.check('123456').catch((e) => e)
    expect(refusal).toBeInstanceOf(Refusal)
    expect([refusal.status, refusal.code]).toEqual([answer.status, code])
    expect(refusal.told).toBe(name === 'has the code of the service')
    expect(typeof refusal.problem.detail).toBe('string')
  })

  test('says how long to wait, in seconds', async () => {
    for (const [header, seconds] of [['7', 7], [new Date(Date.now() + 60_000).toUTCString(), 60], ['soon', 0], ['-3', 0], ['Mon, 01 Jan 1990 00:00:00 GMT', 0]] as const) {
      const refusal = await service(problem(429, 'locked', {}, { 'retry-after': header })).client.check('1').catch((e) => e)
      expect(Math.abs(refusal.retryAfter - seconds)).toBeLessThanOrEqual(1)
    }
  })
})

test('a 401 of the gateway ends what the call belongs to: the session, or the sign-in', async () => {
  const gateway = json(401, { message: 'Unauthorized' })
  const code = (call: (c: Client) => Promise<unknown>) => call(service(gateway).client).catch((e) => e.code)
  expect(await code((c) => c.status())).toBe('unauthorized')
  for (const call of [
    (c: Client) => c.verify('c', 'totp', '1'),
    (c: Client) => c.beginEnrollmentInSignIn('c'),
    (c: Client) => c.confirmEnrollmentInSignIn('c', 'id', '1'),
    (c: Client) => c.requestReset('c'),
  ]) expect(await code(call)).toBe('challenge_expired')
})

describe('a session that cannot be fetched', () => {
  const client = (session: () => Promise<string>) => {
    const asked: Request[] = []
    const fetch = async (request: Request) => { asked.push(request); return json(200, { policy: {} }) }
    return { asked, client: new Client({ url: 'https://2fa.example.com', session, fetch: fetch as typeof globalThis.fetch }) }
  }
  test('is none: nothing is sent, and the cause is told', async () => {
    const cause = new Error('login_required')
    const { asked, client: c } = client(() => Promise.reject(cause))
    await expect(c.status()).rejects.toMatchObject({ status: 401, code: 'unauthorized', cause })
    expect(asked).toHaveLength(0)
  })
  test('also when it throws', async () => {
    await expect(client(() => { throw new Error('no') }).client.status()).rejects.toMatchObject({ code: 'unauthorized' })
  })
  test('for want of a network, is asked for again', async () => {
    let times = 0
    const { asked, client: c } = client(() => (++times === 1 ? Promise.reject(lost) : Promise.resolve('token')))
    await c.status()
    expect(asked.map((r) => r.headers.get('authorization'))).toEqual(['Bearer token'])
  })
})

describe('what is safe to send again is sent again', () => {
  test('after a lost answer, under the same key and with the same body', async () => {
    const { asked, client } = service(lost, json(200, setUp))
    expect(await client.beginEnrollment({ code: '123456' })).toEqual(setUp)
    expect(asked).toHaveLength(2)
    expect(asked[0]!.headers.get('idempotency-key')).toMatch(/^[\w-]{32}$/)
    expect(asked[1]!.headers.get('idempotency-key')).toBe(asked[0]!.headers.get('idempotency-key'))
    expect(await asked[1]!.json()).toEqual({ code: '123456' })
  })
  test('after a 503, three times in all', async () => {
    const { asked, client } = service(problem(503, 'unavailable'))
    await expect(client.verify('c', 'totp', '123456')).rejects.toMatchObject({ code: 'unavailable' })
    expect(asked).toHaveLength(3)
  })
  test('but not when the service asks for a longer pause', async () => {
    const { asked, client } = service(problem(503, 'unavailable', {}, { 'retry-after': '30' }))
    await expect(client.status()).rejects.toMatchObject({ retryAfter: 30 })
    expect(asked).toHaveLength(1)
  })
  test('but not what was refused', async () => {
    for (const answer of [problem(422, 'invalid_code'), problem(429, 'locked'), problem(409, 'conflict'), problem(500, 'internal')]) {
      const { asked, client } = service(answer)
      await expect(client.verify('c', 'totp', '1')).rejects.toBeInstanceOf(Refusal)
      expect(asked).toHaveLength(1)
    }
  })
  test('after an answer that is not the one to this question', async () => {
    for (const other of [json(200, {}), json(200, null), json(200, []), json(200, 'x'), new Response(null, { status: 204 }), new Response('', { status: 200 })]) {
      const { asked, client } = service(other, json(200, setUp))
      expect(await client.beginEnrollment()).toEqual(setUp)
      expect(asked).toHaveLength(2)
    }
    await expect(service(json(200, {})).client.check('1')).rejects.toBeInstanceOf(Unreachable)
  })
  test('but not once it has ended', async () => {
    const end = new AbortController()
    const { asked, client } = ending(end.signal, lost, json(200, setUp))
    const begun = client.beginEnrollment()
    end.abort()
    await expect(begun).rejects.toBeInstanceOf(Unreachable)
    await expect(client.status()).rejects.toBeInstanceOf(Unreachable)
    expect(asked.length).toBeLessThan(2)
  })
  test('nor is an answer told that comes after the end', async () => {
    const end = new AbortController()
    const fetch = async () => {
      end.abort()
      return json(200, setUp)
    }
    const client = new Client({ url: 'https://2fa.example.com', fetch: fetch as typeof globalThis.fetch, signal: end.signal })
    await expect(client.status()).rejects.toBeInstanceOf(Unreachable)
  })
  test('but not a check, where a wrong code would count twice, nor a decision', async () => {
    for (const call of [(c: Client) => c.check('1'), (c: Client) => c.decide('id', { decision: 'deny', case_version: 1, reason_code: 'other' })]) {
      const { asked, client } = service(lost)
      await expect(call(client)).rejects.toBeInstanceOf(Unreachable)
      expect(asked).toHaveLength(1)
    }
  })
  test('a body that breaks off is no answer', async () => {
    const { asked, client } = service(new Response('{"enrollment_id":', { status: 200 }), json(200, setUp))
    expect(await client.beginEnrollment()).toEqual(setUp)
    expect(asked).toHaveLength(2)
  })
})

test('each route is asked as the API has it', async () => {
  const calls: [(c: Client) => Promise<unknown>, string, unknown][] = [
    [(c) => c.beginEnrollment(), 'POST /v1/enroll', {}],
    [(c) => c.confirmEnrollment('id', '1'), 'POST /v1/enroll/confirm', { enrollment_id: 'id', code: '1' }],
    [(c) => c.discardEnrollment(), 'DELETE /v1/enroll', undefined],
    [(c) => c.check('1'), 'POST /v1/check', { code: '1' }],
    [(c) => c.createBackupCode({ grant: 'g' }), 'POST /v1/backup-code', { grant: 'g' }],
    [(c) => c.revokeBackupCode('1'), 'POST /v1/backup-code/revoke', { code: '1' }],
    [(c) => c.disable('1'), 'POST /v1/disable', { code: '1' }],
    [(c) => c.status(), 'GET /v1/status', undefined],
    [(c) => c.history('next', 5), 'GET /v1/history?cursor=next&limit=5', undefined],
    [(c) => c.cancelReset(), 'DELETE /v1/reset', undefined],
    [(c) => c.verify('c', 'backup_code', 'K'), 'POST /v1/verify', { challenge: 'c', method: 'backup_code', code: 'K' }],
    [(c) => c.beginEnrollmentInSignIn('c'), 'POST /v1/verify/enroll', { challenge: 'c' }],
    [(c) => c.confirmEnrollmentInSignIn('c', 'id', '1'), 'POST /v1/verify/enroll/confirm', { challenge: 'c', enrollment_id: 'id', code: '1' }],
    [(c) => c.requestReset('c'), 'POST /v1/reset-request', { challenge: 'c' }],
    [(c) => c.showResetLink('t'), 'POST /v1/reset/show', { token: 't' }],
    [(c) => c.goToIdentityCheck('t'), 'POST /v1/reset/identity', { token: 't' }],
    [(c) => c.cancelResetByLink('t'), 'POST /v1/reset/cancel', { token: 't' }],
    [(c) => c.reviews('ready', 'n'), 'GET /v1/reviews?state=ready&cursor=n', undefined],
    [(c) => c.review('a/b'), 'GET /v1/reviews/a%2Fb', undefined],
    [(c) => c.decide('x', { decision: 'stop', case_version: 3 }), 'POST /v1/reviews/x/decision', { decision: 'stop', case_version: 3 }],
  ]
  for (const [call, route, body] of calls) {
    const { asked, client } = service(problem(403, 'forbidden'))
    await expect(call(client)).rejects.toBeInstanceOf(Refusal)
    const request = asked[0]!
    expect(`${request.method} ${request.url.replace('https://2fa.example.com', '')}`).toBe(route)
    expect(body === undefined ? undefined : await request.json()).toEqual(body)
    const bySession = !/verify|reset-request|reset\//.test(route)
    expect(request.headers.get('authorization')).toBe(bySession ? 'Bearer token' : null)
    expect(request.credentials).toBe('omit')
    const safe = /enroll|backup-code|disable/.test(route) && request.method === 'POST'
    expect(request.headers.has('idempotency-key')).toBe(safe)
  }
})

test('two intents have two keys', () => {
  expect(newKey()).not.toBe(newKey())
})
