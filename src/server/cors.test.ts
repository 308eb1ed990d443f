import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startApp } from '../../test/app.ts'

/** What pages may read without leave (Fetch Standard, section 2.2.2), and what is there for browsers alone. */
const others = [
  ...['cache-control', 'content-type'],
  ...['connection', 'content-security-policy', 'referrer-policy', 'vary', 'x-content-type-options'],
]

test('pages of other origins can read every header that the service sets for them', async () => {
  const roster = await startApp()
  const { headers } = await roster.call('GET /users/1', undefined, { origin: 'http://localhost:5173' })
  await roster.close()
  const exposed = String(headers['access-control-expose-headers']).toLowerCase().split(', ')
  const sources = globSync(`${import.meta.dirname}/../**/*.ts`).filter((path) => !path.endsWith('.test.ts'))
  const set = sources.flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/\.header\(\s*'([\w-]+)'/g)].map(([, name]) => String(name)),
  )
  const own = set.filter((name) => !others.includes(name) && !name.startsWith('access-control-'))
  expect(own).toContain('roster-pending')
  expect(own.filter((name) => !exposed.includes(name))).toEqual([])
})
