import { expect, it } from 'vitest'

import { nameOf, piecesOf } from '../src/letter.ts'

const origin = 'http://127.0.0.1:8787'

it('finds the links of a mail, and opens only what may be opened', () => {
  const text = `Confirm: ${origin}/#/reset/identity/a-b_c.\nSee https://example.com/x?y=1) or http://elsewhere.example/ or javascript:alert(1)`
  expect(piecesOf(text, origin)).toEqual([
    { text: 'Confirm: ' },
    { text: `${origin}/#/reset/identity/a-b_c`, link: `${origin}/#/reset/identity/a-b_c`, here: true },
    { text: '.\nSee ' },
    { text: 'https://example.com/x?y=1', link: 'https://example.com/x?y=1', here: false },
    { text: ') or ' },
    { text: 'http://elsewhere.example/' },
    { text: ' or javascript:alert(1)' },
  ])
})

it('is not taken in by an address that begins like ours', () => {
  expect(piecesOf(`${origin}//evil.example/#/reset/cancel`, origin)).toEqual([{ text: `${origin}//evil.example/#/reset/cancel` }])
  expect(piecesOf('http://127.0.0.1:87871/x http://127.0.0.1:8787@evil.example/', origin)).toEqual([
    { text: 'http://127.0.0.1:87871/x' }, { text: ' ' }, { text: 'http://127.0.0.1:8787@evil.example/' },
  ])
})

it('has a text without links in one piece, and an empty one in none', () => {
  expect(piecesOf('Hello', origin)).toEqual([{ text: 'Hello' }])
  expect(piecesOf('', origin)).toEqual([])
})

it('names links', () => {
  expect(nameOf(`${origin}/#/reset/sign_in/x`)).toBe('Sign in')
  expect(nameOf('https://example.com')).toBe('https://example.com')
})
