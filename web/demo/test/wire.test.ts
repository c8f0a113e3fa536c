import { expect, it } from 'vitest'

import type { Exchange } from '../src/lab.ts'
import { claimsOf, curlOf, sameAnswer } from '../src/wire.ts'

const jwt = (claims: unknown, signature = 'c2ln') => ['e30', btoa(JSON.stringify(claims)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''), signature].join('.')

it('reads what an assertion says', () => {
  expect(claimsOf(jwt({ sub: 'alice', jti: '>>>???' }))).toEqual({ sub: 'alice', jti: '>>>???' })
  for (const other of [undefined, 5, '', 'a.b', 'a.b.c', 'a.!!.c', jwt(null)]) expect(claimsOf(other)).toBeUndefined()
})

it('takes the same assertion, signed anew, for the same answer', () => {
  expect(sameAnswer({ assertion: jwt({ jti: '1' }, 'YQ') }, { assertion: jwt({ jti: '1' }, 'Yg') })).toBe(true)
  expect(sameAnswer({ assertion: jwt({ jti: '1' }) }, { assertion: jwt({ jti: '2' }) })).toBe(false)
  expect(sameAnswer({ code: 'locked' }, { code: 'locked' })).toBe(true)
  expect(sameAnswer({ code: 'locked' }, { code: 'invalid_code' })).toBe(false)
})

it('writes a command that a shell takes as it is meant', () => {
  const e: Exchange = { id: 1, at: 0, method: 'POST', path: '/v1/check', headers: { authorization: 'Bearer x' }, request: { code: "1'2" }, status: 200, answer: {}, ms: 1 }
  expect(curlOf(e, 'http://127.0.0.1:1')).toBe(`curl -sS \\\n  'http://127.0.0.1:1/v1/check' \\\n  -H 'authorization: Bearer x' \\\n  -d '{"code":"1'\\''2"}'`)
  expect(curlOf({ ...e, method: 'DELETE', headers: {}, request: undefined }, '')).toBe("curl -sS \\\n  -X DELETE \\\n  '/v1/check'")
  expect(curlOf({ ...e, method: 'GET', headers: {}, request: undefined }, '')).toBe("curl -sS \\\n  '/v1/check'")
})
