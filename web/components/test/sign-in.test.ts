import { Refusal, Unreachable, type Offer } from '@nightlatch/client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { duration, isOpen, known, wayIn } from '../src/parts/asking.ts'
import { identityTrouble } from '../src/parts/ends.ts'
import { redeemed, unanswered } from '../src/parts/redeem.ts'
import { begun, isStale, left } from '../src/parts/sign-in-kept.ts'
import { supportLink } from '../src/parts/support.ts'

const policy = { enforcement: 'optional', backup_use: 'reissue', reset_wait: '24h' } as Offer['policy']
const offer = (more: Partial<Offer> = {}): Offer => ({
  required: true, methods: ['totp', 'backup_code'], challenge: 'c', expires_at: '2026-03-04T13:15:00Z', locked_until: null, suspended: false,
  app: 'App', account: 'alice', email_hint: 'a•••@example.com', policy, recovery: 'identity_review', support: 'help@example.com', reset: null, ...more,
})
const reset = (more: Partial<NonNullable<Offer['reset']>> = {}): NonNullable<Offer['reset']> => ({
  id: 'r', reference: 'R-7K4Q', state: 'identity_pending', requested_at: '2026-03-04T13:00:00Z', entered_at: '2026-03-04T13:00:00Z', tries_left: 3, ...more,
})

describe('redeemed', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())
  const none = () => Promise.resolve(undefined)
  const silent = () => Promise.reject(new TypeError('Failed to fetch'))

  test('hands over at once, and returns the session', async () => {
    const redeem = vi.fn(async () => 'session')
    expect(await redeemed({ assertion: 'a', redeem, again: none })).toEqual({ session: 'session' })
    expect(redeem.mock.calls).toEqual([['a']])
  })

  test('a host without a token is as good', async () => {
    expect(await redeemed({ assertion: 'a', redeem: async () => {}, again: none })).toEqual({ session: undefined })
  })

  test('a no is a no, and asked for once', async () => {
    const redeem = vi.fn(() => Promise.reject(new Error('refused')))
    expect(await redeemed({ assertion: 'a', redeem, again: none })).toBe('refused')
    expect(redeem).toHaveBeenCalledTimes(1)
  })

  test('no answer: the same again, while the assertion lives', async () => {
    const redeem = vi.fn<(assertion: string) => Promise<string>>().mockRejectedValueOnce(new TypeError()).mockRejectedValueOnce(new Unreachable('')).mockResolvedValueOnce('session')
    const waiting = vi.fn()
    const outcome = redeemed({ assertion: 'a', redeem, again: none, waiting })
    await vi.advanceTimersByTimeAsync(1500)
    expect(await outcome).toEqual({ session: 'session' })
    expect(redeem.mock.calls).toEqual([['a'], ['a'], ['a']])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(waiting).not.toHaveBeenCalled()
  })

  test('no answer for a minute: the service is asked once more, and then it is over', async () => {
    const again = vi.fn(async () => 'b')
    const redeem = vi.fn(silent)
    const waiting = vi.fn()
    const outcome = redeemed({ assertion: 'a', redeem, again, waiting })
    await vi.advanceTimersByTimeAsync(59_000)
    expect(again).not.toHaveBeenCalled()
    expect(waiting).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(again).toHaveBeenCalledTimes(1)
    expect(redeem).toHaveBeenLastCalledWith('b')
    await vi.advanceTimersByTimeAsync(61_000)
    expect(await outcome).toBe('late')
  })

  test('no assertion any more: it is over', async () => {
    for (const again of [none, silent]) {
      const outcome = redeemed({ assertion: 'a', redeem: silent, again })
      await vi.advanceTimersByTimeAsync(61_000)
      expect(await outcome).toBe('late')
    }
  })

  test('a host that hangs is not asked twice at once', async () => {
    const redeem = vi.fn(() => new Promise<string>(() => {}))
    const outcome = redeemed({ assertion: 'a', redeem, again: none })
    await vi.advanceTimersByTimeAsync(119_000)
    expect(redeem).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await outcome).toBe('late')
  })

  test('a host that was reached in time may answer when it is over', async () => {
    const redeem = vi.fn(() => new Promise<string>((answer) => setTimeout(() => answer('session'), 61_000)))
    const outcome = redeemed({ assertion: 'a', redeem, again: async () => 'a' })
    await vi.advanceTimersByTimeAsync(61_000)
    expect(await outcome).toEqual({ session: 'session' })
    expect(redeem).toHaveBeenCalledTimes(1)
  })

  test.each([
    [new TypeError('Failed to fetch'), true],
    [new SyntaxError('Unexpected end of JSON input'), true],
    [new DOMException('', 'AbortError'), true],
    [new DOMException('', 'TimeoutError'), true],
    [new DOMException('', 'SecurityError'), false],
    [new Unreachable(undefined), true],
    [new Refusal(503, {}, null), true],
    [new Refusal(401, { code: 'unauthorized' }, null), false],
    [new Error('the host refused the assertion'), false],
    [undefined, false],
  ])('unanswered(%s) is %s', (error, want) => expect(unanswered(error)).toBe(want))
})

