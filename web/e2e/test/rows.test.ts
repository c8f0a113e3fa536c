import { readdirSync, readFileSync } from 'node:fs'

import { expect, test } from 'vitest'

import en from '../../components/src/locales/en.json'

// Each row of a screen has its words under its own id, and a test in Chromium that names it.
const tests = new URL('../tests/', import.meta.url)
const titles = readdirSync(tests).flatMap((file) =>
  [...readFileSync(new URL(file, tests), 'utf8').matchAll(/\btest\((['"`])(.*?)\1/g)].map((found) => ({ file, title: found[2]! })),
)

/** The row ids that a title names: `E3a`, and every one of `P1 to P4`. */
function named(title: string): string[] {
  const range = /\b([A-Z])(\d+) to \1(\d+)\b/.exec(title)
  const between = range ? Array.from({ length: Number(range[3]) - Number(range[2]) + 1 }, (_, i) => range[1]! + (Number(range[2]) + i)) : []
  return [...between, ...(title.match(/\b[A-Z]\d+[a-z]?\b/g) ?? [])]
}

test('every row of the screens has a test', () => {
  const rows = [...new Set(Object.keys(en).map((key) => key.split('.')[0]!))].filter((id) => /^[A-Z]\d+[a-z]?$/.test(id)).sort()
  const table = rows.map((id) => ({ id, by: titles.filter((t) => named(t.title).includes(id)) }))
  console.log(table.map(({ id, by }) => `${id.padEnd(4)} ${by.map((t) => `${t.file}: ${t.title}`).join('\n     ')}`).join('\n'))
  expect(table.filter(({ by }) => by.length === 0).map(({ id }) => id)).toEqual([])
})
