// All elements. Each is a module of its own as well, for a page that needs one.
export * from './recovery.ts'
export * from './review.ts'
export * from './security-card.ts'
export * from './sign-in.ts'
export { type Session } from './element.ts'
export { type Preset } from './words.ts'
