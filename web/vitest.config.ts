import { defineConfig } from 'vitest/config'

import { pages } from './vite.shared.ts'

// What needs no browser. The screens are in e2e, for Playwright.
export default defineConfig({ resolve: pages('').resolve ?? {}, test: { include: ['*/test/**/*.test.ts'] } })
