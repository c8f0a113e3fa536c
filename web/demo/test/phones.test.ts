import { expect, it } from 'vitest'

import { add, another, authenticatorOf, change, empty, held, remove, take, write } from '../src/phones.ts'
import type { Authenticator } from '../src/totp.ts'

const entry = (key: string, account = 'alice'): Authenticator => ({ issuer: 'Demo', account, key, algorithm: 'SHA-1', digits: 6, period: 30 })

it('begins with one phone that has nothing on it', () => expect(held(empty)).toEqual({ name: 'Phone 1', entries: [], drift: 0, lost: false }))

it('has the newest entry first, and the same key once', () => {
  const p = add(add(add(empty, entry('A')), entry('B')), entry('A'))
  expect(held(p).entries.map((e) => e.key)).toEqual(['A', 'B'])
  expect(held(remove(p, entry('A'))).entries.map((e) => e.key)).toEqual(['B'])
  expect(held(empty).entries).toEqual([])
})

it('changes the phone in the hand and no other', () => {
  const p = change(another(add(empty, entry('A'))), { drift: -60 })
  expect(p.phones.map((phone) => phone.drift)).toEqual([0, -60])
  expect(held(take(p, 0)).entries).toHaveLength(1)
  expect(take(p, 7)).toBe(p)
})

it('finds the newest authenticator of an account on a phone that is there', () => {
  const p = add(another(add(add(empty, entry('A')), entry('X', 'bob'))), entry('B'))
  expect(authenticatorOf(p, 'alice')?.key).toBe('B')
  expect(authenticatorOf(take(p, 0), 'alice')?.key).toBe('A')
  expect(authenticatorOf(change(p, { lost: true }), 'alice')?.key).toBe('A')
  expect(authenticatorOf(p, 'carol')).toBeUndefined()
})

it('writes a code down once, the newest first', () => {
  const p = write(write(write(empty, { code: '1', of: 'a' }), { code: '2', of: 'a' }), { code: '1', of: 'a' })
  expect(p.notes.map((n) => n.code)).toEqual(['1', '2'])
})

it('does not carry more than it can', () => {
  let p = empty
  for (let i = 0; i < 9; i++) p = write(add(another(p), entry(String(i))), { code: String(i), of: 'a' })
  expect(p.phones).toHaveLength(6)
  expect(p.notes).toHaveLength(6)
  expect(held(p).entries.length).toBeLessThanOrEqual(6)
})

it('makes room for another phone by the one that was lost first', () => {
  let p = change(another(change(empty, { lost: true })), { lost: true })
  for (let i = 0; i < 4; i++) p = another(p)
  expect(p.phones.map((phone) => phone.name)).toEqual(['Phone 1', 'Phone 2', 'Phone 3', 'Phone 4', 'Phone 5', 'Phone 6'])
  p = another(p)
  expect(p.phones.map((phone) => phone.name)).toEqual(['Phone 2', 'Phone 3', 'Phone 4', 'Phone 5', 'Phone 6', 'Phone 7'])
  expect(held(p).name).toBe('Phone 7')
  expect(held(another(p)).name).toBe('Phone 8')
  expect(another(another(p))).toEqual(another(p)) // none of them is lost
})
