// The packages as another project gets them: packed in a clone, by the command of the README.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build, type Rolldown } from 'vite'
import { expect, onTestFinished, test } from 'vitest'

const repository = fileURLToPath(new URL('../../..', import.meta.url))
const modules = join(repository, 'web/node_modules')

function run(program: string, args: string[], cwd: string): string {
  return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function link(to: string, at: string): void {
  mkdirSync(dirname(at), { recursive: true })
  symlinkSync(to, at)
}

const page = `
  import { Client, Refusal } from '@nightlatch/client'
  import { NightlatchSignIn, type Offer } from '@nightlatch/components'
  import { SecurityCard, SignIn } from '@nightlatch/components/react'
  import en from '@nightlatch/components/en.json'

  export const client = new Client({ url: en['E0.headline'], session: () => Promise.reject(new Refusal(401, undefined, null)) })
  export const underWay: boolean = NightlatchSignIn.underWay
  export const step = (offer: Offer) => <SignIn app="Shop" offer={offer} redeem={async () => {}} onSignedIn={(e) => console.log(e.detail.method)} />
  export const card = <SecurityCard session="token" onEnabled={(e) => e.detail.activated_at.length} />
  // @ts-expect-error: types are there, and not any
  document.querySelector('nightlatch-sign-in')!.offer = 3
`

test('they can be packed, imported, typed and bundled, for React too', { timeout: 300_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nightlatch-pack-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))

  // As a clone is after npm ci: nothing is built.
  const clone = join(dir, 'clone')
  const web = ['package.json', 'tsconfig.base.json', 'tsconfig.build.json', 'components/vite.config.ts',
    ...['client', 'components'].flatMap((name) => ['package.json', 'tsconfig.build.json', 'README.md', 'src'].map((file) => join(name, file)))]
  for (const file of ['LICENSE', 'pkg/api/openapi.yaml', ...web.map((file) => join('web', file))]) {
    cpSync(join(repository, file), join(clone, file), { recursive: true, filter: (source) => !source.endsWith('openapi.ts') })
  }
  for (const name of readdirSync(modules)) if (name !== '@nightlatch') link(join(modules, name), join(clone, 'web/node_modules', name))
  for (const name of ['client', 'components']) link(join(clone, 'web', name), join(clone, 'web/node_modules/@nightlatch', name))
  run('npm', ['pack', '--silent', '-w', 'client', '-w', 'components', '--pack-destination', dir], join(clone, 'web'))

  // What npm install does, without a network: unpack them, and beside them what they depend on.
  const project = join(dir, 'project')
  for (const name of ['client', 'components']) {
    const installed = join(project, 'node_modules/@nightlatch', name)
    mkdirSync(installed, { recursive: true })
    run('tar', ['-xzf', join(dir, `nightlatch-${name}-0.1.0.tgz`), '-C', installed, '--strip-components=1'], dir)
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json'])
  }
  for (const name of ['lit', '@lit', 'lit-html', 'lit-element', 'openapi-fetch', 'react', '@types/react', 'csstype']) link(join(modules, name), join(project, 'node_modules', name))
  writeFileSync(join(project, 'package.json'), '{"type":"module"}')
  writeFileSync(join(project, 'page.tsx'), page)
  const tsc = ['--noEmit', '--strict', '--jsx', 'react-jsx', '--module', 'esnext', '--moduleResolution', 'bundler', '--resolveJsonModule', '--target', 'es2022', '--lib', 'es2023,dom,dom.iterable']
  run(process.execPath, [join(modules, 'typescript/bin/tsc'), ...tsc, 'page.tsx'], project)
  const [bundle] = [await build({ root: project, configFile: false, logLevel: 'silent', build: { write: false, lib: { entry: 'page.tsx', formats: ['es'] } } })].flat() as Rolldown.RolldownOutput[]
  expect(bundle!.output.map((o) => ('code' in o ? o.code : '')).join('')).toContain('nightlatch-security-card')
})
