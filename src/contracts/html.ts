import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DirectoryError, isPassing } from '../directory/errors.ts'

/**
 * What people see: plain HTML that needs no script and loads nothing. Each page has one heading, labels for
 * its fields, and tells what is wrong at the top, where it is read out.
 */
export interface Page {
  readonly html: string
  /** Where the form of the page may lead, its answer's redirects included. */
  readonly formAction: readonly string[]
}

const style = `:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:#1c1c1c;background:#f4f4f2}
main{overflow-wrap:anywhere;max-width:26rem;margin:8vh auto;padding:2rem;background:#fff;border:1px solid #c9c9c4;border-radius:.5rem}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25}
p{margin:.5rem 0 1rem}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input{width:100%;padding:.6rem .75rem;font:inherit;color:inherit;background:#fff;border:1px solid #6b6b66;border-radius:.25rem}
button{padding:.65rem 1.25rem;font:inherit;font-weight:600;border:1px solid #14538c;border-radius:.25rem;cursor:pointer}
.actions{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}
.yes{color:#fff;background:#14538c}
a{color:#14538c}
form+p,.actions+p{margin:1.5rem 0 0}
.link{padding:0;font-weight:400;color:#14538c;background:none;border:0;text-decoration:underline}
.no{color:#14538c;background:#fff}
.alert{padding:.75rem 1rem;border-left:.3rem solid #a3130b;background:#fdecea;color:#7a0f08}
:focus-visible{outline:3px solid #f2a900;outline-offset:2px}
@media(prefers-color-scheme:dark){body{color:#f0f0ee;background:#161615}main{background:#222220;border-color:#4d4d49}
input{background:#161615;border-color:#9a9a94}.yes{background:#1d66aa;border-color:#8cc0f0}.no{color:#a9d0f7;background:#222220;border-color:#8cc0f0}
a,.link{color:#a9d0f7}.alert{background:#3a1512;color:#ffc9c3;border-color:#ff8a7d}}`

const styleHash = `'sha256-${hash('sha256', style, 'base64')}'`

/**
 * Nothing is loaded, from anywhere, and nobody frames the page (CSP Level 3). Without a form action it is
 * the policy of a page that sends itself to a client (OAuth 2.0 Form Post Response Mode): the
 * authorization server adds the hash of its script.
 */
export function policyOf({ formAction }: Partial<Pick<Page, 'formAction'>>): string {
  const target =
    formAction?.length === 0 ? "'none'" : [...new Set(["'self'", ...(formAction ?? [])])].join(' ')
  const form = formAction === undefined ? 'script-src' : `form-action ${target}`
  return `default-src 'none'; style-src ${styleHash}; ${form}; frame-ancestors 'none'; base-uri 'none'`
}

/** Where nobody can be sent back to. */
export function errorPage(title: string, message: string): Page {
  return { html: page(title, `<h1>${escapeHtml(title)}</h1>\n<p>${escapeHtml(message)}</p>`), formAction: [] }
}

export function page(title: string, body: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`
}

export function alertOf(alert: string | undefined): string {
  return alert === undefined ? '' : `<p class="alert" role="alert">${escapeHtml(alert)}</p>\n`
}

/** In words, how long somebody has to wait. */
export function tooOften(seconds: number): string {
  const minutes = Math.ceil(seconds / 60)
  return `That was tried too often. Wait ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} and try again.`
}

/** @param referrer what the browser may tell of the page's address (Referrer Policy) */
export function sendPage(
  reply: FastifyReply,
  status: number,
  page: Page,
  referrer: 'same-origin' | 'no-referrer' = 'same-origin',
): FastifyReply {
  return reply
    .code(status)
    .headers({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policyOf(page),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': referrer,
    })
    .send(page.html)
}

/**
 * Tells people on a page what can not be done now.
 * @throws the error, where it is nothing that passes, as also does that others keep changing somebody's record
 */
export function sendBusy(reply: FastifyReply, error: unknown): FastifyReply {
  const isCrowded = error instanceof DirectoryError && error.code === 'precondition_failed'
  if (!isPassing(error) && !isCrowded) throw error
  const isUncertain = error instanceof DirectoryError && error.code === 'outcome_unknown'
  return sendPage(
    reply.header('retry-after', '5'),
    503,
    isUncertain ? uncertainPage : busyPage,
    'no-referrer',
  )
}

/** What a form says; undefined where it is none. */
export function formOf({ body, headers }: FastifyRequest): URLSearchParams | undefined {
  const isForm = /^application\/x-www-form-urlencoded *(;|$)/i.test(headers['content-type'] ?? '')
  return isForm && body instanceof Buffer ? new URLSearchParams(body.toString()) : undefined
}

/**
 * Whether a browser that tells where a form comes from tells that it comes from here (Fetch Metadata, RFC 6454).
 * @param origin where callers find the service
 */
export function isOwnForm({ headers }: FastifyRequest, origin: string): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  return headers.origin === undefined || headers.origin === origin || site === 'same-origin'
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}

export const busyPage = errorPage(
  'Try again in a moment',
  'This can not be done right now. Go back, and try again in a few seconds.',
)

const uncertainPage = errorPage(
  'It is not certain that this was done',
  'Wait a few seconds, go back, and try again. If the link is of no use any more then, it may have been done.',
)

export const foreignPage = errorPage(
  'This did not come from here',
  'The form was sent from another page. Go back to where you came from, and try again.',
)
