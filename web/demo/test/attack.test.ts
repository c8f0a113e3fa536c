import { describe, expect, it } from 'vitest'

import { count, outcomeOf, wrongCodes } from '../src/attack.ts'

it('counts outcomes', () => expect(count(count(count({}, 'a'), 'b'), 'a')).toEqual({ a: 2, b: 1 }))

describe('outcomeOf', () => {
  it.each([
    [200, { assertion: 'x' }, 'signed in'], [422, { code: 'invalid_code' }, 'invalid_code'], [429, { code: 'locked' }, 'locked'],
    [503, { message: 'Service Unavailable' }, 'HTTP 503'], [502, undefined, 'HTTP 502'],
  ])('%d %j', (status, body, want) => expect(outcomeOf(status, body)).toBe(want))
})

it('guesses what is wrong, and nothing twice', () => {
  const codes = wrongCodes(1000, new Set(['000000', '007919']))
  expect(new Set(codes).size).toBe(1000)
  expect(codes.every((c) => /^\d{6}$/.test(c))).toBe(true)
  expect(codes).not.toContain('000000')
  expect(codes).not.toContain('007919')
})
