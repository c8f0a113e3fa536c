import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import openapi, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { expect, test } from 'vitest';

// What is written in src/types.ts by hand is what pkg/api/openapi.yaml says, member for member. Of what a host only hands
// on to the browser, policy and reset, it says less.
const check = (types: string) => `
import type { components } from './openapi.ts';
import type { ChallengeRequest, ChallengeResponse, HostEvent, Subject } from ${JSON.stringify(types)};
type Described = components['schemas'];
type Flat<T> = { [K in keyof T]: T[K] };
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type HandedOn = 'policy' | 'reset';
export const same: [
  Same<Flat<Subject>, Flat<Described['Subject']>>,
  Same<Flat<Omit<ChallengeRequest, 'subject'>>, Flat<Omit<Described['ChallengeRequest'], 'subject'>>>,
  Same<Flat<Omit<ChallengeResponse, HandedOn>>, Flat<Omit<Described['ChallengeResponse'], HandedOn>>>,
  Same<keyof ChallengeRequest, keyof Described['ChallengeRequest']>,
  Same<keyof ChallengeResponse, keyof Described['ChallengeResponse']>,
  Same<Flat<HostEvent>, Flat<Described['HostEventRequest']>>,
] = [true, true, true, true, true, true];
export const handedOn = (answer: Described['ChallengeResponse']): ChallengeResponse => answer;
export const sent = (request: ChallengeRequest): Described['ChallengeRequest'] => request;
`;

test('the types are those of the API', { timeout: 60_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nightlatch-types-'));
  try {
    const spec = new URL('../../../pkg/api/openapi.yaml', import.meta.url);
    writeFileSync(join(dir, 'openapi.ts'), astToString(await openapi(spec)));
    const file = join(dir, 'check.ts');
    writeFileSync(file, check(fileURLToPath(new URL('../src/types.ts', import.meta.url))));
    const program = ts.createProgram([file], {
      strict: true, noEmit: true, exactOptionalPropertyTypes: true, allowImportingTsExtensions: true, skipLibCheck: true, types: [],
      target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
    });
    const wrong = ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
    expect(wrong).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
