import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { build } from 'vite'

import { pages } from '../../vite.shared.ts'

/** Where what is built for the tests and what they leave goes; not in git. */
export const results = fileURLToPath(new URL('../results/', import.meta.url))
export const program = results + 'nightlatch'
export const pageFiles = results + 'page'
export const shots = results + 'shots/'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Builds the program under test with its pages in it, and the page that holds one element at a time. */
export default async function setup(): Promise<void> {
  mkdirSync(results, { recursive: true })
  execFileSync('make', ['--no-print-directory', 'web/dist/index.html'], { cwd: root, stdio: 'inherit' })
  execFileSync('go', ['build', '-o', program, './cmd/nightlatch'], { cwd: root, stdio: 'inherit' })
  await build({
    ...pages(pageFiles),
    root: fileURLToPath(new URL('../page/', import.meta.url)),
    configFile: false,
    base: '/e2e/',
    logLevel: 'warn',
  })
}
