import type { Offer, Policy } from '@nightlatch/client'
import type { Preset } from '@nightlatch/components'
import { LitElement } from 'lit'

import { answered, factsSince, type Fact } from './facts.ts'
import { Kept, ofBrowser, ofTab } from './kept.ts'
import { presetOf } from './preset.ts'
import { program, type Counters, type Mail, type Stored } from './program.ts'

/** The accounts of the demo application. The password is everybody's. */
export const users = ['alice@example.com', 'bob@example.com', 'reviewer@example.com', 'reviewer2@example.com'] as const
export const password = 'correct horse'

export function isReviewer(user: string): boolean {
  return user.startsWith('reviewer')
}

/** What the owner of an account is called. */
export function firstNameOf(user: string): string {
  const first = user.split('@')[0]!
  return first[0]!.toUpperCase() + first.slice(1)
}

/** Where the application is. */
export type Stage =
  | { at: 'password' }
  | { at: 'code'; user: string; offer: Offer; link?: string }
  | { at: 'home'; user: string; session: string; grant?: string }

/** A request of the application, and what came of it. */
export interface Exchange {
  id: number
  at: number
  method: string
  path: string
  headers: Record<string, string>
  request: unknown
  status: number // 0: no answer
  answer: unknown
  ms: number
}

const keptExchanges = 40
const keptFacts = 500

/** What all panels look at. It asks the program every second what is new, and tells them. */
export class Lab {
  policy: Policy | undefined
  counters: Counters = { reads: 0, writes: 0 }
  mails: Mail[] = []
  stored: Stored | undefined
  exchanges: Exchange[] = []
  /** Seconds by which the service's clock is ahead of this machine's. */
  offset = 0
  /** Since when the program has not answered; 0: it does. */
  silent = 0

  readonly #listeners = new Set<() => void>()
  readonly #stage = new Kept<Stage>('stage', ofTab)
  readonly #user = new Kept<string>('user', ofTab)
  readonly #lang = new Kept<string>('lang', ofBrowser)
  readonly #facts = new Kept<Partial<Record<Preset, Fact[]>>>('facts', ofBrowser)
  readonly #seen = new Kept<Record<string, number>>('seen', ofBrowser)
  #last = '' // all that was told, to see what is new
  #busyUntil = 0
  #asked = 0

  stage: Stage = this.#stage.get({ at: 'password' })
  /** Whose account is looked into. */
  user: string = this.#user.get(users[0])
  /** The language that the application's user speaks. */
  lang: string = this.#lang.get('en')

  /** Has a panel told of every change, until the function that is returned is called. */
  listen(tell: () => void): () => void {
    this.#listeners.add(tell)
    return () => void this.#listeners.delete(tell)
  }

