import { mkdirSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { createKeys } from '../src/access/keys.ts'
import { createClients } from '../src/access/oauth-clients.ts'
import { createPasswords } from '../src/access/passwords.ts'
import { createApp } from '../src/app.ts'
import { readConfig, settings } from '../src/config.ts'
import { adoption } from '../src/contracts/adoption/routes.ts'
import { properties as adoptionProperties } from '../src/contracts/adoption/wire.ts'
import { community } from '../src/contracts/community/routes.ts'
import { properties as communityProperties, shownToo } from '../src/contracts/community/wire.ts'
import type { Contract } from '../src/contracts/contract.ts'
import { records } from '../src/contracts/records/routes.ts'
import {
  maxLength as recordsMaxLength,
  properties as recordsProperties,
} from '../src/contracts/records/wire.ts'
import type { Properties } from '../src/contracts/request.ts'
import { operations } from '../src/contracts/v1/operations.ts'
import { v1 } from '../src/contracts/v1/routes.ts'
import { profileProperties, properties as v1Properties } from '../src/contracts/v1/wire.ts'
import { claim } from '../src/directory/claims.ts'
import { userNotFound } from '../src/directory/decision.ts'
import { type Code, codes, type Refusal, refusal } from '../src/directory/errors.ts'
import type { Writer } from '../src/directory/field-types.ts'
import { catalogue, type FieldName, fieldNames } from '../src/directory/fields.ts'
import { masks, policy } from '../src/directory/policy.ts'
import { claimsTaken } from '../src/directory/store.ts'
import { maxId } from '../src/directory/user.ts'

/**
 * Writes docs/reference/ from the code, so that nothing is described twice. The same code gives the
 * same bytes; test/docs.test.ts fails when what is checked in differs.
 */
export const folder = new URL('./reference/', import.meta.url)

interface Described {
  readonly contract: Contract
  readonly properties: Properties
  readonly maxLength: Readonly<Partial<Record<FieldName, number>>>
  /** What only another representation of the contract shows. */
  readonly profile?: Properties
}

/** Documentation needs no data. */
const absent = () => Promise.reject(new Error('documentation needs no store'))
const keys = { add: absent, list: absent, find: absent, revoke: absent, used: absent }
const store = {
  change: absent,
  get: absent,
  find: absent,
  page: absent,
  changeAll: absent,
  receipt: absent,
  begin: absent,
  expire: absent,
  counters: { get: absent, change: absent },
  credentials: absent,
  emailChanges: { get: absent, list: absent, lastConfirmed: absent, due: absent },
  settings: { get: absent, set: absent },
  outbox: { add: absent, take: absent, remove: absent, postpone: absent, backlog: absent },
  pictures: {
    ...{ note: absent, renew: absent, giveUp: absent, removed: absent, postpone: absent },
    ...{ avatars: absent, addAvatar: absent, removeAvatar: absent },
  },
  documents: {
    put: absent,
    find: absent,
    findByAlias: absent,
    list: absent,
    use: absent,
    remove: absent,
    removeGroup: absent,
  },
  keys,
  list: absent,
  listIds: absent,
  search: absent,
  prepareSearch: absent,
  ready: absent,
  close: absent,
}

const pictures = {
  ...{ maxBytes: 0, receive: absent, glance: () => undefined, render: absent },
  ...{ referenceOf: () => '', keep: absent, read: absent },
}

const contracts: readonly Described[] = [
  { contract: adoption({ publicUrl: undefined }), properties: adoptionProperties, maxLength: {} },
  {
    contract: records({ upsert: true, publicUrl: undefined }),
    properties: recordsProperties,
    maxLength: recordsMaxLength,
  },
  {
    contract: v1({
      keys: createKeys({ store: keys, now: Date.now }),
      clients: createClients({ documents: store.documents, now: Date.now }),
      passwords: createPasswords(),
      confirmation: { confirm: absent, forgive: absent },
      charge: absent,
      emailLimits: { tryToken: absent },
      pictures,
      publicUrl: undefined,
    }),
    properties: v1Properties,
    maxLength: {},
    profile: profileProperties,
  },
  {
    contract: community({
      publicUrl: undefined,
      passwords: createPasswords(),
      confirmation: { confirm: absent, forgive: absent },
      recovery: { request: absent, reset: absent },
      tokens: { issue: absent },
      emailLimits: { tryToken: absent },
      verifyToken: undefined,
      pictures,
    }),
    properties: { ...communityProperties, ...shownToo },
    maxLength: {},
  },
]

/** @returns the text of every file of the reference, by its name */
export async function generate(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['config.md', config()],
    ['fields.md', fields()],
    ['policy.md', policies()],
    ['errors.md', errors()],
    ['openapi.json', await openapi()],
  ])
}

