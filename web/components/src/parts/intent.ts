import { newKey } from '@nightlatch/client'

/**
 * The Idempotency-Key of something the user wants done: the same as long as it is asked for with the same code, so that
 * what was done and whose answer was lost is not done twice, nor refused as a code that was used.
 */
export class Intent {
  #code: string | undefined
  #key = ''

  /** The key for this code. */
  key(code: string): string {
    if (code !== this.#code) {
      this.#code = code
      this.#key = newKey()
    }
    return this.#key
  }

  /** Goes on with a key from before a reload. */
  resume(code: string, key: string): void {
    this.#code = code
    this.#key = key
  }
}
