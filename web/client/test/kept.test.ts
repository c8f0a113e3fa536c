import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { forget, keep, kept } from '../src/index.ts'

let stored: Map<string, string>

beforeEach(() => {
  stored = new Map()
  vi.stubGlobal('sessionStorage', {
    getItem: (name: string) => stored.get(name) ?? null,
    setItem: (name: string, text: string) => stored.set(name, text),
    removeItem: (name: string) => stored.delete(name),
  })
})
afterEach(() => vi.unstubAllGlobals())

test('what is kept is there until it is forgotten', () => {
  keep('a', { b: 1 })
  expect(kept('a')).toEqual({ b: 1 })
  forget('a')
  expect(kept('a')).toBeUndefined()
  expect(stored.size).toBe(0)
})

test('what others wrote is nothing', () => {
  stored.set('nightlatch.a', '{')
  expect(kept('a')).toBeUndefined()
})

test('a browser that forbids storage keeps it for the page', () => {
  const forbidden = () => {
    throw new DOMException('blocked', 'SecurityError')
  }
  vi.stubGlobal('sessionStorage', { getItem: forbidden, setItem: forbidden, removeItem: forbidden })
  keep('c', 'x')
  expect(kept('c')).toBe('x')
  forget('c')
  expect(kept('c')).toBeUndefined()
})
