// The pages that mailed links lead to, and the review console, by what stands behind # in the address.
import '@nightlatch/components'

import type { NightlatchRecovery, NightlatchReview, Preset, Session } from '@nightlatch/components'

import { addressOf, routeOf, type Route } from './route.ts'
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
  /** Nothing is left to do on the page. */
  done: () => void
  clock?: () => number
  fetch?: typeof fetch
}

/**
 * Shows in root what the address says, now and whenever it changes, until the function that is returned is called. A token
 * is taken out of the address at once: it is not to be in the history, in a bookmark or in a screenshot.
 */
export function mountSite(root: HTMLElement, options: SiteOptions): () => void {
  const show = (): void => {
    const route = routeOf(location.hash)
    const shown = element(route, options)
    root.replaceChildren(shown)
    if (shown.tabIndex === -1) shown.focus() // an element focuses its own headline
  }
  addEventListener('hashchange', show)
  show()
  return () => {
    removeEventListener('hashchange', show)
    root.replaceChildren()
  }
}

function element(route: Route, o: SiteOptions): HTMLElement {
  switch (route.page) {
    case 'link':
      // From here the element keeps it, for as long as there is something to do with it.
      if (route.token) hide(route)
      return recovery(o, route.purpose, route.token)
    case 'thanks': return recovery(o, 'thanks', '')
    case 'reviews': {
      const session = o.session()
      if (session !== undefined) return review(o, route.id, session)
      o.signInToReview()
      return plain(o, words.signingIn)
    }
    case 'session': // see main.ts; anywhere else nobody asked for one
    case 'unknown':
      hide(route) // whatever it was, it may have been a token
      return plain(o, words.unknown)
  }
}

/** Takes what is secret out of the address. */
export function hide(route: Route): void {
  history.replaceState(null, '', addressOf(route))
}

function shared(o: SiteOptions) {
  return { api: o.api, app: o.app, preset: o.preset, ...(o.clock ? { clock: o.clock } : {}), ...(o.fetch ? { fetch: o.fetch } : {}) }
}

function recovery(o: SiteOptions, purpose: NightlatchRecovery['purpose'], token: string): HTMLElement {
  const shown = document.createElement('nightlatch-recovery') as NightlatchRecovery
  Object.assign(shown, shared(o), { support: o.support, purpose, token })
  shown.addEventListener('nightlatch-sign-in', (event) => o.signIn((event as CustomEvent<{ token?: string }>).detail.token))
  shown.addEventListener('nightlatch-change-password', () => o.changePassword())
  shown.addEventListener('nightlatch-done', () => o.done())
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
export function plain(o: Pick<SiteOptions, 'signIn'>, text: { headline: string; body: string; button?: string }): HTMLElement {
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
