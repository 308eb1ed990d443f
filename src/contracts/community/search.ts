import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Directory } from '../../directory/directory.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { type Place, placeOf, type SearchOrder, type SearchQuery } from '../../directory/search.ts'
import type { User } from '../../directory/user.ts'
import { context, goneSignal } from '../contract.ts'
import { decodeFlag } from './decode.ts'
import { decodePage, lastOf, linker, natural, neighbours, type Query } from './pages.ts'
import { type People, requireScope } from './people.ts'
import { encodeItem, encodeUser } from './wire.ts'

export interface SearchOptions {
  readonly directory: Directory
  readonly people: People
}

/** Lists of people who have a username. */
export function createSearch({ directory, people }: SearchOptions) {
  /** `{"count", "next", "previous", "results"}` */
  async function send(
    request: FastifyRequest,
    reply: FastifyReply,
    { query, problems }: Decoded,
    encode: (users: readonly User[]) => unknown,
  ) {
    if (problems.length > 0)
      throw new DirectoryError(refusal('invalid', 'The request is not valid', problems))
    const found = await directory.search(context(request), query, goneSignal(reply))
    const link = linker(people.originOf(request), request.url)
    return { ...neighbours(query, found, link), results: await encode(found.users) }
  }

  const whole = (request: FastifyRequest) => async (users: readonly User[]) =>
    (await people.show(request, users)).map(encodeUser)

  const items = (request: FastifyRequest) => (users: readonly User[]) => {
    const pictures = people.pictures(request)
    return users.map((user) => encodeItem({ user, pictures }))
  }

  /** The caller's own coordinates, where they ask for people near them. */
  async function ownPlace(request: FastifyRequest): Promise<Place | undefined> {
    const { actor } = request
    if (actor.kind !== 'person') return undefined
    const user = await directory.get(context(request), Number(actor.id))
    return placeOf(user.position_lat_lng ?? user.location_lat_lng ?? '')
  }

  return {
    list: async (request: FastifyRequest, reply: FastifyReply) => {
      requireScope(request, 'read')
      return send(request, reply, decodeList(request.query as Query), whole(request))
    },

    search: async (request: FastifyRequest, reply: FastifyReply) => {
      const asked = request.query as Query
      const wantsOwn = decodeFlag(lastOf(asked.user_position)) === true
      const own = wantsOwn ? await ownPlace(request) : undefined
      return send(request, reply, decodeSearch(asked, own), whole(request))
    },

    autocomplete: async (request: FastifyRequest, reply: FastifyReply) => {
      const { query, problems } = decodeList(request.query as Query)
      const order = query.order.by === 'id' ? ({ by: 'username', descending: false } as const) : query.order
      return send(request, reply, { query: { ...query, order }, problems }, items(request))
    },
  }
}

interface Decoded {
  readonly query: SearchQuery
  readonly problems: readonly Problem[]
}

type Wrong = (property: string, message: string) => undefined

function collect(): { readonly problems: readonly Problem[]; readonly wrong: Wrong } {
  const problems: Problem[] = []
  const wrong: Wrong = (property, message) => {
    problems.push({ property, location: 'query', message })
    return undefined
  }
  return { problems, wrong }
}

const orders = { id: 'id', username: 'username', real_name: 'name', location: 'location' } as const
const textOrders = ['username', 'real_name', 'location'] as const

function decodeList(asked: Query): Decoded {
  const { problems, wrong } = collect()
  const text = readText(asked, wrong)
  const query: SearchQuery = {
    ...decodePage(asked),
    called: text('search'),
    has: {
      username: text('username'),
      name: text('real_name'),
      location: text('location'),
      description: text('description'),
    },
    gender: decodeGender(asked, wrong),
    order: decodeOrder(asked, undefined, wrong),
  }
  return { query, problems }
}

