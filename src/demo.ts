import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { newKey, randomText } from './access/keys.ts'
import { createPasswords } from './access/passwords.ts'
import { signSharedSecretToken } from './access/shared-secret.ts'
import type { Config } from './config.ts'
import type { Actor } from './directory/actor.ts'
import { type Context, createDirectory, type Directory } from './directory/directory.ts'
import type { Rules } from './directory/field-types.ts'
import { fieldNames } from './directory/fields.ts'
import type { Patch } from './directory/patch.ts'
import type { Store } from './directory/store.ts'
import type { User } from './directory/user.ts'
import { operator } from './operator.ts'

/** The people of the documented examples, so that each works as printed. */
const people: readonly { readonly uid: string; readonly created: string; readonly patch: Patch }[] = [
  {
    uid: 'usr_9k2m4p7q1r5s',
    created: '2025-11-14T09:00:00Z',
    patch: {
      username: 'drenn',
      first_name: 'David',
      last_name: 'Renn',
      email: 'drenn08@uw.edu',
      role: 'user',
    },
  },
  {
    uid: 'usr_123abc456def',
    created: '2023-01-01T12:00:00Z',
    patch: {
      username: 'johndoe',
      first_name: 'John',
      last_name: 'Doe',
      email: 'user@example.com',
      role: 'user',
    },
  },
  {
    uid: 'usr_3v8w6x0y2z4a',
    created: '2024-05-17T18:30:00Z',
    patch: {
      username: 'mira_sole',
      email: 'mira.sole@example.org',
      real_name: 'Mira Sole',
      role: 'user',
      bio: 'Walks dogs in the hills above town.\nAsks too many questions about bread.',
      location: 'Bologna',
      location_lat_lng: '44.4949,11.3426',
      position_lat_lng: '44.4983,11.3407',
      date_of_birth: '1991-03-08',
      description: 'Dogs, hills, bread',
      gender: 'Female',
      website: 'https://mira.example.org/',
    },
  },
  {
    uid: 'usr_7b5c1d9e3f6g',
    created: '2025-02-03T08:15:00Z',
    patch: {
      username: 'fionab',
      first_name: 'Fiona',
      last_name: 'Burns',
      email: 'fionab@example.com',
      phone: '222-333-4455',
      interested_in: 'dogs',
      role: 'user',
    },
  },
]

/**
 * Puts the sample people into a directory that never had anybody else; those whom a start that was
 * cut short left out are added by the next one.
 * @returns how many were added
 */
export async function addDemoPeople(store: Store, rules: Rules): Promise<number> {
  const first = await Promise.all(people.map((_, index) => store.get(index + 1)))
  const { users } = await store.page({ after: 0, filters: [] })
  const missing = first.indexOf(undefined)
  const isOther = ({ id, uid }: User) => people[id - 1]?.uid !== uid
  if (missing === -1 || [...first.slice(0, missing), ...users].some((user) => user && isOther(user))) return 0
  const actor: Actor = { ...operator, id: 'demo' }
  for (const { uid, created, patch } of people.slice(missing)) {
    const directory = createDirectory({
      store,
      rules,
      now: () => Date.parse(created),
      newChangeId: crypto.randomUUID.bind(crypto),
      newUid: () => uid,
    })
    await directory.create({ actor, requestId: 'demo' }, { patch })
  }
  return people.length - missing
}

/**
 * Erases the sample people who were never changed, so that somebody else's people find room.
 * @returns the uids of those who have gone, now or before, by the ids that may be taken over
 */
export async function retireDemoPeople(
  store: Store,
  directory: Pick<Directory, 'erase'>,
  context: Context,
): Promise<Map<number, string>> {
  const vacated = new Map<number, string>()
  for (const [index, person] of people.entries()) {
    const user = await store.get(index + 1)
    if (user?.uid !== person.uid) continue
    if (isUntouched(user, person.patch)) await directory.erase(context, { id: user.id, ifMatch: [1] })
    else if (user.status !== 'erased') continue
    vacated.set(user.id, person.uid)
  }
  return vacated
}

function isUntouched(user: User, patch: Patch): boolean {
  return user.version === 1 && fieldNames.every((name) => user[name] === (patch[name] ?? null))
}

const demoKey = 'key_demo'
const communityUser = 3
/** Milliseconds: a day. */
const tokenLife = 86_400_000

/** A directory that was tried out and is served for real now must not keep the key of the demo. */
export async function revokeDemoKey(store: Pick<Store, 'keys'>): Promise<void> {
  await store.keys.revoke(demoKey, Date.now())
}

/**
 * What a newcomer needs to try the contracts, kept for scripts in a file that only its owner may read.
 * The API key is made anew each time, and the one before is worth nothing any more.
 * @returns the path of the file, and the password in it
 */
export async function writeDemoCredentials(
  store: Pick<Store, 'keys'>,
  { folder, jwtSecret }: Pick<Config, 'folder' | 'jwtSecret'>,
): Promise<{ readonly file: string; readonly password: string }> {
  const now = Date.now()
  const of = { id: demoKey, name: 'demo', createdAt: now, expiresAt: null }
  const { key, secret, hash } = newKey({ ...of, scopes: ['read', 'write'] })
  await store.keys.add(key, hash)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(resolve(folder), 'demo-credentials.json')
  // Anew, because the mode of a file that is there stays what it is.
  rmSync(path, { force: true })
  const password = randomText(20)
  const credentials = {
    api_key: secret,
    community_user: communityUser,
    community_password: password,
    ...(jwtSecret !== undefined && {
      community_token: await signSharedSecretToken(jwtSecret, {
        userId: communityUser,
        issuedAt: now,
        expiresAt: now + tokenLife,
      }),
    }),
  }
  writeFileSync(path, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  return { file: path, password }
}

/**
 * Lets the sample person sign in with a password that only this process knows: nothing of it is kept, so
 * it is good until the process ends, or until the person has a password of their own.
 */
export async function lendPassword(store: Store, password: string): Promise<Store> {
  const passwords = createPasswords({ threads: 1 })
  const hash = await passwords.hash(password)
  await passwords.close()
  const isSample = async () => (await store.get(communityUser))?.uid === people[communityUser - 1]?.uid
  return {
    ...store,
    async credentials(id) {
      const known = await store.credentials(id)
      if (known?.password !== null || id !== communityUser || !(await isSample())) return known
      return { ...known, password: hash }
    },
  }
}
