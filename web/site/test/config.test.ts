import { describe, expect, it } from 'vitest'

import { configOf } from '../src/config.ts'

const right = {
  api: 'https://api.example.com/2fa', app: 'Example', preset: 'miaxdx', support: 'support@example.com',
  password_url: 'https://example.com/password', sign_in_url: 'https://example.com/sign-in?from=2fa',
}

describe('configOf', () => {
  it('takes one that is whole', () => expect(configOf(right)).toEqual(right))
  it('takes one for this machine', () => expect(configOf({ ...right, api: 'http://127.0.0.1:8787' }).api).toBe('http://127.0.0.1:8787'))
  it.each([
    [null, 'must be a JSON object'], [[], 'must be a JSON object'], ['x', 'must be a JSON object'],
    [{ ...right, api: 'https://api.example.com/' }, 'api must be'],
    [{ ...right, api: 'http://api.example.com' }, 'api must be'],
    [{ ...right, api: 'https://user:secret@api.example.com' }, 'api must be'],
    [{ ...right, api: '/v1' }, 'api must be'],
    [{ ...right, app: ' ' }, 'app must be'],
    [{ ...right, preset: 'other' }, 'preset must be one of standard, mirox, miaxdx, midphase'],
    [{ ...right, support: 'https://example.com' }, 'support must be'],
    [{ ...right, password_url: 'javascript:alert(1)' }, 'password_url must be'],
    [{ ...right, sign_in_url: 5 }, 'sign_in_url must be'],
    [{ ...right, signin: 'x' }, 'signin is not a setting'],
  ])('refuses %j', (json, message) => expect(() => configOf(json)).toThrow(message))
  it('names all that is wrong at once', () => expect(() => configOf({})).toThrow(/api.*app.*preset.*support.*password_url.*sign_in_url/))
})
