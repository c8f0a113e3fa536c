import { expect, it } from 'vitest'

import { linesOf } from '../src/lines.ts'

const changed = (now: unknown, before: unknown) => linesOf(now, before).filter((l) => l.changed).map((l) => l.text.trim())

it('writes JSON as JSON.stringify does', () => {
  const value = { a: 1, b: [1, { c: null, 'd"': 'x' }], e: {}, f: [], g: true }
  expect(linesOf(value).map((l) => l.text).join('\n')).toBe(JSON.stringify(value, null, 2))
  expect(linesOf(value).some((l) => l.changed)).toBe(false)
})

it('marks what differs and nothing else', () => {
  expect(changed({ a: 1, b: 2 }, { a: 1, b: 3 })).toEqual(['"b": 2'])
  expect(changed({ a: 1 }, { a: 1 })).toEqual([])
  expect(changed({ a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } })).toEqual(['"c": 2'])
  expect(changed({ a: 1, b: { c: 1 } }, { a: 1 })).toEqual(['"b": {', '"c": 1', '}'])
  expect(changed([1, 2], [1])).toEqual(['2'])
  expect(changed({ a: null }, { a: {} })).toEqual(['"a": null'])
})

it('marks the parent of what is gone', () => {
  expect(changed({ a: { b: 1 } }, { a: { b: 1, c: 2 } })).toEqual(['"a": {'])
  expect(changed({ a: {} }, { a: { c: 2 } })).toEqual(['"a": {}'])
})

it('does not mistake a list for an object, nor __proto__ for nothing', () => {
  expect(changed({ a: [1] }, { a: { 0: 1 } })).toEqual(['"a": [', '1', ']'])
  expect(changed(JSON.parse('{"toString": 1}'), {})).toEqual(['"toString": 1'])
})
