import type { DatabaseSync } from 'node:sqlite'
import { type SettingStore, type Settings, settingNames } from '../../directory/settings.ts'
import { readSettings, writeSettings } from '../sql/settings.ts'

/** What the writer can be asked to do with settings. */
export interface SettingTask {
  readonly kind: 'setting'
  readonly id: number
  readonly settings: Partial<Settings>
}

export interface SettingDone {
  readonly outcome: 'setting'
}

/** The writer's side: runs a task inside the transaction under way. */
export function createSettingWriter(db: DatabaseSync): (task: SettingTask) => SettingDone {
  const write = db.prepare(writeSettings(['?1', ...settingNames.map((_, at) => `?${at + 2}`)]))
  return ({ id, settings }) => {
    write.run(id, ...settingNames.map((name) => settings[name] ?? null))
    return { outcome: 'setting' }
  }
}

/**
 * Settings for a process that may not write itself.
 * @param run hands a task to the writer
 */
export function createSettingStore(
  db: DatabaseSync,
  run: (task: SettingTask) => Promise<SettingDone>,
): SettingStore {
  const read = db.prepare(readSettings('?'))
  return {
    get: async (id) => {
      const row = read.get(id) ?? {}
      return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
    },
    set: async (id, settings) => void (await run({ kind: 'setting', id, settings })),
  }
}
