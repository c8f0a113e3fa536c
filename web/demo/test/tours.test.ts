import { expect, it } from 'vitest'

import { isDone } from '../src/facts.ts'
import { tours } from '../src/tours.ts'

const walks = Object.entries(tours)

it.each(walks)('%s: no step is done before anything has happened, and each once all has', (_, tour) => {
  const all = tour.steps.flatMap((s) => s.waitsFor)
  for (const step of tour.steps) {
    expect(step.waitsFor).not.toEqual([])
    expect(isDone(step.waitsFor, [])).toBe(false)
    expect(isDone(step.waitsFor, all)).toBe(true)
  }
})

// An account that is not new is made so by support, which is also the last step of two tours.
it.each(walks)('%s: each step is done by what it says itself, not by those before it or by the beginning', (_, tour) => {
  const facts = ['event admin_removed success', 'answer /v1/status ok']
  for (const step of tour.steps) {
    expect(isDone(step.waitsFor, facts), step.do).toBe(false)
    facts.push(...step.waitsFor)
    expect(isDone(step.waitsFor, facts), step.do).toBe(true)
  }
})
