import { readFileSync } from 'node:fs'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { authority, certificate, says, startMailServer } from '../../test/mail.ts'
import { Unsendable } from './message.ts'
import { deliverBySmtp, isThisMachine, judgeFailure } from './smtp.ts'

const message = {
  ...{ id: 'm', from: { name: 'Roster', address: 'roster@sender.test' }, to: 'ann@example.com' },
  ...{ date: new Date(), subject: 'x', text: 'x' },
}

/** What a server is told to say, and what was made of it. */
async function verdictOf(options: Parameters<typeof startMailServer>[1]) {
  const { url, close } = await startMailServer(undefined, options)
  onTestFinished(close)
  const error: unknown = await deliverBySmtp(url)(message, AbortSignal.timeout(20_000)).catch(
    (error) => error,
  )
  expect(error).toBeInstanceOf(Error)
  return judgeFailure(error).verdict
}

describe('a failed delivery', () => {
  test.for<[code: number, words: string, verdict: string]>([
    [550, '5.1.1 No such mailbox', 'never'],
    [553, '5.1.3 That is no mailbox', 'never'],
    [450, '4.2.1 Try again', 'later'],
    [421, '4.3.2 Closing', 'away'],
    // A relay that does not know us refuses every recipient until somebody puts it right.
    [530, '5.5.1 Sign in first', 'later'],
    [550, '5.7.1 Relaying denied', 'later'],
    [554, '5.7.1 Access denied', 'later'],
  ])('at the recipient is judged by what the server says: %s %s', async ([code, words, verdict]) => {
    const options = { hideENHANCEDSTATUSCODES: true }
    expect(await verdictOf({ ...options, onRcptTo: (_to, _session, done) => done(says(code, words)) })).toBe(
      verdict,
    )
  })

  test('is final where no server was asked, since the mail can not be sent', () => {
    expect(judgeFailure(new Unsendable('x')).verdict).toBe('never')
  })
})

test.for([
  ['localhost', true],
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['127.example.com', false],
  ['127.0.0.1.example.com', false],
  ['localhost.example.com', false],
  ['10.0.0.1', false],
] as const)('a password is told to %s without TLS: %s', ([host, here]) => {
  expect(isThisMachine(host)).toBe(here)
})

describe('a mail server with TLS', () => {
  const usual = getCACertificates('default')

  test.for<[scheme: 'smtp' | 'smtps', is: Parameters<typeof certificate>[0], trusts: boolean, fault: string]>(
    (['smtps', 'smtp'] as const).flatMap((scheme) => [
      [scheme, 'here', true, ''],
      [scheme, 'here', false, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
      [scheme, 'elsewhere', true, 'ERR_TLS_CERT_ALTNAME_INVALID'],
      [scheme, 'expired', true, 'CERT_HAS_EXPIRED'],
    ]),
  )(
    'by %s:// that shows it is %s, to who trusts its authority: %s, is told all or nothing: %s',
    async ([scheme, is, trusts, fault]) => {
      setDefaultCACertificates(trusts ? [...usual, readFileSync(authority, 'utf8')] : usual)
      onTestFinished(() => setDefaultCACertificates(usual))
      const told: unknown[] = []
      const { port, received, close } = await startMailServer(undefined, {
        ...{ ...certificate(is), secure: scheme === 'smtps', disabledCommands: [], authOptional: false },
        onAuth: ({ password }, { secure }, done) => done(null, { user: told.push(password, secure) }),
      })
      onTestFinished(close)
      const deliver = deliverBySmtp(`${scheme}://user:secret@127.0.0.1:${port}`)
      const failed = await deliver(message, AbortSignal.timeout(20_000)).then(() => undefined, judgeFailure)
      expect([told, received.length]).toEqual(fault === '' ? [['secret', true], 1] : [[], 0])
      expect(failed).toEqual(
        fault === '' ? undefined : { verdict: 'away', reason: expect.stringContaining(fault) },
      )
    },
  )

  test('is not told a password where it offers none, and is no program of this machine', async () => {
    const told: unknown[] = []
    const { port, received, close } = await startMailServer(undefined, {
      ...{ authOptional: false, allowInsecureAuth: true },
      onAuth: ({ password }, _session, done) => done(null, { user: told.push(password) }),
    })
    onTestFinished(close)
    // Leads here on most systems, and looks like any other.
    const deliver = deliverBySmtp(`smtp://user:secret@0.0.0.0:${port}`)
    const failed = await deliver(message, AbortSignal.timeout(20_000)).then(() => undefined, judgeFailure)
    expect([failed?.verdict, told, received]).toEqual(['away', [], []])
  })
})
