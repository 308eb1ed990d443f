import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { addDemoPeople } from './demo.ts'
import { unavailable } from './directory/errors.ts'
import type { Store } from './directory/store.ts'
import { openSqlite } from './store/sqlite/store.ts'

const rules = { roles: ['user', 'admin'] }

test('people whom a start that was cut short left out are added by the next one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'roster-demo-'))
  const store = await openSqlite({
    folder,
    rules,
    onFatal: (error) => {
      throw error
    },
  })
  onTestFinished(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })
  let left = 2
  const failing: Store = {
    ...store,
    change: async (command) => {
      if (left-- === 0) throw unavailable('The store has stopped')
      return store.change(command)
    },
  }
  await expect(addDemoPeople(failing, rules)).rejects.toMatchObject({ code: 'unavailable' })
  expect(await addDemoPeople(store, rules)).toBe(2)
  const { users } = await store.page({ after: 0, filters: [] })
  expect(users.map(({ id, username }) => [id, username])).toEqual([
    [1, 'drenn'],
    [2, 'johndoe'],
    [3, 'mira_sole'],
    [4, 'fionab'],
  ])
  expect(await addDemoPeople(store, rules)).toBe(0)
})
