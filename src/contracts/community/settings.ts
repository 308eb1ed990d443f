import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { type SettingName, type Settings, settingNames, settingValues } from '../../directory/settings.ts'
import { context } from '../contract.ts'
import { conditionsOf } from '../request.ts'
import { readFields, type Sent, tellIgnored } from './decode.ts'
import type { ById, People } from './people.ts'

/** What one wants to be told of: numbers, in a form as well. */
export function createSettings({
  directory,
  people,
}: {
  readonly directory: Directory
  readonly people: People
}) {
  return {
    get: async (request: FastifyRequest<ById>) =>
      encode(await directory.settings(context(request), await people.active(request))),

    update: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const id = await people.active(request)
      const { settings, ignored, problems } = decode(await readFields(request))
      const all = [...conditionsOf(request), ...problems]
      if (all.length > 0) throw new DirectoryError(refusal('invalid', 'The request is not valid', all))
      const set = await directory.set(context(request), id, settings)
      tellIgnored(reply, ignored)
      return encode(set)
    },
  }
}

function encode(settings: Settings): Settings {
  return Object.fromEntries(settingNames.map((name) => [name, settings[name]])) as Settings
}

function decode({ values, several, problems }: Sent) {
  const settings: Partial<Record<SettingName, number>> = {}
  const ignored: string[] = []
  const found: Problem[] = [...problems]
  for (const [name, value] of values) {
    const known = settingNames.find((one) => one === name)
    if (known === undefined) {
      ignored.push(name)
      continue
    }
    const number = several.has(name) ? undefined : numberOf(value)
    if (number === undefined || !settingValues[known].includes(number))
      found.push({ property: name, message: `must be one of ${settingValues[known].join(', ')}` })
    else settings[known] = number
  }
  return { settings, ignored, problems: found }
}

/** A number, as JSON and forms have it; yes and no are 1 and 0. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'boolean') return Number(value)
  if (typeof value === 'string') return /^-?\d{1,3}$/.test(value) ? Number(value) : undefined
  return typeof value === 'number' ? value : undefined
}
