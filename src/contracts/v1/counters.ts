import type { FastifyReply, FastifyRequest } from 'fastify'
import { type CounterChange, type CounterName, counterNames, noCounters } from '../../directory/counters.ts'
import type { Directory } from '../../directory/directory.ts'
import type { Problem } from '../../directory/errors.ts'
import { namesTwice } from '../../directory/json-text.ts'
import { readJsonObject } from '../body.ts'
import { context } from '../contract.ts'
import { conditionsOf } from '../request.ts'
import { sendPreview } from './answer.ts'
import { isPatchType, patchTypes } from './decode.ts'
import { type Ids, thisOne } from './ids.ts'
import { decodeOptions, markReplay } from './options.ts'
import type { ById } from './users.ts'

/** Numbers about a user, which are set or incremented: `{"followers_counter": {"increment": 1}}`. */
export function createCounters({ directory, ids }: { readonly directory: Directory; readonly ids: Ids }) {
  return {
    get: async (request: FastifyRequest<ById>) => {
      const { id: uid } = request.params
      const { id } = thisOne(await directory.get(context(request), await ids(uid)), uid)
      return (await directory.counters(context(request), [id])).get(id) ?? noCounters
    },

    update: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const id = await ids(request.params.id)
      const { problems: others, ...options } = decodeOptions(request)
      const body = readJsonObject(request, isPatchType, patchTypes)
      const { changes, problems } =
        'object' in body ? decode(body) : { changes: {}, problems: [body.problem] }
      const all = [...others, ...conditionsOf(request), ...problems]
      const result = await directory.count(context(request), {
        ...options,
        id,
        called: request.params.id,
        changes,
        problems: all,
      })
      if (options.dryRun) return sendPreview(reply, { dry_run: true, status: 200, counters: result.counters })
      markReplay(reply, result)
      return result.counters
    },
  }
}

type Changes = Partial<Record<CounterName, CounterChange>>

function decode({ object, text }: { readonly object: object; readonly text: string }) {
  const changes: Changes = {}
  const problems: Problem[] = []
  if (namesTwice(text)) problems.push({ property: 'body', message: 'must not name a property twice' })
  for (const [property, value] of Object.entries(object).slice(0, 100)) {
    const name = counterNames.find((known) => known === property)
    const change = changeOf(value)
    if (name === undefined) {
      const known = counterNames.join(', ')
      problems.push({ property: property.slice(0, 100), message: `is not known here; known are ${known}` })
    } else if (change === undefined) {
      const message = 'must be {"set": number} or {"increment": number}, with a whole number'
      problems.push({ property, message })
    } else changes[name] = change
  }
  return { changes, problems }
}

function changeOf(value: unknown): CounterChange | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const [[verb, number] = [], ...more] = Object.entries(value as Record<string, unknown>)
  if (more.length > 0 || typeof number !== 'number' || !Number.isSafeInteger(number)) return undefined
  if (verb === 'set') return { set: number }
  return verb === 'increment' ? { increment: number } : undefined
}
