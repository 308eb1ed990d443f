import type { FastifyReply, FastifyRequest } from 'fastify'
import type { EmailLimits } from '../../access/email-limits.ts'
import type { Directory } from '../../directory/directory.ts'
import type { EmailChange } from '../../directory/email-change.ts'
import type { StepResult } from '../../directory/email-changes.ts'
import { DirectoryError, type Problem, refusal } from '../../directory/errors.ts'
import { addressOf } from '../address.ts'
import { readJsonObject } from '../body.ts'
import { context } from '../contract.ts'
import { conditionsOf, refuseHeaders } from '../request.ts'
import { previewOf, sendPreview } from './answer.ts'
import { isPlainJson } from './decode.ts'
import type { Ids } from './ids.ts'
import { decodeOptions, markReplay } from './options.ts'
import type { ById } from './users.ts'
import { encodeTime, encodeUser } from './wire.ts'

export interface EmailChangesOptions {
  readonly directory: Directory
  readonly ids: Ids
  readonly limits: Pick<EmailLimits, 'tryToken'>
  /** What addresses in answers start with; undefined for paths alone. */
  readonly publicUrl: string | undefined
}

interface ByChange {
  Params: { id: string; change_id: string }
}

/** `/v1/users/{id}/email-changes`: addresses that are replaced once they are confirmed. */
export function createEmailChangeRoutes({ directory, ids, limits, publicUrl }: EmailChangesOptions) {
  const { emailChanges } = directory

  /** What every step of a change is asked with; the names are those that its body has. */
  async function decode(request: FastifyRequest<ById>, ...names: readonly string[]) {
    const { id: called } = request.params
    const options = decodeOptions(request)
    const { values, problems } = readValues(request, names)
    const all = [...options.problems, ...conditionsOf(request), ...problems]
    return { values, asked: { ...options, id: await ids(called), called, problems: all } }
  }

  function send(reply: FastifyReply, result: StepResult, status = 200): unknown {
    if (result.fields !== undefined) return sendPreview(reply, { ...previewOf(result, encodeUser), status })
    markReplay(reply, result)
    reply.code(status)
    return result.change && encodeChange(result.change)
  }

  /** By a token alone: whoever has it has read the mail. */
  function byToken(step: 'confirm' | 'revert') {
    return async (request: FastifyRequest<ByChange>, reply: FastifyReply) => {
      const { values, problems } = readValues(request, ['token'])
      const { dryRun, problems: unsound } = decodeOptions(request)
      if (problems.length === 0 && typeof values.token !== 'string')
        problems.push({
          property: 'token',
          message: values.token === undefined ? 'is required' : 'must be a string',
        })
      const { id, change_id: changeId } = request.params
      const userId = await ids(id)
      const keyed = refuseHeaders(request, ['Idempotency-Key'], isOnceAnyway)
      const all = [...unsound, ...keyed, ...conditionsOf(request), ...problems]
      if (all.length > 0) throw new DirectoryError(refusal('invalid', 'The request is not valid', all))
      const shown = { token: String(values.token), userId, changeId }
      const asked = { requestId: request.id, contract: request.actor.contract, dryRun }
      const result = await limits.tryToken(request.ip, () => emailChanges[step](asked, shown))
      if (dryRun) return sendPreview(reply, previewToReader(result))
      return result.change && encodeToReader(result.change)
    }
  }

  return {
    list: async (request: FastifyRequest<ById>) => {
      const changes = await emailChanges.list(context(request), await ids(request.params.id))
      return { data: changes.map(encodeChange) }
    },

    get: async (request: FastifyRequest<ByChange>) => {
      const { id, change_id } = request.params
      return encodeChange(await emailChanges.get(context(request), await ids(id), change_id))
    },

    request: async (request: FastifyRequest<ById>, reply: FastifyReply) => {
      const { values, asked } = await decode(request, 'email')
      const result = await emailChanges.request(context(request), { ...asked, email: values.email })
      const path = `/v1/users/${request.params.id}/email-changes/${result.change?.id}`
      if (result.fields === undefined) reply.header('location', addressOf(publicUrl, path))
      return send(reply, result, 201)
    },

    correct: async (request: FastifyRequest<ByChange>, reply: FastifyReply) => {
      const { values, asked } = await decode(request, 'email')
      const { change_id: changeId } = request.params
      const { email } = values
      return send(reply, await emailChanges.correct(context(request), { ...asked, changeId, email }))
    },

    resend: async (request: FastifyRequest<ByChange>, reply: FastifyReply) => {
      const { asked } = await decode(request)
      const { change_id: changeId } = request.params
      return send(reply, await emailChanges.resend(context(request), { ...asked, changeId }))
    },

    cancel: async (request: FastifyRequest<ByChange>, reply: FastifyReply) => {
      const { asked } = await decode(request)
      const { change_id: changeId } = request.params
      const result = await emailChanges.cancel(context(request), { ...asked, changeId })
      if (result.fields !== undefined) return send(reply, result, 204)
      markReplay(reply, result)
      return reply.code(204).send()
    },

    confirm: byToken('confirm'),
    revert: byToken('revert'),
  }
}

const isOnceAnyway = 'must be left out: a token is good once, and nobody in particular has a key'

/** The members of a JSON body that has these and no others; where there are none to have, the body may be empty. */
function readValues(request: FastifyRequest, names: readonly string[]) {
  const { body } = request
  const values: Record<string, unknown> = {}
  const problems: Problem[] = []
  if (names.length === 0 && (!(body instanceof Buffer) || body.length === 0)) return { values, problems }
  const read = readJsonObject(request, isPlainJson, 'application/json')
  if (!('object' in read)) return { values, problems: [read.problem] }
  for (const [name, value] of Object.entries(read.object).slice(0, 50)) {
    if (names.includes(name)) values[name] = value
    else problems.push({ property: name.slice(0, 100), message: unknownOf(names) })
  }
  return { values, problems }
}

function unknownOf(names: readonly string[]): string {
  return names.length === 0 ? 'is not known here' : `is not known here; known is ${names.join(', ')}`
}

function encodeChange(change: EmailChange) {
  const time = (at: number | null) => (at === null ? null : encodeTime(at))
  const { by, confirmedByNew, confirmedByOld } = change
  return {
    id: change.id,
    state: change.state,
    email: change.newEmail,
    old_email: change.oldEmail,
    confirmation_by: by === 'both' ? ['new', 'old'] : ['new'],
    confirmed_by: [...(confirmedByNew ? ['new'] : []), ...(confirmedByOld ? ['old'] : [])],
    requested_at: encodeTime(change.requestedAt),
    expires_at: encodeTime(change.expiresAt),
    ended_at: time(change.endedAt),
    undo_until: time(change.undoUntil),
  }
}

/** Who reads a mail may not be who was meant, or not any more: of the record they are shown nothing, as it is or was. */
function encodeToReader(change: EmailChange) {
  const { old_email: _, ...told } = encodeChange(change)
  return told
}

/** As little of what would come, so nothing of what it would replace. */
function previewToReader(result: StepResult) {
  const { fields = {} } = result
  const told = (['email', 'email_change'] as const)
    .filter((name) => fields[name] !== undefined)
    .map((name) => [name, { new: fields[name]?.[1] }])
  return { ...previewOf(result, encodeUser), user: null, changes: Object.fromEntries(told) }
}
