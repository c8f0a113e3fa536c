import { html, type TemplateResult } from 'lit'

import type { NightlatchElement } from '../element.ts'

export interface Support {
  /** Where people write to, as the service says: an address, a URL, or words. */
  support: string
  /** The case to quote. */
  reference?: string | undefined
  label: string
  kind?: 'main' | 'link'
}

/** Where a support address leads: a mail for an address, the page for an https URL; undefined for anything else. */
export function supportLink(support: string): string | undefined {
  if (/^[^\s@/<>"?&#%:]+@[^\s@/<>"?&#%:]+$/.test(support)) return `mailto:${encodeURIComponent(support).replace('%40', '@')}`
  try {
    const url = new URL(support)
    return url.protocol === 'https:' ? url.href : undefined
  } catch {
    return undefined
  }
}

/**
 * The way to support: a link where there is one. The application hears of it first (nightlatch-support) and can show
 * something of its own instead, by preventDefault.
 */
export function contact(host: NightlatchElement, s: Support): TemplateResult {
  const link = supportLink(s.support)
  const tell = (event?: Event) => {
    const told = new CustomEvent('nightlatch-support', {
      detail: { support: s.support, ...(s.reference ? { reference: s.reference } : {}) }, bubbles: true, composed: true, cancelable: true,
    })
    if (!host.dispatchEvent(told)) event?.preventDefault()
  }
  if (link === undefined) {
    // Words are no link: then they are read.
    return host.button({ label: s.support ? host.say('common.write', { support: s.support }) : s.label, click: tell, ...(s.kind ? { kind: s.kind } : {}) })
  }
  return html`<a class="button ${s.kind ?? ''}" part="button" href=${link} target=${link.startsWith('mailto:') ? '_self' : '_blank'} rel="noopener noreferrer" @click=${tell}>${s.label}</a>`
}
