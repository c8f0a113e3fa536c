// The package as another project gets it: packed from a clone, by the command of the README.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** Runs a program, and fails with what it has said. */
function run(program: string, args: string[], cwd: string): string {
  return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

test('it can be packed, imported, and its types resolve', { timeout: 300_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'nightlatch-pack-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const modules = join(repository, 'web/node_modules');

  // In a copy: the clone's own dist is in use by other tests.
  const clone = join(dir, 'clone');
  for (const file of ['LICENSE', 'web/tsconfig.base.json', 'web/tsconfig.build.json', 'web/host/package.json', 'web/host/tsconfig.build.json', 'web/host/src', 'web/host/README.md']) {
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    cpSync(join(repository, file), join(clone, file), { recursive: true });
  }
  symlinkSync(modules, join(clone, 'web/node_modules'));
  const packed = JSON.parse(run('npm', ['pack', '--silent', '--json', '--pack-destination', dir], join(clone, 'web/host')));
  const names: string[] = packed[0].files.map(({ path }: { path: string }) => path);
  expect(names).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']));
  expect(names.filter((name) => !/^(LICENSE|README\.md|package\.json|dist\/\w+(\.d\.ts|\.js))$/.test(name))).toEqual([]);

  // What npm install does, without a network: unpack it, and beside it what it depends on.
  const project = join(dir, 'project');
  const installed = join(project, 'node_modules/@nightlatch/host');
  mkdirSync(installed, { recursive: true });
  run('tar', ['-xzf', join(dir, packed[0].filename), '-C', installed, '--strip-components=1'], dir);
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    mkdirSync(dirname(join(project, 'node_modules', name)), { recursive: true });
    symlinkSync(join(modules, name), join(project, 'node_modules', name));
  }
  writeFileSync(join(project, 'package.json'), '{"type":"module"}');
  writeFileSync(join(project, 'login.ts'), `
    import { type Claims, Host, memoryRedeemer, newNonce, serviceKey } from '@nightlatch/host';
    const host = new Host({ url: 'https://2fa.example.com', audience: 'a', credentials: serviceKey('k'), redeemer: memoryRedeemer() });
    export const amr = (claims: Claims): string[] => claims.amr;
    // @ts-expect-error: types are there, and not any
    host.report('alice', { type: 'no such type' }).catch(() => {});
    console.log(newNonce().length);
  `);
  run(process.execPath, [tsc, '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node', 'login.ts'], project);
  expect(run(process.execPath, ['--input-type=module', '-e', "import { Host, newNonce } from '@nightlatch/host'; console.log(typeof Host, newNonce().length)"], project)).toBe('function 22\n');
});
