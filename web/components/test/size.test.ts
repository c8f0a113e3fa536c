import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { build, type Rolldown } from 'vite'
import { expect, test } from 'vitest'

/** What a page loads for all four elements, Lit and English included. In bytes, gzipped. */
const budget = 45_000

test('all elements in one file stay small, with the other languages beside it', async () => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const built = (await build({ root, configFile: root + 'vite.config.ts', mode: 'standalone', logLevel: 'silent', build: { write: false } })) as Rolldown.RolldownOutput[]
  const { output } = built.flat()[0]!
  const file = output.find((o) => o.type === 'chunk' && o.isEntry) as Rolldown.OutputChunk
  const size = gzipSync(file.code, { level: 9 }).length
  console.log(`${file.fileName}: ${size} bytes gzipped`)
  expect(size).toBeLessThan(budget)
  expect(output.map((o) => o.fileName).sort()).toEqual(['de.js', 'es.js', 'fr.js', 'ja.js', 'nightlatch.js']) // as the README says
}, 60_000)