function config(): string {
  const rows = Object.values(settings).map(({ name, fallback, doc }) => [
    code(name),
    fallback === '' ? 'empty' : code(fallback),
    `${doc}.`,
  ])
  return page('Settings', 'src/config.ts', [
    'Settings come from the environment and are read once, at the start.',
    table(['Name', 'Default', 'What it does'], rows),
    'The start stops, and names every reason, where a value is wrong, where a `ROSTER_` variable is not in ' +
      'this table, and where a combination is unsafe: `HOST` must be a loopback address while the contracts are open to loopback.',
    'With `--demo` the default of `ROSTER_OPEN_CONTRACTS` is `loopback`, and `always` is refused.',
  ])
}

function fields(): string {
  const names = contracts.map(({ contract }) => contract.name)
  const rows = fieldNames.map((name) => {
    const { doc, claim, once, write } = catalogue[name]
    const remarks = [claim && 'unique', once && 'set once'].filter(
      (remark) => remark && !doc.includes(remark),
    )
    return [
      code(name),
      [doc, ...remarks].join('; '),
      describe(catalogue[name].schema),
      clearedBy(name),
      writers(write),
      ...contracts.map((described) => shownAs(described, name)),
    ]
  })
  return page('Fields', 'src/directory/fields.ts and the wire.ts of each contract', [
    "What a person's record holds. A field without a value is `null`.",
    table(['Field', 'What it is', 'Valid values', 'null clears it', 'May be written by', ...names], rows),
    [
      'Besides these every record has values that only Roster sets:',
      '',
      `- \`id\`: a whole number from 1 to ${maxId}. An id that once named a person never names another.`,
      '- `uid`: `usr_` and random characters of 0-9 and a-z.',
      '- `status`: active, blocked, deleted or erased.',
      '- `version`: counts the changes of this record, from 1. It is the `ETag`.',
      '- `created_at`, `updated_at`.',
    ].join('\n'),
    'Lengths count Unicode code points, after NFC. Text is stored as sent after NFC, and never trimmed. ' +
      'Control characters (but line breaks and tabs in `bio`) and lone surrogates are refused.',
    'Limits judge a value that changes. One that is sent back as it is passes, whatever rules came since.',
    'Who *self*, *service* and *admin* are: [policy.md](policy.md).',
  ])
}

/** A JSON Schema of the catalogue, in words. */
function describe(schema: Readonly<Record<string, unknown>>): string {
  const { type, minLength = 0, maxLength, format, pattern } = schema
  if (Array.isArray(schema.enum)) return schema.enum.map(code).join(', ')
  const parts = [String(type)]
  if (maxLength !== undefined) {
    parts.push(
      minLength === maxLength ? `${maxLength} characters` : `${minLength} to ${maxLength} characters`,
    )
  }
  if (typeof format === 'string') parts.push(`format ${code(format)}`)
  if (typeof pattern === 'string') parts.push(code(pattern))
  return parts.join(', ')
}

