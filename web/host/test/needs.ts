// What a test needs besides Node, told as pkg/needs tells it for Go: a skip names the program and is repeated at the end of
// `make test`, and CI fails.
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/** Says whether a program is installed. Where it is not, that is told; with CI=true it throws. */
export function installed(program: string, ask: string, test: string): boolean {
  if (spawnSync(program, [ask]).status === 0) {
    return true;
  }
  const line = `SKIPPED FOR LACK OF ${program}: ${test}`;
  if (process.env['CI'] === 'true') {
    throw new Error(line);
  }
  const told = process.env['SKIPPED_TESTS'];
  if (told) {
    appendFileSync(told, line + '\n', { mode: 0o600 });
  }
  console.warn(line);
  return false;
}
