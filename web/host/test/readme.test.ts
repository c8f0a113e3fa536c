import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const blocks = (kind: string) => [...read('README.md').matchAll(new RegExp(`^\`\`\`${kind}\\n(.*?)^\`\`\``, 'gms'))].map((match) => match[1]!);

test('the lines of the README are those of the example, in their order', () => {
  let rest = read('examples/express/server.mjs').split('\n');
  const lines = blocks('js').join('').split('\n').filter((line) => line !== '');
  expect(lines.length).toBeGreaterThan(20);
  for (const line of lines) {
    expect(rest).toContain(line);
    rest = rest.slice(rest.indexOf(line) + 1);
  }
});

test('the other lines of the README are TypeScript', () => {
  expect(blocks('ts')).toHaveLength(3);
  for (const block of blocks('ts')) {
    expect(ts.transpileModule(block, { reportDiagnostics: true }).diagnostics).toEqual([]);
  }
});