function clearedBy(name: FieldName): string {
  const { clear } = catalogue[name]
  if (clear === 'always') return 'yes'
  if (clear === 'never') return 'no'
  const here = contracts.map(({ contract }) => contract.name).filter((contract) => clear.includes(contract))
  if (clear.includes('operator')) here.push('the command line')
  return here.length === 0 ? 'no' : `through ${here.join(', ')}`
}

function writers(write: readonly Writer[]): string {
  return write.length === 0 ? 'nobody' : write.join(', ')
}

function shownAs({ properties, maxLength, profile = {} }: Described, field: FieldName): string {
  const property = Object.entries(properties).find(([, shown]) => shown === field)?.[0]
  const inProfile = Object.entries(profile).find(([, shown]) => shown === field)?.[0]
  if (property === undefined) return inProfile === undefined ? '–' : `${code(inProfile)} in the profile`
  const max = maxLength[field]
  return max === undefined ? code(property) : `${code(property)}, at most ${max} characters`
}

function policies(): string {
  const relations = ['self', 'peer', 'service', 'admin'] as const
  const words = {
    none: 'no',
    every: 'yes',
    public: 'the public fields',
    address: '`email`',
    own: 'the fields of *self*',
    service: 'the fields of *service*',
    admin: 'the fields of *admin*',
  } as const
  const rows = Object.entries(policy).map(([action, rule]) => [
    action,
    code(rule.scope),
    ...relations.map((relation) => words[rule[relation]]),
  ])
  return page('Policy', 'src/directory/policy.ts', [
    'Who may do what to a user. Every contract and every store answers by this table.',
    table(['Action', 'Scope needed', ...relations], rows),
    [
      '- *self*: the person whom the record is about.',
      '- *peer*: another person, or somebody unknown who may only look (community).',
      '- *service*: a caller without the `admin` scope that is no person. Whoever comes in through a contract ' +
        'that knows no credentials, where the operator opened it, is one, with the scopes `read` and `write`.',
      '- *admin*: a caller with the `admin` scope, which stands for the other scopes too. The command line is one.',
    ].join('\n'),
    'The `role` of a person grants nothing here. API keys are made, listed and revoked with the scope `admin` alone; `write` does not stand for `read`, but is shown in the answer whom it has written. Who may not `read` is a *peer* where a contract has `view`.',
    `The public fields: ${[...masks.public].map(code).join(', ')}.`,
    '## The fields of each',
    (['self', 'service', 'admin'] as const)
      .map((writer) => `- *${writer}*: ${fieldsOf(writer).map(code).join(', ')}`)
      .join('\n'),
    '## Through v1',
    'What each operation needs, and what a key without it is told. `admin` stands for `read` and `write`.',
    table(['Operation', 'Scope needed', 'Without it, 403', 'Fields that may be written'], operationRows()),
    'Fields that the key may not write can be sent back as they are; otherwise 403 names them.',
  ])
}

function operationRows(): string[][] {
  return Object.entries(operations).map(([name, { words, needs, ...more }]) => {
    const scope = 'action' in needs ? policy[needs.action].scope : 'scope' in needs ? needs.scope : undefined
    const own = 'writes' in more ? 'those of *service*; with `admin` those of *admin*' : '–'
    const told = scope === undefined ? '–' : `Insufficient permissions to ${words}`
    const needed = scope === undefined ? 'none; what was mailed' : code(scope)
    return [code(name.replaceAll(/:(\w+)/g, '{$1}')), needed, told, own]
  })
}

function fieldsOf(writer: Writer): readonly FieldName[] {
  return fieldNames.filter((name) => catalogue[name].write.includes(writer))
}

