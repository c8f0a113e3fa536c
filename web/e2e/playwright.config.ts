import { defineConfig } from '@playwright/test'

// Every test has the real program to itself: nothing is shared but the two things that setup.ts builds.
export default defineConfig({
  testDir: 'tests',
  outputDir: 'results/failures',
  globalSetup: './harness/setup.ts',
  fullyParallel: true,
  workers: 2,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [['list']],
  use: {
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      // The browser is for pages of this machine: it looks nothing up elsewhere.
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
    },
    viewport: { width: 720, height: 900 },
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
  },
})
