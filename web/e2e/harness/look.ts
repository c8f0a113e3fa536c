import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

import { expect, type Page } from '@playwright/test'

import { shots } from './setup.ts'

// Evaluated as a debugger does, not loaded as a script: the page's policy allows no other than its own.
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** How each screen is looked at. */
const looks = [
  { name: 'light', scheme: 'light', width: 720 },
  { name: 'dark', scheme: 'dark', width: 720 },
  { name: 'narrow', scheme: 'light', width: 320 },
] as const

/**
 * Takes a screen's picture in light, dark and 320 pixels wide, and holds each against WCAG 2.2 AA by axe and against a page
 * that scrolls sideways (success criterion 1.4.10).
 */
export async function look(page: Page, id: string): Promise<void> {
  mkdirSync(shots, { recursive: true })
  const before = page.viewportSize()!
  for (const l of looks) {
    await page.emulateMedia({ colorScheme: l.scheme, reducedMotion: 'reduce' })
    await page.setViewportSize({ width: l.width, height: before.height })
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${id} fits in ${l.width} pixels`).toBe(true)
    await page.screenshot({ path: `${shots}${id}.${l.name}.png`, fullPage: true, animations: 'disabled' })
    expect(await violations(page), `${id} in ${l.name} against WCAG 2.2 AA`).toEqual([])
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'no-preference' })
  await page.setViewportSize(before)
}

/** What axe finds wrong, in a form that a person can read. */
export async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe)
  return page.evaluate(async () => {
    const { violations } = await (window as any).axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      rules: { region: { enabled: false }, 'page-has-heading-one': { enabled: false }, 'landmark-one-main': { enabled: false } }, // the page's, not the element's
    })
    return violations.flatMap((v: any) => v.nodes.map((n: any) => `${v.id}: ${v.help}: ${n.html} ${n.failureSummary}`))
  })
}
