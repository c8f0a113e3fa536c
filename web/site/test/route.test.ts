import { describe, expect, it } from 'vitest'

import { addressOf, routeOf } from '../src/route.ts'

describe('routeOf', () => {
  it.each([
    ['#/reset/identity/Ab-_9', { page: 'link', purpose: 'identity', token: 'Ab-_9' }],
    ['#/reset/cancel/t', { page: 'link', purpose: 'cancel', token: 't' }],
    ['#/reset/sign_in/t', { page: 'link', purpose: 'sign_in', token: 't' }],
    ['#/reset/sign_in', { page: 'link', purpose: 'sign_in', token: '' }],
    ['#/reset/thanks', { page: 'thanks' }],
    ['#/reviews', { page: 'reviews', id: '' }],
    ['#/reviews/', { page: 'reviews', id: '' }],
    ['#/reviews/aB-c_1', { page: 'reviews', id: 'aB-c_1' }],
    ['#/session/state-1/head.body.sign', { page: 'session', state: 'state-1', session: 'head.body.sign' }],
  ])('%s', (hash, want) => expect(routeOf(hash)).toEqual(want))

  it.each([
    '', '#', '#/', '#/reset', '#/reset/', '#/reset/other/t', '#/reset/identity/', '#/reset/identity/a/b', '#/reset/identity/a b', '#/reset/identity/a%2Fb',
    '#/reset/identity/<script>', '#/reset/thanks/x', '#/reviewsx', '#/reviews/a/b', '#/reviews/..%2F', '#/session/x', '#/session//x', 'x#/reviews',
    '#/reset/identity/' + 'a'.repeat(1001),
  ])('%s is unknown', (hash) => expect(routeOf(hash)).toEqual({ page: 'unknown' }))
})

describe('addressOf', () => {
  it.each(['#/reset/identity', '#/reset/thanks', '#/reviews', '#/reviews/x'])('%s is read again', (hash) => expect(addressOf(routeOf(hash))).toBe(hash))
  it.each(['#/reset/identity/SECRET', '#/session/s/SECRET'])('%s loses what is secret', (hash) => expect(addressOf(routeOf(hash))).not.toContain('SECRET'))
})
