import { catalogue } from '../../directory/fields.ts'
import { alertOf, escapeHtml, type Page, page } from '../html.ts'

export interface SignInPage {
  /** What names this sign-in. */
  readonly uid: string
  readonly client: string
  readonly redirectUri: string
  /** What ties the form to this sign-in. */
  readonly token: string
  readonly name?: string
  readonly alert?: string | undefined
}

/** UTF-16 units of the longest name that somebody can sign in by: a character has two of them at most. */
export const longestName =
  2 * Math.max(...(['email', 'username'] as const).map((name) => Number(catalogue[name].schema.maxLength)))

export function signInPage({ uid, client, redirectUri, token, name = '', alert }: SignInPage): Page {
  const body = `<h1>Sign in</h1>
<p>to go on to <strong>${escapeHtml(client)}</strong></p>
${alertOf(alert)}<form method="post">
${hidden(token)}<label for="name">E-mail address or username</label>
<input id="name" name="name" value="${escapeHtml(name)}" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="${longestName}"${alert === undefined ? ' autofocus' : ''}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256">
<div class="actions">
<button class="yes" name="action" value="sign-in">Sign in</button>
<button class="no" name="action" value="cancel" formnovalidate>Cancel</button>
</div>
</form>
<p><a href="../forgot-password?from=${encodeURIComponent(uid)}">Forgot your password?</a></p>`
  return {
    html: page(`${alert === undefined ? '' : 'Error: '}Sign in`, body),
    formAction: targetsOf(redirectUri),
  }
}

export interface ConsentPage {
  readonly client: string
  readonly redirectUri: string
  readonly token: string
  /** How the person is called who has signed in. */
  readonly person: string
  readonly scopes: readonly string[]
}

const scopeWords: Readonly<Record<string, string>> = {
  read: 'see your profile',
  write: 'change your profile and e-mail address, and delete your account',
  openid: 'know who you are',
}

export function consentPage({ client, redirectUri, token, person, scopes }: ConsentPage): Page {
  const items = scopes.map((scope) => `<li>${escapeHtml(scopeWords[scope] ?? scope)}</li>`).join('\n')
  const body = `<h1>Allow access?</h1>
<p><strong>${escapeHtml(client)}</strong> would like to</p>
<ul>
${items}
</ul>
<form method="post">
${hidden(token)}<div class="actions">
<button class="yes" name="action" value="allow">Allow</button>
<button class="no" name="action" value="deny">Do not allow</button>
</div>
<p>You are signed in as <strong>${escapeHtml(person)}</strong>. Not you? <button class="link" name="action" value="switch">Sign in as somebody else</button></p>
</form>`
  return { html: page('Allow access?', body), formAction: targetsOf(redirectUri) }
}

export interface SignOutPage {
  /** What it is done by, without a button. */
  readonly form: string
  readonly person: string
  /** Where they have signed out already, if they come from there. */
  readonly client: string | undefined
}

export function signOutPage({ form, person, client }: SignOutPage): Page {
  const formId = /id="([^"]+)"/.exec(form)?.[1] ?? ''
  const stay = `<button class="no" form="${formId}">Stay signed in</button>\n`
  const from = client === undefined ? '' : `<p>You come from <strong>${escapeHtml(client)}</strong>.</p>\n`
  const body = `<h1>Sign out?</h1>
${from}<p>You are signed in here as <strong>${escapeHtml(person)}</strong>.</p>
${form}
<div class="actions">
<button class="yes" form="${formId}" name="logout" value="yes">Sign out</button>
${client === undefined ? '' : stay}</div>`
  return { html: page('Sign out?', body), formAction: [] }
}

function hidden(token: string): string {
  return `<input type="hidden" name="token" value="${escapeHtml(token)}">\n`
}

/**
 * What a browser is to let the form lead to: any place that is reached like that of the client. Chromium
 * holds all redirects to it that follow, and a client may lead on from there to wherever it likes.
 */
function targetsOf(redirectUri: string): string[] {
  const { protocol } = new URL(redirectUri)
  return protocol === 'https:' ? ['https:'] : ['https:', protocol]
}
