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

export function signInPage({ uid, client, redirectUri, token, name = '', alert }: SignInPage): Page {
  const body = `<h1>Sign in</h1>
<p>to go on to <strong>${escapeHtml(client)}</strong></p>
${alertOf(alert)}<form method="post">
${hidden(token)}<label for="name">E-mail address or username</label>
<input id="name" name="name" value="${escapeHtml(name)}" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="254"${alert === undefined ? ' autofocus' : ''}>
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
    formAction: [targetOf(redirectUri)],
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
  write: 'change your profile',
  openid: 'know who you are',
}

export function consentPage({ client, redirectUri, token, person, scopes }: ConsentPage): Page {
  const items = scopes.map((scope) => `<li>${escapeHtml(scopeWords[scope] ?? scope)}</li>`).join('\n')
  const body = `<h1>Allow access?</h1>
<p><strong>${escapeHtml(client)}</strong> would like to do this for you, <strong>${escapeHtml(person)}</strong>:</p>
<ul>
${items}
</ul>
<form method="post">
${hidden(token)}<div class="actions">
<button class="yes" name="action" value="allow">Allow</button>
<button class="no" name="action" value="deny">Do not allow</button>
</div>
</form>`
  return { html: page('Allow access?', body), formAction: [targetOf(redirectUri)] }
}

function hidden(token: string): string {
  return `<input type="hidden" name="token" value="${escapeHtml(token)}">\n`
}

/** What a browser is to let the form lead to in the end: an origin, or an app's own scheme. */
function targetOf(redirectUri: string): string {
  const url = URL.parse(redirectUri)
  if (url === null) return ''
  return /^https?:$/.test(url.protocol) ? url.origin : url.protocol
}
