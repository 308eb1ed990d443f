import { type SettingStore, settingNames } from '../../directory/settings.ts'
import { readSettings, writeSettings } from '../sql/settings.ts'
import type { Run } from './pool.ts'

const given = ['$1', ...settingNames.map((_, at) => `$${at + 2}::int`)]
// An erasure waits for it, or is waited for.
const write = writeSettings(given, 'FOR NO KEY UPDATE')

/**
 * Settings. Setting them does the same however often it is done, so it is tried again like reading.
 * @param run runs a statement, again where it fails for a reason that passes
 */
export function createSettingStore(run: Run): SettingStore {
  return {
    get: async (id) => {
      const [row = {}] = await run({ text: readSettings('$1'), parameters: [id], prepare: true })
      return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
    },
    set: async (id, settings) => {
      const parameters = [id, ...settingNames.map((name) => settings[name] ?? null)]
      await run({ text: write, parameters, prepare: true, lane: 'write' })
    },
  }
}
