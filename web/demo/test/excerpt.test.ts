import { expect, it } from 'vitest'

import source from '../../../pkg/host/example_test.go?raw'
import { excerptOf, parted } from '../src/excerpt.ts'

it('shows what a host writes, and nothing of the test', () => {
  const shown = excerptOf(source)
  for (const part of ['host.New(', 'client.Challenge(ctx', 'if !offer.Required', 'client.VerifyAssertion(ctx, assertion, pending)', 'is signed in']) expect(shown).toContain(part)
  for (const part of ['startStandIn', 'browser(', 'Output:', 'ErrRedeemed']) expect(shown).not.toContain(part)
  expect(shown.split('\n').length).toBeLessThan(36)
})

it('says when the example is another one', () => expect(() => excerptOf('package host')).toThrow('example_test.go'))

it('tells code and comment apart', () => {
  expect(parted('a() // b')).toEqual({ code: 'a()', comment: ' // b' })
  expect(parted('// b')).toEqual({ code: '', comment: '// b' })
  expect(parted('"https://x"')).toEqual({ code: '"https://x"', comment: '' })
})
