// The pages that mailed links lead to, and the review console, by what stands behind # in the address.
import '@nightlatch/components'

import { forget, keep, kept } from '@nightlatch/client'
import type { NightlatchRecovery, NightlatchReview, Preset, Session } from '@nightlatch/components'

import { addressOf, routeOf, type Purpose, type Route } from './route.ts'
import { words } from './words.ts'

export { addressOf, routeOf, type Route } from './route.ts'

export interface SiteOptions {
  /** Where the API is; empty: where the page is. */
  api: string
  app: string
  preset: Preset
  support: string
  /** A reviewer's session, if there is one. */
  session: () => Session | undefined
  /** Has a reviewer sign in, and come back to the page's present address. */
  signInToReview: () => void
  /** Has the user sign in. With a link, the sign-in is to be opened with it and the password. */
  signIn: (link?: string) => void
  changePassword: () => void
  clock?: () => number
  fetch?: typeof fetch
}

/** The link that the page was opened with, until the tab is closed or another page is opened. */
interface Link {
  purpose: Purpose
  token: string
}

/**
 * Shows in root what the address says, now and whenever it changes, until the function that is returned is called. A token
 * is taken out of the address at once: it is not to be in the history, in a bookmark or in a screenshot.
 */
export function mountSite(root: HTMLElement, options: SiteOptions): () => void {
  const show = (): void => {
    const route = routeOf(location.hash)
    const shown = element(route, options)
    // The application listens for what the elements tell.
    root.replaceChildren(shown)
    shown.focus()
  }
  addEventListener('hashchange', show)
  show()
  return () => {
    removeEventListener('hashchange', show)
    root.replaceChildren()
  }
}

function element(route: Route, o: SiteOptions): HTMLElement {
  if (route.page !== 'link') forget('link')
  switch (route.page) {
    case 'link': {
      if (route.token) {
        keep('link', { purpose: route.purpose, token: route.token } satisfies Link)
        hide(route)
      }
      const link = kept<Link>('link')
      return link?.purpose === route.purpose ? recovery(o, link) : plain(o, words.gone)
    }
    case 'thanks': return recovery(o, undefined)
    case 'reviews': {
      const session = o.session()
      if (session !== undefined) return review(o, route.id, session)
      o.signInToReview()
      return plain(o, words.signingIn)
    }
    case 'session': // see main.ts; anywhere else nobody asked for one
    case 'unknown': return plain(o, words.unknown)
  }
}

/** Takes what is secret out of the address. */
export function hide(route: Route): void {
  history.replaceState(null, '', addressOf(route))
}

function shared(o: SiteOptions) {
  return { api: o.api, app: o.app, preset: o.preset, ...(o.clock ? { clock: o.clock } : {}), ...(o.fetch ? { fetch: o.fetch } : {}) }
}

function recovery(o: SiteOptions, link: Link | undefined): HTMLElement {
  const shown = document.createElement('nightlatch-recovery') as NightlatchRecovery
  Object.assign(shown, shared(o), { support: o.support }, link ?? {})
  shown.addEventListener('nightlatch-sign-in', () => {
    forget('link')
    o.signIn(link?.purpose === 'sign_in' ? link.token : undefined)
  })
  shown.addEventListener('nightlatch-change-password', () => o.changePassword())
  return shown
}

function review(o: SiteOptions, id: string, session: Session): HTMLElement {
  const shown = document.createElement('nightlatch-review') as NightlatchReview
  Object.assign(shown, shared(o), { session, case: id })
  shown.addEventListener('nightlatch-case', (event) => {
    const address = addressOf({ page: 'reviews', id: (event as CustomEvent<{ id: string }>).detail.id })
    if (address !== location.hash) history.pushState(null, '', address)
  })
  for (const over of ['nightlatch-session-over', 'nightlatch-reauthenticate']) shown.addEventListener(over, () => o.signInToReview())
  return shown
}

/** A page of nothing but words, and a way on. */
function plain(o: SiteOptions, text: { headline: string; body: string; button?: string }): HTMLElement {
  const page = document.createElement('section')
  page.className = 'plain'
  page.tabIndex = -1
  const headline = document.createElement('h2')
  headline.textContent = text.headline
  const body = document.createElement('p')
  body.textContent = text.body
  page.append(headline, body)
  if (text.button) {
    const button = document.createElement('button')
    button.type = 'button'
    button.textContent = text.button
    button.addEventListener('click', () => o.signIn())
    page.append(button)
  }
  return page
}
