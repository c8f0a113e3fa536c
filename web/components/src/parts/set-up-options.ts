import type { Confirmed, SetUp } from '@nightlatch/client'

/** What every confirmation says, in a session or inside a sign-in. */
export type Activated = Pick<Confirmed, 'activated_at' | 'backup_code'>

export interface SetUpOptions<C extends Activated = Confirmed> {
  /** A move to another phone: the old one works until the new one does. */
  replacement: boolean
  /** The old phone is gone, or nobody says that it is at hand. */
  gone?: boolean
  /** Where a set-up is kept in this tab, so that a reload goes on with it. */
  keptAs: string
  /** Begins under this key: the same key, with the same proof, is answered with the same set-up while it lasts. */
  begin(key: string): Promise<SetUp>
  confirm(id: string, code: string, key: string): Promise<C>
  /** Drops what was begun. Without it, it lapses by itself. */
  discard?(): Promise<void>
  /** The account's name in the authenticator app; empty: as the set-up has it. */
  account: () => string
  /** A backup code comes after the confirmation. Default: of a first set-up, where none came before it. */
  codeFollows?: boolean
  /** It is in force. Called at once, before the user reads that, or saves a code: an assertion does not wait for that. A reload calls it again, `told`. */
  activated(confirmed: C, told: boolean): unknown
  /** The user has read that it is on, and saved what there was to save. A replacement without a code ends within its last action. */
  done(confirmed: C): void
  /** The user has given up; all of it is forgotten. */
  cancel(): void
  /** Begins again, where that takes another proof than the one at hand. */
  restart?(): void
}

/** The account's name in an otpauth link: the label's part behind the issuer. */
export function labelled(uri: string): string {
  try {
    const label = decodeURIComponent(/^otpauth:\/\/totp\/([^?]*)/.exec(uri)?.[1] ?? '')
    return label.slice(label.indexOf(':') + 1).trim()
  } catch {
    return ''
  }
}
