// The typed client of Nightlatch for browsers. No framework, and one dependency: openapi-fetch.
export { Client, type ClientOptions, newKey } from './client.ts'
export { Refusal, Unreachable, type Code, type Problem } from './refusal.ts'
export { keep, kept, forget } from './kept.ts'
export type * from './types.ts'
