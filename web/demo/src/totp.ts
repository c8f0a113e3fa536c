// An authenticator app, as any phone has one: RFC 6238 on the browser's own cryptography.

/** An authenticator that was scanned or typed in. */
export interface Authenticator {
  issuer: string
  account: string
  /** In base32 (RFC 4648 §6), as it was given. */
  key: string
  algorithm: 'SHA-1' | 'SHA-256' | 'SHA-512'
  digits: number
  /** In seconds. */
  period: number
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const algorithms = { SHA1: 'SHA-1', SHA256: 'SHA-256', SHA512: 'SHA-512' } as const

/** Reads base32, with the spaces and small letters that people type; undefined if it is none. */
export function base32(text: string): Uint8Array<ArrayBuffer> | undefined {
  const clean = text.replace(/[\s=-]/g, '').toUpperCase()
  const bytes = new Uint8Array(Math.floor((clean.length * 5) / 8))
  let bits = 0
  let held = 0
  let at = 0
  for (const c of clean) {
    const value = alphabet.indexOf(c)
    if (value < 0) return undefined
    bits = ((bits << 5) | value) & 0xfff
    held += 5
    if (held >= 8) {
      held -= 8
      bytes[at++] = bits >> held
    }
  }
  return bytes.length > 0 ? bytes : undefined
}

/** Reads the address in a QR code; undefined if it is not one of an authenticator. */
export function readAddress(address: string): Authenticator | undefined {
  let url: URL
  try {
    url = new URL(address)
  } catch {
    return undefined
  }
  // What stands behind otpauth: is not parsed alike everywhere.
  const found = /^otpauth:\/\/totp\/([^?]*)\?/.exec(address)
  const key = url.searchParams.get('secret') ?? ''
  const algorithm = algorithms[(url.searchParams.get('algorithm') ?? 'SHA1') as keyof typeof algorithms]
  const digits = Number(url.searchParams.get('digits') ?? 6)
  const period = Number(url.searchParams.get('period') ?? 30)
  if (!found || !base32(key) || !algorithm || ![6, 7, 8].includes(digits) || !(period >= 1 && period <= 300)) return undefined
  let label: string
  try {
    label = decodeURIComponent(found[1]!)
  } catch {
    return undefined
  }
  const colon = label.indexOf(':')
  return {
    issuer: url.searchParams.get('issuer') ?? label.slice(0, Math.max(0, colon)),
    account: label.slice(colon + 1).trim(),
    key, algorithm, digits, period,
  }
}

/** The time step that a moment belongs to. */
export function stepOf(a: Authenticator, milliseconds: number): number {
  return Math.floor(milliseconds / 1000 / a.period)
}

/** The code of a time step (RFC 6238 §4.2, RFC 4226 §5.3). */
export async function codeOf(a: Authenticator, step: number): Promise<string> {
  const key = await crypto.subtle.importKey('raw', base32(a.key)!, { name: 'HMAC', hash: a.algorithm }, false, ['sign'])
  const counter = new DataView(new ArrayBuffer(8))
  counter.setBigUint64(0, BigInt(step))
  const mac = new DataView(await crypto.subtle.sign('HMAC', key, counter.buffer))
  const offset = mac.getUint8(mac.byteLength - 1) & 15
  return String((mac.getUint32(offset) & 0x7fffffff) % 10 ** a.digits).padStart(a.digits, '0')
}