const meanings: Readonly<Record<Code, string>> = {
  invalid: 'The request is wrong in itself; everything that is wrong is named at once',
  too_large: 'The body is larger than `ROSTER_MAX_BODY`',
  unauthenticated: 'Credentials are needed, or the contract is closed; with `WWW-Authenticate`',
  forbidden: 'The caller may not do this, or not to this field',
  not_found: 'There is no such user to be seen',
  unknown_path: 'There is nothing at this path',
  method_not_allowed: 'The address does not know the method; with `Allow`',
  not_acceptable: 'The answer is JSON, and the request accepts none; only where `Accept` is looked at',
  precondition_failed: '`If-Match` or `If-None-Match` does not hold',
  expectation_failed: '`Expect` says something else than 100-continue',
  precondition_required: 'There is no `If-Match`, and `ROSTER_REQUIRE_IF_MATCH` asks for one',
  conflict: 'Another user has a value that only one may have',
  idempotency_mismatch: 'The idempotency key was used for another request',
  in_progress: 'The request with this idempotency key is still running',
  batch_aborted: 'Another operation of the batch was refused, so none was kept',
  misdirected: 'The `Host` is not one that Roster answers to',
  rate_limited: 'The caller has asked too much in too short a time; with `Retry-After`',
  unavailable: 'The store can not answer now; with `Retry-After`',
  outcome_unknown: 'It could not be found out in time whether the update was saved; with `Retry-After`',
  internal: 'A fault in Roster; the log has the cause under the `X-Request-Id`',
}

function errors(): string {
  const id = 'req-00000000-0000-0000-0000-000000000000'
  const samples: Readonly<Partial<Record<Code, Refusal>>> = {
    conflict: claimsTaken([claim('email', 'fionab@example.com')]),
    not_found: userNotFound,
  }
  const answer = ({ contract }: Described, refused: Code) =>
    contract.refuse(samples[refused] ?? refusal(refused, ''), id)
  const rows = codes.map((refused) => [
    code(refused),
    meanings[refused],
    ...contracts.map((described) => {
      const { status, body } = answer(described, refused)
      const own = ownCode(body)
      return `${status}${own}`
    }),
  ])
  const shapes = contracts.map((described) => {
    const bodies = (Object.keys(samples) as Code[]).map((refused) => {
      const { status, body } = answer(described, refused)
      return `${refused}, ${status}:\n\n\`\`\`json\n${JSON.stringify(body, null, 2)}\n\`\`\``
    })
    return [`## Shape: ${described.contract.name}`, ...bodies].join('\n\n')
  })
  return page('Errors', 'src/directory/errors.ts and the errors.ts of each contract', [
    'Every way in which Roster refuses, and the status that each contract gives it.',
    table(['Code', 'What it means', ...contracts.map(({ contract }) => contract.name)], rows),
    ...shapes,
  ])
}

/** The contract's own code in a refusal, where it has any. */
function ownCode(body: unknown): string {
  if (typeof body !== 'object' || body === null) return ''
  if ('errors' in body) return `, ${code(communityCode(body.errors))}`
  if ('code' in body) return `, ${code(body.code)}`
  return 'message' in body && 'error' in body ? `, ${code(body.error)}` : ''
}

/** The code that the community's contract has in its list of errors. */
function communityCode(errors: unknown): unknown {
  return (errors as readonly { messages: readonly { code: string }[] }[])[0]?.messages[0]?.code
}

async function openapi(): Promise<string> {
  const app = await createApp({ config: readConfig({}), store, log: pino({ level: 'silent' }) })
  await app.ready()
  const document = app.swagger()
  await app.close()
  return `${JSON.stringify(document, null, 2)}\n`
}

function page(title: string, source: string, parts: readonly string[]): string {
  const origin = `<!-- Made from ${source} by \`npm run docs\`. Change the code, not this file. -->`
  return `${[`# ${title}`, origin, ...parts].join('\n\n')}\n`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** As code, in a cell of a table too. */
function code(text: unknown): string {
  return `\`${String(text).replaceAll('|', '\\|')}\``
}

if (import.meta.main) {
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of await generate()) writeFileSync(new URL(name, folder), text)
}
