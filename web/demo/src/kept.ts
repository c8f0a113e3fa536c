// What outlives a reload: of this tab, or of all tabs of this browser. Where a browser forbids it, nothing does.

/** A value under a name. What is kept and is not JSON any more is as if it were not there. */
export class Kept<T> {
  readonly #name: string
  readonly #storage: () => Storage
  #now: T | undefined

  constructor(name: string, storage: () => Storage) {
    this.#name = 'nightlatch-lab.' + name
    this.#storage = storage
  }

  get(otherwise: T): T {
    let text: string | null = null
    try {
      text = this.#storage().getItem(this.#name)
    } catch {
      return this.#now ?? otherwise
    }
    try {
      return text === null ? otherwise : (JSON.parse(text) as T)
    } catch {
      return otherwise
    }
  }

  set(value: T): void {
    this.#now = value
    try {
      this.#storage().setItem(this.#name, JSON.stringify(value))
    } catch {
      // A reload forgets it, and nothing else changes.
    }
  }

  /** Whether another tab has just changed it. */
  isIn(event: StorageEvent): boolean {
    return event.key === null || event.key === this.#name
  }
}

export const ofTab = () => sessionStorage
export const ofBrowser = () => localStorage