function decodeSearch(asked: Query, own: Place | undefined): Decoded {
  const { problems, wrong } = collect()
  const text = readText(asked, wrong)
  const called = text('user')
  const near = decodePlace(asked, wrong) ?? own
  const tag = decodeNumber(asked, 'tag', wrong)
  const category = decodeNumber(asked, 'category', wrong)
  const query: SearchQuery = {
    ...decodePage(asked),
    called,
    has: {
      // The documents: `user` overrides both.
      ...(called === undefined && { username: text('username'), name: text('real_name') }),
      location: text('location'),
      description: text('description'),
    },
    gender: decodeGender(asked, wrong),
    born: decodeAge(asked, wrong),
    staff: decodeStaff(asked, wrong),
    // There are no categories here, so nobody is in one; and no tag has this number.
    tag: category === undefined ? tag : -1,
    order: decodeOrder(asked, near, wrong),
  }
  return { query, problems }
}

function readText(asked: Query, wrong: Wrong) {
  return (name: string): string | undefined => {
    const text = lastOf(asked[name])
    if (text === undefined) return undefined
    return text.length <= 255 ? text : wrong(name, 'must be at most 255 characters')
  }
}

function decodeGender(asked: Query, wrong: Wrong): string | undefined {
  const gender = lastOf(asked.gender)
  if (gender === undefined || ['Male', 'Female', 'Unspecified'].includes(gender)) return gender
  return wrong('gender', 'must be one of Male, Female, Unspecified')
}

function decodeStaff(asked: Query, wrong: Wrong): boolean | undefined {
  const text = lastOf(asked.is_staff)
  if (text === undefined) return undefined
  return decodeFlag(text.toLowerCase()) ?? wrong('is_staff', 'must be true or false')
}

function decodeNumber(asked: Query, name: string, wrong: Wrong): number | undefined {
  const text = lastOf(asked[name])
  return text === undefined ? undefined : (natural(text) ?? wrong(name, 'must be a whole number'))
}

function decodePlace(asked: Query, wrong: Wrong): Place | undefined {
  const text = lastOf(asked.lat_lng)
  if (text === undefined) return undefined
  const message = 'must be latitude,longitude like 44.49,11.34 (-90 to 90, -180 to 180)'
  return placeOf(text) ?? wrong('lat_lng', message)
}

/** `-30`: at most 30; `30-45`: both included; `45+`: at least 45, where a plus may have become a space. */
function decodeAge(asked: Query, wrong: Wrong): SearchQuery['born'] {
  const text = lastOf(asked.age)
  if (text === undefined) return undefined
  const [, only, from, to, least] = /^(?:-(\d{1,3})|(\d{1,3})-(\d{1,3})|(\d{1,3})[+ ])$/.exec(text) ?? []
  const [youngest, oldest] = [least ?? from, only ?? to]
  if (youngest === undefined && oldest === undefined) return wrong('age', 'must be like -30, 30-45 or 45+')
  return {
    // Who is 45 was born less than 46 years ago.
    from: oldest === undefined ? undefined : yearsAgo(Number(oldest) + 1, 1),
    to: youngest === undefined ? undefined : yearsAgo(Number(youngest), 0),
  }
}

/** Today's date in another year, and some days later. Who is born on a 29 February has their birthday on 1 March. */
function yearsAgo(years: number, days: number): string {
  const now = new Date()
  const then = Date.UTC(now.getUTCFullYear() - years, now.getUTCMonth(), now.getUTCDate() + days)
  return new Date(then).toISOString().slice(0, 10)
}

function decodeOrder(asked: Query, near: Place | undefined, wrong: Wrong): SearchOrder {
  const nearest = near && ({ by: 'distance', descending: false, from: near } as const)
  const text = lastOf(asked.ordering)
  if (text === undefined) return nearest ?? { by: 'id', descending: false }
  const descending = text.startsWith('-')
  const name = descending ? text.slice(1) : text
  if (name === 'distance' && near !== undefined) return { by: 'distance', descending, from: near }
  if (Object.hasOwn(orders, name)) return { by: orders[name as keyof typeof orders], descending }
  const known = `${textOrders.join(', ')}${near === undefined ? '' : ', distance'}`
  const need =
    name === 'distance' ? ': a distance is one from lat_lng, or from the caller with user_position' : ''
  wrong('ordering', `must be one of ${known}, with - in front for the other way round${need}`)
  return { by: 'id', descending }
}
