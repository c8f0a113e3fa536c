// What a reload of the page needs to go on with a set-up. The secret is not in it: the service shows it again to whoever has the key.
import { forget, keep, kept, newKey } from '@nightlatch/client'

export type SetUpStep = 'scan' | 'save' | 'code' | 'on' | 'saveLast'

/** A confirmation that was sent: sent again it has the same answer, backup code included. */
export interface Confirmation {
  code: string
  key: string
}

interface Kept {
  key: string
  /** The set-up that the step is about. */
  id?: string
  step: SetUpStep
  confirm?: Confirmation
}

/** The set-up that was left in this tab, if one was: its id, and whether its confirmation was sent. */
export function leftSetUp(name: string): { id: string | undefined; confirming: boolean } | undefined {
  const left = kept<Kept>(name)
  return left && { id: left.id, confirming: left.confirm !== undefined }
}

export class KeptSetUp {
  readonly #name: string
  at: Readonly<Kept>

  constructor(name: string) {
    this.#name = name
    this.at = kept<Kept>(name) ?? another()
  }

  change(change: Partial<Kept>): void {
    this.at = { ...this.at, ...change }
    keep(this.#name, this.at)
  }

  /** The confirmation that was sent had no effect. */
  unconfirmed(): void {
    const { confirm: _, ...rest } = this.at
    this.at = rest
    keep(this.#name, this.at)
  }

  /** Another start is another set-up. */
  forget(): void {
    forget(this.#name)
    this.at = another()
  }
}

function another(): Kept {
  return { key: newKey(), step: 'scan' }
}
