import { alertOf, escapeHtml, type Page, page } from '../html.ts'

/** The pages for who has forgotten the password. */

export interface AskPage {
  readonly address?: string
  readonly alert?: string | undefined
  /** The sign-in that led here, to go back to. */
  readonly from: string
}

export function askPage({ address = '', alert, from }: AskPage): Page {
  const body = `<h1>Forgotten password</h1>
<p>Say which e-mail address your account has. You will get a mail with a link that lets you choose a new password.</p>
${alertOf(alert)}<form method="post">
<input type="hidden" name="from" value="${escapeHtml(from)}">
<label for="email">E-mail address</label>
<input id="email" name="email" type="text" inputmode="email" value="${escapeHtml(address)}" autocomplete="email" autocapitalize="none" spellcheck="false" required maxlength="254"${alert === undefined ? ' autofocus' : ''}>
<div class="actions">
<button class="yes">Send the mail</button>
</div>
</form>
${backTo(from)}`
  return {
    html: page(`${alert === undefined ? '' : 'Error: '}Forgotten password`, body),
    formAction: ["'self'"],
  }
}

/** The same, whoever has the address. */
export function askedPage(from: string): Page {
  const body = `<h1>Look into your mailbox</h1>
<p>If there is an account with this address, a mail is on its way to it. The link in it is good for an hour, and once.</p>
<p>If none comes, look among what was taken for spam, and whether the address is the one of your account.</p>
${backTo(from, '../')}`
  return { html: page('Look into your mailbox', body), formAction: [] }
}

export interface ChoosePage {
  readonly token: string
  /** The address of whom the link is for, so that a password is kept with it. */
  readonly address: string
  readonly alert?: string | undefined
}

export function choosePage({ token, address, alert }: ChoosePage): Page {
  const body = `<h1>Choose a new password</h1>
<p>You will be signed out wherever you are signed in.</p>
${alertOf(alert)}<form method="post" action="?">
<input type="hidden" name="token" value="${escapeHtml(token)}">
<label for="username">Account</label>
<input id="username" name="username" value="${escapeHtml(address)}" autocomplete="username" readonly>
<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" aria-describedby="rule" required maxlength="256"${alert === undefined ? ' autofocus' : ''}>
<p id="rule">At least 8 characters, and not one that many people have.</p>
<label for="again">New password, once more</label>
<input id="again" name="again" type="password" autocomplete="new-password" required maxlength="256">
<div class="actions">
<button class="yes">Change the password</button>
</div>
</form>`
  return {
    html: page(`${alert === undefined ? '' : 'Error: '}Choose a new password`, body),
    formAction: ["'self'"],
  }
}

export const chosenPage: Page = {
  html: page(
    'Your password was changed',
    `<h1>Your password was changed</h1>
<p>Go back to where you wanted to sign in, and do so with the new password.</p>`,
  ),
  formAction: [],
}

export const endedLinkPage: Page = {
  html: page(
    'This link is over',
    `<h1>This link is over</h1>
<p>It was used, or is older than an hour, or the password or the address was changed since.</p>
<p><a href="forgot-password">Have another one sent</a></p>`,
  ),
  formAction: [],
}

/** @param up from the page to `/oauth/`, wherever that is */
function backTo(from: string, up = ''): string {
  return from === '' ? '' : `<p><a href="${up}sign-in/${escapeHtml(from)}">Back to signing in</a></p>`
}
