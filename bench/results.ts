import type { Imported } from './import.ts'
import type { Rated, Sample } from './load.ts'
import { count, type Scenario } from './scenarios.ts'
import type { StatementTimes } from './statements.ts'
import { median, whole } from './stats.ts'

/** What a run found. */
export interface Results {
  readonly run: {
    readonly rounds: number
    readonly seconds: number
    readonly connections: number
    readonly adapterConnections: number
    readonly quick: boolean
    /** The load average of the machine before the run. */
    readonly busy: number
    /** The version of PostgreSQL, undefined where there is none. */
    readonly database: string | undefined
    readonly missing: readonly string[]
    readonly commit: string
  }
  readonly scenarios: readonly Scenario[]
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  readonly rated: ReadonlyMap<string, Rated>
  readonly memory: readonly (readonly [string, { readonly now: number; readonly peak: number }])[]
  readonly start:
    | { readonly users: number; readonly milliseconds: readonly number[]; readonly memory: number }
    | undefined
  readonly imports: readonly Imported[]
  readonly statements: readonly StatementTimes[] | undefined
  /** What was checked at the end, in words. */
  readonly checked: readonly string[]
}

export type Figures = ReturnType<typeof read>

const perSecond = ({ requests, seconds }: Sample) => requests / seconds

/** The medians of the rounds; undefined for what was not measured. */
export function read({ samples }: Results) {
  const of = (name: string) => samples.get(name) ?? []
  const pick = (name: string, choose: (sample: Sample) => number | undefined): number | undefined => {
    const numbers = of(name)
      .map(choose)
      .filter((number) => number !== undefined && !Number.isNaN(number))
    return numbers.length === 0 ? undefined : median(numbers as number[])
  }
  return {
    of,
    rate: (name: string) => pick(name, perSecond),
    p50: (name: string) => pick(name, ({ p50 }) => p50),
    p99: (name: string) => pick(name, ({ p99 }) => p99),
    cpu: (name: string) => pick(name, ({ cpu }) => cpu),
    spread: (name: string): [number, number] => {
      const rates = of(name).map(perSecond)
      return [Math.min(...rates), Math.max(...rates)]
    },
    /** The median of the rounds' ratios: both of a ratio stood side by side. */
    ratio: (a: string, b: string, choose = perSecond): number | undefined => {
      const others = of(b)
      const ratios = of(a).flatMap((sample, round) => {
        const other = others[round]
        return other === undefined ? [] : [choose(sample) / choose(other)]
      })
      return ratios.length === 0 ? undefined : median(ratios)
    },
  }
}

export const sqlite = (what: string, users: number) => `Roster SQLite ${what}, ${count(users)} users`
export const postgresql = (what: string, users: number) => `Roster PostgreSQL ${what}, ${count(users)} users`
export const json = (users: number) => `json-server PATCH, ${count(users)} users`

/** What the name of a page ends with that was measured while people are updated. */
export const pageBesideUpdates = ', beside as many updates'

/** The layers of an update: the scenario that measures it, and in words. */
export const steps = [
  ['echo PATCH', 'echo: `node:http` and JSON'],
  ['layer framework', '+ Fastify, its hooks and the serializer'],
  ['layer contract', '+ the contract: reading and checking the request, the command'],
  ['layer rules', '+ policy, rules of the fields, the change'],
  [sqlite('PATCH', 1000), '+ SQLite with the change log, durable'],
] as const

export function number(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  if (value >= 100) return whole(value)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
