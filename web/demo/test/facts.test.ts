import { describe, expect, it } from 'vitest'

import { answered, factOf, factsSince, isDone } from '../src/facts.ts'

const event = (type: string, more = {}) => ({ id: '1', at: '', type, ...more })

it('an event is a line', () => {
  expect(factOf(event('login', { outcome: 'success', method: 'totp' }))).toBe('event login success totp')
  expect(factOf(event('enabled', { outcome: 'success' }))).toBe('event enabled success')
})

describe('factsSince', () => {
  const versions = [{ version: 3, events: [event('c'), event('d')] }, { version: 2, events: [event('b')] }, { version: 1 }]
  it('tells what is new, oldest first', () => expect(factsSince(versions, 1)).toEqual({ facts: ['event b', 'event c', 'event d'], seen: 3 }))
  it('tells nothing twice', () => expect(factsSince(versions, 3)).toEqual({ facts: [], seen: 3 }))
  it('takes what it finds at first for old', () => expect(factsSince(versions, undefined)).toEqual({ facts: [], seen: 3 }))
  it('begins again with another account', () => expect(factsSince(versions, 9).facts).toHaveLength(3))
  it('knows an account that was never there', () => expect(factsSince([], undefined)).toEqual({ facts: [], seen: 0 }))
})

describe('answered', () => {
  it.each([
    ['/v1/check', 200, { valid: true }, 'answer /v1/check valid'],
    ['/v1/check', 200, { valid: false, reason: 'clock_skew' }, 'answer /v1/check clock_skew'],
    ['/v1/verify', 422, { code: 'code_reused' }, 'answer /v1/verify code_reused'],
    ['/v1/verify', 422, { code: 'invalid_code', reason: 'clock_skew' }, 'answer /v1/verify clock_skew'],
    ['/v1/verify', 503, undefined, 'answer /v1/verify 503'],
    ['/v1/verify', 200, {}, 'answer /v1/verify ok'],
    ['/v1/enroll', 204, undefined, 'answer /v1/enroll ok'],
    ['/v1/enroll', 0, undefined, 'answer /v1/enroll 0'],
  ])('%s %d %j', (path, status, body, want) => expect(answered(path, status, body)).toBe(want))
})

describe('isDone', () => {
  it.each([
    [['a'], ['a'], true], [['a'], ['a b'], true], [['a'], ['ab'], false], [['a', 'b'], ['b', 'a'], false], [['a', 'b'], ['a', 'x', 'b'], true],
    [['a', 'a'], ['a'], false], [['a'], [], false],
  ])('%j after %j: %s', (wants, facts, want) => expect(isDone(wants, facts)).toBe(want))
})
