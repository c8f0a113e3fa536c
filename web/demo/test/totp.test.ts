import { describe, expect, it } from 'vitest'

import { base32, codeOf, readAddress, stepOf, type Authenticator } from '../src/totp.ts'

// RFC 6238, appendix B. Its keys are the ASCII digits, repeated to the hash's length (erratum 2866).
const keys = {
  'SHA-1': 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
  'SHA-256': 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA',
  'SHA-512': 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNA',
} as const
const vectors: [number, string, string, string][] = [
  [59, '94287082', '46119246', '90693936'],
  [1111111109, '07081804', '68084774', '25091201'],
  [1111111111, '14050471', '67062674', '99943326'],
  [1234567890, '89005924', '91819424', '93441116'],
  [2000000000, '69279037', '90698825', '38618901'],
  [20000000000, '65353130', '77737706', '47863826'],
]

describe('codeOf', () => {
  for (const [seconds, ...codes] of vectors) {
    for (const [i, algorithm] of (['SHA-1', 'SHA-256', 'SHA-512'] as const).entries()) {
      it(`${algorithm} at ${seconds}`, async () => {
        const a: Authenticator = { issuer: '', account: '', key: keys[algorithm], algorithm, digits: 8, period: 30 }
        expect(await codeOf(a, stepOf(a, seconds * 1000))).toBe(codes[i])
      })
    }
  }
})

describe('base32', () => {
  it.each([ // RFC 4648 §10
    ['MY======', 'f'], ['MZXQ====', 'fo'], ['MZXW6===', 'foo'], ['MZXW6YQ=', 'foob'], ['MZXW6YTB', 'fooba'], ['MZXW6YTBOI======', 'foobar'],
    ['mzxw 6ytb oi', 'foobar'], ['MZXW-6YTB-OI', 'foobar'],
  ])('%s', (text, want) => expect(new TextDecoder().decode(base32(text))).toBe(want))
  it.each(['', 'A', '1', 'MZXW6YT8', 'ÄÄÄÄ', '🙂🙂'])('%j is none', (text) => expect(base32(text)).toBeUndefined())
})

describe('readAddress', () => {
  it('reads what the service writes', () => {
    const address = 'otpauth://totp/Nightlatch%20Demo:alice@example.com?algorithm=SHA1&digits=6&issuer=Nightlatch%20Demo&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
    expect(readAddress(address)).toEqual({
      issuer: 'Nightlatch Demo', account: 'alice@example.com', key: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', algorithm: 'SHA-1', digits: 6, period: 30,
    })
  })
  it('takes what is usual for what is not said', () => {
    expect(readAddress('otpauth://totp/alice?secret=MZXW6YTB')).toEqual({ issuer: '', account: 'alice', key: 'MZXW6YTB', algorithm: 'SHA-1', digits: 6, period: 30 })
  })
  it.each([
    '', 'hello', 'https://example.com/?secret=MZXW6YTB', 'otpauth://hotp/a?secret=MZXW6YTB', 'otpauth://totp/a', 'otpauth://totp/a?secret=!',
    'otpauth://totp/a?secret=MZXW6YTB&digits=60', 'otpauth://totp/a?secret=MZXW6YTB&period=0', 'otpauth://totp/a?secret=MZXW6YTB&algorithm=MD5',
    'otpauth://totp/%ff?secret=MZXW6YTB',
  ])('%s is none', (address) => expect(readAddress(address)).toBeUndefined())
})
