import { expect, it } from 'vitest'
import { committed, create, type Given, lifecycle, range, times } from './commands.ts'

/** What every store must know of settings. */
export function keepingSettings(given: Given): void {
  it('sets settings one by one, and forgets them with the user', async () => {
    const { store } = given()
    await committed(store, create({}))
    await store.settings.set(1, { qa_frequency: -1 })
    await store.settings.set(1, { show_toast_notifications: 0 })
    expect(await store.settings.get(1)).toEqual({ qa_frequency: -1, show_toast_notifications: 0 })
    await committed(store, lifecycle('erase', 1))
    await store.settings.set(1, { qa_frequency: 0 })
    expect(await store.settings.get(1)).toEqual({})
  })

  it('keeps none of who is erased while somebody sets them', async () => {
    const { store } = given()
    for (const id of range(20)) {
      await committed(store, create({}))
      const setting = times(8, () => store.settings.set(id, { qa_frequency: -1 }))
      await Promise.all([committed(store, lifecycle('erase', id)), ...setting])
      expect(await store.settings.get(id)).toEqual({})
    }
  })
}
