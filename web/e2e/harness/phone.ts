import { createHmac } from 'node:crypto'

/** An authenticator app, as RFC 6238 has it; not ours, so that it can be wrong in no way that ours is. */
export class Phone {
  #key: Buffer
  #last = -1
  readonly #now: () => number
  readonly #hash: 'sha1' | 'sha256'
  readonly #digits: number
  /** How far its clock is off, in seconds. */
  drift = 0

  constructor(key: string, now: () => number, hash: 'sha1' | 'sha256' = 'sha1', digits = 6) {
    this.#key = base32(key)
    this.#now = now
    this.#hash = hash
    this.#digits = digits
  }

  /** The code of the time step that is so many from now. */
  code(steps = 0): string {
    return this.#at(this.#step() + steps)
  }

  /** A code that this phone has not shown yet: the present one or, within the step that the service takes early, the next. */
  fresh(): string {
    this.#last = Math.max(this.#last + 1, this.#step())
    return this.#at(this.#last)
  }

  /** A code that is none of those around now. */
  wrong(): string {
    const near = Array.from({ length: 50 }, (_, i) => this.code(i - 25))
    for (let n = Number('1'.repeat(this.#digits)); ; n++) if (!near.includes(String(n))) return String(n)
  }

  #step(): number {
    return Math.floor((this.#now() / 1000 + this.drift) / 30)
  }

  #at(step: number): string {
    const counter = Buffer.alloc(8)
    counter.writeBigUInt64BE(BigInt(step))
    const mac = createHmac(this.#hash, this.#key).update(counter).digest()
    const offset = mac.at(-1)! & 15
    return String((mac.readUInt32BE(offset) & 0x7fffffff) % 10 ** this.#digits).padStart(this.#digits, '0')
  }
}

function base32(text: string): Buffer {
  let bits = ''
  for (const c of text.replace(/[\s=]/g, '').toUpperCase()) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')
  return Buffer.from(bits.match(/.{8}/g)!.map((byte) => parseInt(byte, 2)))
}