describe('where a sign-in begins', () => {
  test.each([
    ['code', offer(), ''],
    ['enrol', offer({ enrollment_required: true, methods: ['enroll'] }), ''],
    ['enrol', offer({ enrollment_required: true, methods: ['enroll'] }), 'token'],
    ['link', offer({ methods: ['totp', 'reset_link'] }), 'token'],
    ['dead-link', offer(), 'token'],
    ['open', offer({ reset: reset() }), ''],
    ['open', offer({ reset: reset({ state: 'ready' }), methods: ['totp', 'reset_link'] }), ''],
    ['code', offer({ reset: reset({ state: 'denied' }) }), ''],
  ])('%s', (step, o, link) => expect(begun(o, link, 0).step).toBe(step))

  test('a lock lasts as long as the service says, whatever this clock shows', () => {
    const locked = offer({ locked_until: '2026-03-04T13:09:00Z' }) // told at 13:05
    expect(begun(locked, '', 1_000).locked).toEqual({ totp: { since: 1_000, until: 1_000 + 4 * 60_000 } })
  })

  test('it is too old after ten minutes, or an hour if something was begun with it', () => {
    const at = begun(offer(), '', 0)
    expect(isStale(at, 600_000)).toBe(false)
    expect(isStale(at, 600_001)).toBe(true)
    expect(isStale({ ...at, spent: 'K7QF9XT4' }, 600_001)).toBe(false)
    expect(isStale({ ...at, enrol: 'c2' }, 600_001)).toBe(false)
    expect(isStale({ ...at, accepted: { method: 'backup_code', state: 'enabled' } }, 600_001)).toBe(false)
    for (const more of [{ spent: 'K7QF9XT4' }, { enrol: 'c2' }, { accepted: { method: 'backup_code', state: 'enabled' } }] as const) {
      expect(isStale({ ...at, ...more }, 3_600_000)).toBe(false)
      expect(isStale({ ...at, ...more }, 3_600_001)).toBe(true)
    }
  })
})

describe('the way to a reset', () => {
  test.each([
    ['ask', null],
    ['open', reset()],
    ['open', reset({ state: 'approved' })],
    ['denied', reset({ state: 'denied' })],
    ['identity-over', reset({ state: 'expired', tries_left: 0 })],
    ['ask', reset({ state: 'expired', tries_left: 2 })],
    ['ask', reset({ state: 'canceled' })],
    ['ask', reset({ state: 'completed' })],
  ])('%s', (step, r) => expect(wayIn(r)).toBe(step))

  test('what was asked for since the offer is what is known', () => {
    const asked = { id: 'r2', reference: 'R-NEW1', state: 'identity_pending', email_hint: '', at: 0 } as const
    expect(known(offer({ reset: reset({ state: 'denied' }) }), asked)).toEqual({ id: 'r2', reference: 'R-NEW1', state: 'identity_pending' })
    expect(known(offer({ reset: reset({ tries_left: 2 }) }), { ...asked, id: 'r' })).toMatchObject({ tries_left: 2, reference: 'R-NEW1' })
    expect(known(offer(), undefined)).toBeNull()
    expect(isOpen(known(offer(), asked))).toBe(true)
  })

  test('failed identity checks', () => {
    expect(identityTrouble(reset())).toBeUndefined()
    expect(identityTrouble(reset({ tries_left: 2 }))).toBe('again')
    expect(identityTrouble(reset({ state: 'in_review', tries_left: 2 }))).toBeUndefined()
    expect(identityTrouble(reset({ state: 'expired', tries_left: 0 }))).toBe('over')
    expect(identityTrouble(undefined)).toBeUndefined()
  })

  test.each([['24h', 86400], ['1m30s', 90], ['0s', 0], ['168h', 604800], ['1h0m1.5s', 3601.5]])('duration %s', (text, want) => expect(duration(text)).toBe(want))
})

test.each([
  ['help@example.com', 'mailto:help@example.com'],
  ['https://help.example.com/2fa', 'https://help.example.com/2fa'],
  ['http://help.example.com', undefined],
  ['javascript:alert(1)', undefined],
  ['javascript:alert(1)//@x', undefined],
  ['a@b?bcc=c@d', undefined],
  ['a+b@example.com', 'mailto:a%2Bb@example.com'],
  ['+1 555 0100', undefined],
  ['', undefined],
])('supportLink(%s) is %s', (support, want) => expect(supportLink(support)).toBe(want))

test.each([[1_000, 4_000], [3_000, 2_000], [5_000, 0], [9_000, 0], [999, 0], [-7_200_000, 0]])('left of a pause at %d', (now, want) => {
  expect(left({ since: 1_000, until: 5_000 }, now)).toBe(want)
  expect(left(undefined, now)).toBe(0)
})
