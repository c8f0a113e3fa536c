// The pages as they are deployed: an index.html with a config.json beside it.
import { forget, keep, kept, newKey } from '@nightlatch/client'

import { configOf, type Config } from './config.ts'
import { addressOf, hide, mountSite, plain, routeOf } from './site.ts'
import { words } from './words.ts'

/** A sign-in of a reviewer, begun here. */
interface Begun {
  state: string
  back: string
}

async function start(root: HTMLElement): Promise<void> {
  // What is secret leaves the address before anything is loaded.
  const returned = takeSession()
  const config = await load()
  document.title = config.app
  if (returned === false) {
    root.textContent = `${words.refused.headline}. ${words.refused.body}`
    addEventListener('hashchange', () => location.reload())
    return
  }
  // In the part that no server sees. The application gives it to its sign-in, as reset-token.
  const signIn = (link?: string) => go(config.sign_in_url, {}, link ? `#reset-token=${link}` : '')
  const leave = mountSite(root, {
    ...config,
    session: () => kept<string>('session'),
    signInToReview: () => {
      forget('session')
      const begun: Begun = { state: newKey().replace(/[^\w-]/g, ''), back: addressOf(routeOf(location.hash)) }
      keep('signing-in', begun)
      go(config.sign_in_url, { return: `${location.origin}${location.pathname}#/session/${begun.state}` })
    },
    signIn,
    changePassword: () => go(config.password_url),
    done: () => {
      leave()
      root.append(plain({ signIn }, words.done))
    },
  })
}

/**
 * Takes the session that the application's sign-in came back with, and goes on where it was asked for. False: nobody here
 * asked for it.
 */
function takeSession(): boolean | undefined {
  const route = routeOf(location.hash)
  if (route.page !== 'session') return undefined
  const begun = kept<Begun>('signing-in')
  forget('signing-in')
  hide(route)
  if (!begun || begun.state !== route.state) return false
  keep('session', route.session)
  history.replaceState(null, '', begun.back)
  return true
}

async function load(): Promise<Config> {
  const answer = await fetch('config.json', { cache: 'no-cache' })
  if (!answer.ok) throw new Error(`config.json: cannot be read: ${answer.status}`)
  let json: unknown
  try {
    json = await answer.json()
  } catch {
    throw new Error('config.json: is not JSON')
  }
  return configOf(json)
}

function go(address: string, query: Record<string, string> = {}, hash = ''): void {
  const url = new URL(address)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  if (hash) url.hash = hash
  location.assign(url)
}

const spoken = ['en', 'es', 'de', 'fr', 'ja']
document.documentElement.lang = navigator.languages.find((lang) => spoken.includes(lang.split('-')[0]!)) ?? 'en'

const root = document.querySelector('main')!
start(root).catch((error: unknown) => {
  root.textContent = `${words.broken}. ${error instanceof Error ? error.message : ''}`
})