  changed(): void {
    for (const tell of this.#listeners) tell()
  }

  /** Begins to ask, and goes on as long as the page is there. */
  async start(): Promise<void> {
    addEventListener('storage', (event) => {
      if (this.#facts.isIn(event)) this.changed()
    })
    document.addEventListener('visibilitychange', () => void this.look())
    for (;;) {
      if (document.visibilityState === 'visible') await this.look()
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
  }

  /** Looks at the program now. */
  async look(): Promise<void> {
    try {
      const counters = await program.counters()
      const moved = counters.reads !== this.counters.reads || counters.writes !== this.counters.writes
      this.counters = counters
      // The history and the mails come a little after the write; what another tab has set, now and then.
      if (moved) this.#busyUntil = Date.now() + 6000
      if (Date.now() < this.#busyUntil || this.#asked++ % 10 === 0) await this.#lookCloser()
      this.silent = 0
    } catch {
      this.silent ||= Date.now()
    }
    const now = JSON.stringify([this.counters, this.stored?.item, this.user, this.mails.map((m) => m.id), this.offset, this.policy, this.silent])
    if (now !== this.#last) this.changed()
    this.#last = now
  }

  async #lookCloser(): Promise<void> {
    const user = this.user
    const [stored, mails, clock, policy] = await Promise.all([program.account(user), program.mails(), program.clock(), program.policy()])
    this.mails = mails
    this.offset = clock.offset_seconds
    this.policy = policy
    if (user !== this.user) return
    this.stored = stored
    const all = this.#seen.get({})
    const { facts, seen } = factsSince(stored.versions, all[user])
    if (all[user] !== seen) this.#seen.set({ ...all, [user]: seen })
    for (const fact of facts) this.note(fact)
  }

  /** Whose words are spoken. */
  get preset(): Preset {
    return presetOf(this.policy)
  }

  /** The service's clock. */
  readonly now = (): number => Date.now() + this.offset * 1000

  async jump(seconds: number): Promise<void> {
    const clock = await program.clock() // perhaps another tab has put it forward
    const before = this.now()
    this.offset = (await program.setClock(clock.offset_seconds + seconds)).offset_seconds
    const locked = this.stored?.item.codes?.locked_until
    if (locked && Date.parse(locked) > before && Date.parse(locked) <= this.now()) this.note('lab unlocked')
    this.changed()
  }

  async choose(preset: Preset): Promise<void> {
    this.policy = await program.setPolicy(preset)
    this.changed()
  }

  speak(lang: string): void {
    this.lang = lang
    this.#lang.set(lang)
    this.changed()
  }

  lookAt(user: string): void {
    this.user = user
    this.stored = undefined
    this.#user.set(user)
    this.#busyUntil = Date.now() + 2000
    this.changed()
    void this.look()
  }

  go(stage: Stage): void {
    this.stage = stage
    this.#stage.set(stage)
    if (stage.at !== 'password' && stage.user !== this.user) this.lookAt(stage.user)
    this.changed()
  }

  /** What stood in for a code has been used: a reload does not find it again. What is on the screen goes on. */
  spendGrant(): void {
    if (this.stage.at !== 'home') return
    const { at, user, session } = this.stage
    this.#stage.set({ at, user, session })
  }

  /** What happened while the present policy is in force. */
  get facts(): readonly Fact[] {
    return this.#facts.get({})[this.preset] ?? []
  }

  /** Writes down what has happened, for the tour. What a reviewer does for their own account is not on it. */
  note(fact: Fact): void {
    if (isReviewer(this.user)) return
    const all = this.#facts.get({})
    this.#facts.set({ ...all, [this.preset]: [...(all[this.preset] ?? []), fact].slice(-keptFacts) })
    this.changed()
  }

  forgetFacts(): void {
    this.#facts.set({ ...this.#facts.get({}), [this.preset]: [] })
    this.changed()
  }

  /** The browser's fetch, writing down what goes over the wire. */
  readonly fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    const text = await request.clone().text()
    const exchange: Exchange = {
      id: performance.now(), at: this.now(), method: request.method, path: new URL(request.url).pathname,
      headers: Object.fromEntries([...request.headers].filter(([name]) => ['authorization', 'idempotency-key', 'content-type'].includes(name))),
      request: parsed(text), status: 0, answer: undefined, ms: 0,
    }
    const start = performance.now()
    try {
      const response = await fetch(request)
      exchange.status = response.status
      exchange.answer = parsed(await response.clone().text())
      return response
    } finally {
      exchange.ms = performance.now() - start
      this.exchanges = [exchange, ...this.exchanges].slice(0, keptExchanges)
      if (exchange.path !== '/v1/status') this.note(answered(exchange.path, exchange.status, exchange.answer))
      this.#busyUntil = Date.now() + 6000
      this.changed()
    }
  }
}

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return text
  }
}

/** The one lab of this page. */
export const lab = new Lab()

/** A panel: it has no shadow, so that the page's one style sheet is its own as well, and renders whenever the lab changes. */
export abstract class Panel extends LitElement {
  #deafen: (() => void) | undefined

  protected override createRenderRoot(): HTMLElement {
    return this
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.#deafen = lab.listen(() => this.requestUpdate())
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#deafen?.()
  }
}
