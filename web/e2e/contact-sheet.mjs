// Puts the pictures that the tests took side by side: results/sheets/<n>.png. To look at, and mend what is ugly.
//   npm run contact-sheet -w e2e
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { chromium } from '@playwright/test'

const shots = fileURLToPath(new URL('results/shots/', import.meta.url))
const sheets = fileURLToPath(new URL('results/sheets/', import.meta.url))
const rowsOfSheet = 8

rmSync(sheets, { recursive: true, force: true })
mkdirSync(sheets, { recursive: true })
const ids = [...new Set(readdirSync(shots).filter((f) => f.endsWith('.png')).map((f) => f.replace(/\.\w+\.png$/, '')))].sort()
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
const page = await browser.newPage({ viewport: { width: 1600, height: 900 } })
for (let first = 0, n = 1; first < ids.length; first += rowsOfSheet, n++) {
  const cells = ids.slice(first, first + rowsOfSheet).map((id) => `<figure><figcaption>${id}</figcaption>
    ${['light', 'dark', 'narrow'].map((look) => `<img class="${look}" src="${id}.${look}.png" alt="">`).join('')}</figure>`)
  await page.goto('file://' + shots)
  await page.setContent(`<base href="file://${shots}"><style>
    body { display: grid; grid-template-columns: repeat(2, 1fr); gap: 14px; margin: 14px; background: #777; font: 600 15px system-ui }
    figure { display: grid; grid-template: auto 1fr / 9fr 9fr 4fr; gap: 5px; margin: 0; align-items: start }
    figcaption { grid-column: 1 / -1; color: #fff }
    img { width: 100%; max-height: 620px; object-fit: cover; object-position: top }</style>${cells.join('')}`)
  await page.waitForFunction(() => [...document.images].every((i) => i.complete))
  await page.screenshot({ path: `${sheets}${n}.png`, fullPage: true })
}
await browser.close()
console.log(`${ids.length} screens on ${Math.ceil(ids.length / rowsOfSheet)} sheets in ${sheets}`)
