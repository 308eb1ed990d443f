import fc from 'fast-check'
import { Histogram, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { createDurations } from './durations.ts'

it('tells Prometheus what the histogram of its client library would', async () => {
  const seconds = fc.oneof(fc.double({ min: 0, max: 8, noNaN: true }), fc.constantFrom(0.001, 0.25, 5, 60))
  const observed = fc.array(fc.tuple(fc.constantFrom('GET', 'PATCH'), seconds))
  await fc.assert(
    fc.asyncProperty(observed, async (observations) => {
      const registry = new Registry()
      const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
      const labelNames = ['method', 'status']
      const theirs = new Histogram({
        ...{ name: 'took_seconds', help: 'How long', labelNames, buckets, registers: [registry] },
      })
      const ours = createDurations('took_seconds', 'How long')
      const observers = new Map<string, (seconds: number) => void>()
      for (const [method, took] of observations) {
        const observe = observers.get(method) ?? ours.labelled({ method, status: 200 })
        observers.set(method, observe)
        observe(took)
        theirs.observe({ method, status: 200 }, took)
      }
      expect(ours.text().trim()).toBe((await registry.metrics()).trim())
    }),
  )
})
