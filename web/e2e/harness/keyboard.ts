import { expect, type Page } from '@playwright/test'

/** Where the focus is, as a person who looks at the page sees it. */
export interface Stop {
  /** What it is called; empty: the focus is nowhere. */
  name: string
  /** What is wrong with it. */
  wrong: string[]
  /** Whether it is in the application, and where on the page. */
  inside: boolean
  top: number
  bottom: number
  left: number
}

/** A page under somebody's hands who has no mouse. Every stop on the way is held against what such a person needs. */
export class Keyboard {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  press(key: string): Promise<void> {
    return this.page.keyboard.press(key)
  }

  type(text: string): Promise<void> {
    return this.page.keyboard.type(text)
  }

  /** Goes on, or back with Shift+Tab, to the stop of that name, and returns the names of those on the way. */
  async to(name: string, key: 'Tab' | 'Shift+Tab' = 'Tab', most = 40): Promise<string[]> {
    const passed: Stop[] = []
    while (passed.length < most) {
      await this.press(key)
      const stop = await this.stop()
      expect(stop.wrong, `the stop ${stop.name || 'after ' + passed.at(-1)?.name}`).toEqual([])
      const before = passed.at(-1)
      if (before?.inside && stop.inside) expect(key === 'Tab' ? follows(before, stop) : follows(stop, before), `${before.name}, then ${stop.name}: in the order of reading`).toBe(true)
      passed.push(stop)
      if (stop.name === name) return passed.map((s) => s.name)
    }
    throw new Error(`${name} is not to be reached by ${key}; the stops were ${passed.map((s) => s.name).join(', ')}`)
  }

  /** Goes to a button and presses it; returns the names of the stops on the way. */
  async presses(name: string, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<string[]> {
    const passed = await this.to(name, key)
    await this.press('Enter')
    return passed
  }

  stop(): Promise<Stop> {
    return this.page.evaluate(focused)
  }

  /** A step has been taken: the focus is on what the screen begins with, or in its field. */
  async isAt(name: string): Promise<void> {
    await expect.poll(async () => (await this.stop()).name, { message: 'where the focus is', intervals: [20] }).toBe(name)
  }
}

/** Whether one thing comes after another on the screen: to its right on the same line, or below. */
function follows(a: Stop, b: Stop): boolean {
  const sameLine = b.top < a.bottom && a.top < b.bottom
  return sameLine ? b.left >= a.left : b.top >= a.top
}

/** Runs in the page. */
function focused(): Stop {
  let e = document.activeElement
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement
  if (!e || e === document.body) return { name: '', wrong: ['the focus is lost'], inside: false, top: 0, bottom: 0, left: 0 }

  const text = (node: Element | null | undefined) => (node instanceof HTMLElement ? node.innerText : (node?.textContent ?? '')).replace(/\s+/g, ' ').trim()
  const label = (e as HTMLInputElement).labels?.[0]
  const name = e.getAttribute('aria-label') ?? (label ? text(label.querySelector('span') ?? label) : text(e))
  // A radio button that is drawn by what stands beside it.
  const drawn = e instanceof HTMLInputElement && e.type === 'radio' ? (e.nextElementSibling ?? e) : e
  const box = drawn.getBoundingClientRect()
  const wrong: string[] = []

  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(drawn)
  if (e.localName !== 'h2' && (outlineStyle === 'none' || parseFloat(outlineWidth) < 2 || /, 0\)$|transparent/.test(outlineColor))) wrong.push(`it shows no focus: ${outlineWidth} ${outlineStyle} ${outlineColor}`)
  if (name === '') wrong.push('it has no name: ' + e.outerHTML.slice(0, 80))
  const tall = box.height > innerHeight
  if (!tall && (box.bottom > innerHeight || box.top < 0 || box.right > innerWidth || box.left < 0)) wrong.push(`it is out of sight: ${JSON.stringify(box)} of ${innerWidth}×${innerHeight}`)
  else if (!tall) {
    let there = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height / 2, 12))
    while (there?.shadowRoot) {
      const inner = there.shadowRoot.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height / 2, 12))
      if (!inner || inner === there) break
      there = inner
    }
    if (there && !drawn.contains(there) && !there.contains(drawn) && !label?.contains(there)) wrong.push('it is covered by ' + there.outerHTML.slice(0, 80))
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('the page scrolls sideways')
  const moving = matchMedia('(prefers-reduced-motion: reduce)').matches ? document.getAnimations().filter((a) => a.playState === 'running') : []
  if (moving.length > 0) wrong.push('it moves, though that is not wanted')

  const root = e.getRootNode()
  const outer = root instanceof ShadowRoot ? root.host : e
  return { name, wrong, inside: outer.closest('[data-panel=app]') !== null, top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left }
}
