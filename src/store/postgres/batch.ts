import { decideAll, type Plan } from '../../directory/batch.ts'
import type { Command } from '../../directory/command.ts'
import type { Rules } from '../../directory/field-types.ts'
import type { Outcome } from '../../directory/store.ts'
import { createGround } from './ground.ts'
import type { Run } from './pool.ts'
import type { createTransactions } from './transaction.ts'
import type { Units } from './units.ts'
import { writePlan } from './write-plan.ts'

/**
 * Carries out commands together. The users that they are about are locked, so nothing of them is stale
 * when it has been decided, however many others want to change them.
 */
export function createBatches(
  units: Pick<Units, 'read' | 'skipUsedIds' | 'passed'>,
  transact: ReturnType<typeof createTransactions>,
  rules: Rules,
) {
  async function plan(commands: readonly Command[], run: Run, lock: boolean): Promise<Plan> {
    const { ground, fetchMissing } = await createGround(commands, run, lock)
    for (;;) {
      const decided = decideAll(commands, ground, rules)
      if (!(await fetchMissing(decided))) return decided
    }
  }

  return async (commands: readonly Command[]): Promise<readonly Outcome[]> => {
    if (commands[0]?.dryRun) return (await plan(commands, units.read, false)).outcomes
    let made: readonly number[] = []
    const { outcomes, passed } = await transact({
      work: async (run) => {
        const decided = await plan(commands, run, true)
        made = decided.steps.flatMap(({ unit }) => (unit?.change.kind === 'created' ? [unit.user.id] : []))
        await writePlan(decided, run)
        return decided
      },
      repeatable: true,
      changeIdOf: ({ steps }) => steps.find(({ unit }) => unit !== undefined)?.unit?.change.changeId,
      onRace: async (constraint) => {
        // Somebody chose the id that the allocator gave, so it is behind.
        if (constraint === 'users_pkey') for (const id of await used(made)) await units.skipUsedIds(id)
      },
    })
    if (passed !== undefined) await units.passed(passed)
    return outcomes
  }

  async function used(ids: readonly number[]): Promise<number[]> {
    const text = `SELECT min(id) AS id FROM users
      WHERE id IN (SELECT value::bigint FROM jsonb_array_elements_text($1::text::jsonb))`
    const [row] = await units.read({ text, parameters: [JSON.stringify(ids)], prepare: true })
    return row === undefined || row.id === null ? [] : [Number(row.id)]
  }
}
