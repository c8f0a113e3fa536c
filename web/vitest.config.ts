import { defineConfig } from 'vitest/config'

// What needs no browser. The screens are in e2e, for Playwright.
export default defineConfig({ test: { include: ['*/test/**/*.test.ts'] } })
