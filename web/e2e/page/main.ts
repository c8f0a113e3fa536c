// A host application in a few lines: it holds one element, and writes down what that tells it.
import '@nightlatch/components'

/** What is on the page. It is kept over a reload, as an application would find its state again. */
export interface Mounted {
  tag: 'nightlatch-security-card' | 'nightlatch-sign-in' | 'nightlatch-recovery' | 'nightlatch-review'
  properties: Record<string, unknown>
  offset: number
}

interface Bench {
  events: { type: string; detail: unknown }[]
  wind(ms: number): void
  mount(what: Mounted): void
  post(path: string, body: unknown): Promise<any>
}

declare global {
  interface Window {
    bench: Bench
  }
}

const told = [
  'signed-in', 'start-over', 'session-over', 'reauthenticate', 'support', 'change-password', 'enabled', 'disabled', 'replaced',
  'backup-code-issued', 'leave', 'sign-in', 'decided', 'case', 'done', 'session', 'closed', 'canceled',
].map((name) => `nightlatch-${name}`)

let offset = 0

const bench: Bench = {
  events: [],
  wind(ms) {
    offset = ms
    const mounted = JSON.parse(sessionStorage.getItem('bench') ?? 'null') as Mounted | null
    if (mounted) sessionStorage.setItem('bench', JSON.stringify({ ...mounted, offset }))
  },
  mount(what) {
    sessionStorage.setItem('bench', JSON.stringify(what))
    offset = what.offset
    const element = document.createElement(what.tag) as unknown as HTMLElement & Record<string, unknown>
    Object.assign(element, { clock: () => Date.now() + offset, redeem }, what.properties)
    for (const name of told) element.addEventListener(name, (event) => {
      if (name === 'nightlatch-leave') event.preventDefault()
      bench.events.push({ type: name, detail: (event as CustomEvent).detail })
    })
    document.body.replaceChildren(element)
  },
  async post(path, body) {
    const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    return answer.json()
  },
}

/** The host's exchange of an assertion for its session. */
async function redeem(assertion: string): Promise<string> {
  const { session } = await bench.post('/demo/session', { assertion })
  if (!session) throw new Error('the host refused the assertion')
  return session
}

window.bench = bench
const mounted = sessionStorage.getItem('bench')
if (mounted) bench.mount(JSON.parse(mounted))
