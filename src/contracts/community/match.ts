import type { FastifyRequest } from 'fastify'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { readJson } from '../body.ts'
import { context } from '../contract.ts'
import { type People, requireScope } from './people.ts'
import { encodeItem } from './wire.ts'

/** Names that can be asked for at once. */
const most = 100

/** `POST /api/v2/user/match/`: of a list of usernames, the people who have them, in its order. */
export function createMatch({ directory, people }: { directory: Directory; people: People }) {
  return async (request: FastifyRequest) => {
    requireScope(request, 'read')
    const { names, problem } = decode(request)
    if (problem !== undefined)
      throw new DirectoryError(refusal('invalid', 'The request is not valid', [problem]))
    if (names.length === 0) return []
    const filters = [{ name: 'username', comparison: 'eq', values: names }] as const
    const query = { filters, sort: [], offset: 0, limit: names.length, count: false }
    const { users } = await directory.browse(context(request), query)
    const byName = new Map(users.map((user) => [user.username, user]))
    const pictures = people.pictures(request)
    return names.flatMap((name) => byName.get(name) ?? []).map((user) => encodeItem({ user, pictures }))
  }
}

interface Names {
  readonly names: readonly string[]
  readonly problem?: Problem
}

function decode(request: FastifyRequest): Names {
  const { body } = request
  if (!(body instanceof Buffer) || body.length === 0) return { names: [] }
  const read = readJson(request, (type) => type === 'application/json', 'application/json')
  if ('problem' in read) return { names: [], problem: read.problem }
  const { value } = read
  const isList =
    Array.isArray(value) && value.length <= most && value.every((name) => typeof name === 'string')
  if (isList) return { names: [...new Set<string>(value)] }
  return { names: [], problem: { property: 'body', message: `must be a list of at most ${most} usernames` } }
}
