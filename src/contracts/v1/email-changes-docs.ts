import { conditions } from '../schema.ts'
import { id, key, maybeTime, object, querystring, refused, tags, time } from './docs.ts'

/** What the OpenAPI document and the serializer are told of the routes of e-mail changes. */

const mailboxes = { type: 'array', items: { type: 'string', enum: ['new', 'old'] } } as const
const address = { type: 'string', format: 'idn-email' } as const

const change = object({
  id: { type: 'string', examples: ['emc_0123456789abcdef'] },
  state: { type: 'string', enum: ['pending', 'confirmed', 'cancelled', 'expired', 'reverted'] },
  email: { ...address, description: 'The new address' },
  old_email: { ...address, type: ['string', 'null'], description: 'The address that it replaces' },
  confirmation_by: { ...mailboxes, description: 'Whose word is needed' },
  confirmed_by: { ...mailboxes, description: 'Who has given it' },
  requested_at: time,
  expires_at: { ...time, description: 'From then on it can not be confirmed' },
  ended_at: { ...maybeTime, description: 'When it stopped to be pending' },
  undo_until: { ...maybeTime, description: 'Until then the link in the mail to the old address undoes it' },
})

const common = { tags }
const params = object({ id })
const ofChange = object({ id, change_id: { type: 'string', description: 'The id of the change' } })
const once = { headers: conditions(key), querystring }
const answered = (description: string) => ({ response: { 200: { ...change, description }, ...refused } })
const { old_email: _, ...toReader } = change.properties
/** To whoever reads a mail. */
const byMail = { response: { 200: { ...object(toReader), description: 'The change' }, ...refused } }
const sent = object({ email: { ...address, description: 'The new address' } })
const token = object({ token: { type: 'string', description: 'What the link in the mail carries' } })

export const emailChangeDocs = {
  list: {
    ...common,
    params,
    summary: 'List the e-mail changes of a user, the latest first',
    response: {
      200: {
        ...object({ data: { type: 'array', items: change } }),
        description: 'At most 100; those that are over are kept for 90 days',
      },
      ...refused,
    },
  },
  request: {
    ...common,
    ...once,
    params,
    summary: 'Ask for another address, which is confirmed first; a change that is pending is cancelled',
    body: sent,
    response: { 201: { ...change, description: 'The change, and mails are on their way' }, ...refused },
  },
  get: { ...common, params: ofChange, summary: 'Get an e-mail change', ...answered('The change') },
  correct: {
    ...common,
    ...once,
    params: ofChange,
    summary: 'Correct the new address of a pending change',
    body: sent,
    ...answered('The change, and mails are on their way'),
  },
  cancel: {
    ...common,
    ...once,
    params: ofChange,
    summary: 'Cancel a pending change',
    response: { 204: { type: 'null', description: 'Cancelled' }, ...refused },
  },
  resend: {
    ...common,
    ...once,
    params: ofChange,
    summary: 'Send the mails of a pending change again; what was sent before is of no use any more',
    ...answered('The change, and mails are on their way'),
  },
  confirm: {
    ...common,
    querystring,
    params: ofChange,
    summary: 'Confirm a change by what was mailed; no other credentials are needed',
    body: token,
    ...byMail,
  },
  revert: {
    ...common,
    querystring,
    params: ofChange,
    summary: 'Undo a change by what was mailed to the old address; tokens issued before end',
    body: token,
    ...byMail,
  },
} as const
