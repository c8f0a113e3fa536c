import { expect, it } from 'vitest'

import { isDone } from '../src/facts.ts'
import { tours } from '../src/tours.ts'

it.each(Object.entries(tours))('%s: no step is done before anything has happened, and each once all has', (_, tour) => {
  const all = tour.steps.flatMap((s) => s.waitsFor)
  for (const step of tour.steps) {
    expect(step.waitsFor).not.toEqual([])
    expect(isDone(step.waitsFor, [])).toBe(false)
    expect(isDone(step.waitsFor, all)).toBe(true)
  }
})
