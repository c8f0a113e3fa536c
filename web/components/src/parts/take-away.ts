// Ways to take a code away from the screen: the clipboard, a text file, paper.
import type { NightlatchElement } from '../element.ts'

export interface CodeOfAccount {
  code: string
  account: string
}

/** Copies a text; false where the browser does not allow it. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}

/** Saves the code as a text file, in the browser's own way. */
export function download(host: NightlatchElement, about: CodeOfAccount): void {
  const url = URL.createObjectURL(new Blob([lines(host, about).join('\r\n') + '\r\n'], { type: 'text/plain;charset=utf-8' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `${host.say('print.file')}.txt`
  link.click()
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** Prints a page of its own with the code, the account and the date, and nothing else. */
export function printed(host: NightlatchElement, about: CodeOfAccount): void {
  const frame = document.createElement('iframe')
  frame.setAttribute('aria-hidden', 'true')
  frame.tabIndex = -1
  // Out of sight, but laid out: what is not cannot be printed everywhere.
  Object.assign(frame.style, { position: 'fixed', width: '0', height: '0', border: '0', insetInlineEnd: '0', insetBlockEnd: '0' })
  frame.addEventListener('load', () => {
    const page = frame.contentDocument
    const view = frame.contentWindow
    if (!page || !view) return
    page.title = host.say('print.title')
    page.documentElement.lang = host.phrases.lang
    const sheet = new (view as unknown as typeof globalThis).CSSStyleSheet()
    sheet.replaceSync('body { font: 14pt/1.5 sans-serif; margin: 3cm } .code { font: 600 24pt monospace; letter-spacing: 0.06em }')
    page.adoptedStyleSheets = [sheet]
    for (const [i, line] of lines(host, about).entries()) {
      const p = page.createElement('p')
      p.textContent = line
      if (i === 1) p.className = 'code'
      page.body.append(p)
    }
    view.addEventListener('afterprint', () => frame.remove())
    view.focus()
    view.print()
  }, { once: true })
  document.body.append(frame)
}

/** What is on paper and in the file: what it is, the code, whose, since when, what it is for and where to keep it. */
function lines(host: NightlatchElement, about: CodeOfAccount): string[] {
  return [
    host.say('print.title'),
    about.code,
    about.account && host.say('print.account', { account: about.account }),
    host.say('print.date', { day: host.phrases.day(new Date(host.clock())) }),
    host.say('print.once'),
    host.say('print.keep'),
    host.say('print.never'),
  ].filter((line) => line !== '')
}
