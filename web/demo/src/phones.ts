import { Kept, ofBrowser } from './kept.ts'
import type { Authenticator } from './totp.ts'

/** A phone with an authenticator app on it. */
export interface Phone {
  name: string
  /** Newest first. */
  entries: Authenticator[]
  /** By how many seconds its clock is ahead of the right time. */
  drift: number
  lost: boolean
}

/** Something that was written down on paper. */
export interface Note {
  code: string
  of: string
}

/** What a person carries: phones, of which one is in the hand, and a sheet of paper. */
export interface Pocket {
  phones: Phone[]
  inHand: number
  notes: Note[]
}

const most = 6
const fresh = (name: string): Phone => ({ name, entries: [], drift: 0, lost: false })

export const empty: Pocket = { phones: [fresh('Phone 1')], inHand: 0, notes: [] }

/** The phone in the hand. */
export function held(p: Pocket): Phone {
  return p.phones[p.inHand] ?? p.phones[0]!
}

/** With the phone in the hand changed. */
export function change(p: Pocket, to: Partial<Phone>): Pocket {
  return { ...p, phones: p.phones.map((phone) => (phone === held(p) ? { ...phone, ...to } : phone)) }
}

/** With another authenticator on the phone in the hand. The same key scanned twice is there once. */
export function add(p: Pocket, a: Authenticator): Pocket {
  const others = held(p).entries.filter((e) => e.key !== a.key || e.account !== a.account)
  return change(p, { entries: [a, ...others].slice(0, most) })
}

export function remove(p: Pocket, a: Authenticator): Pocket {
  return change(p, { entries: held(p).entries.filter((e) => e.key !== a.key || e.account !== a.account) })
}

/** With another, empty phone in the hand. Where that is one too many, the one that was lost first is gone for good. */
export function another(p: Pocket): Pocket {
  const gone = p.phones.length < most ? undefined : p.phones.find((phone) => phone.lost)
  if (p.phones.length >= most && !gone) return p
  const number = 1 + Math.max(...p.phones.map((phone) => Number(/\d+$/.exec(phone.name)?.[0] ?? 0)))
  const phones = [...p.phones.filter((phone) => phone !== gone), fresh(`Phone ${number}`)]
  return { ...p, phones, inHand: phones.length - 1 }
}

export function take(p: Pocket, index: number): Pocket {
  return p.phones[index] ? { ...p, inHand: index } : p
}

/** With a code on the paper, above what was written there before. */
export function write(p: Pocket, note: Note): Pocket {
  return { ...p, notes: [note, ...p.notes.filter((n) => n.code !== note.code)].slice(0, most) }
}

/** The newest authenticator for an account on any phone that is not lost. */
export function authenticatorOf(p: Pocket, account: string): Authenticator | undefined {
  for (const phone of [held(p), ...[...p.phones].reverse()]) {
    const found = phone.lost ? undefined : phone.entries.find((e) => e.account === account)
    if (found) return found
  }
  return undefined
}

/** The pocket of this browser: every tab has the same. */
export const pocket = new Kept<Pocket>('pocket', ofBrowser)
