import { errorPage, escapeHtml, type Page, page } from '../html.ts'

/** What people see who follow a link of a mail. Looking changes nothing: programs look at links before people do. */
export interface AskPage {
  /** What the link carries. */
  readonly token: string
  /** The new address. */
  readonly email: string
}

export function confirmPage({ token, email }: AskPage): Page {
  return ask({
    title: 'Confirm the new address',
    says: `From now on, <strong>${escapeHtml(email)}</strong> is to be the address of your account.`,
    button: 'Confirm',
    token,
  })
}

export function undoPage({ token, email }: AskPage): Page {
  return ask({
    title: 'Undo the change of address',
    says: `Your account gets its old address back in place of <strong>${escapeHtml(email)}</strong>, and everybody who is signed in to it has to sign in again.`,
    button: 'Undo the change',
    token,
  })
}

interface Asking {
  readonly title: string
  /** HTML. */
  readonly says: string
  readonly button: string
  readonly token: string
}

function ask({ title, says, button, token }: Asking): Page {
  const body = `<h1>${title}</h1>
<p>${says}</p>
<form method="post">
<input type="hidden" name="token" value="${escapeHtml(token)}">
<div class="actions">
<button class="yes">${button}</button>
</div>
</form>`
  return { html: page(title, body), formAction: ["'self'"] }
}

export const confirmedPage = errorPage(
  'The address is confirmed',
  'It is the address of your account from now on. You can close this page.',
)

export const halfConfirmedPage = errorPage(
  'Thank you',
  'The address changes as soon as it is confirmed from the other mailbox as well. You can close this page.',
)

export const undonePage: Page = {
  html: page(
    'The old address is back',
    `<h1>The old address is back</h1>
<p>Everybody who was signed in has to sign in again. If it was not you who changed the address, somebody may know your password, so <a href="../oauth/forgot-password">choose another password</a> as well.</p>`,
  ),
  formAction: [],
}

export const takenPage = errorPage(
  'Another account has this address',
  'It was given to another account in the meantime, so it can not be the address of yours. Nothing has been changed.',
)

export const blockedPage = errorPage('This account is blocked', 'Its address can not be changed now.')

/** The same for one that never was, was used, replaced or cancelled, or came too late. */
export const uselessPage = errorPage(
  'This link is of no use any more',
  'It was used already, or a newer mail has taken its place, or its time is over. If you still want to change your address, ask for it again.',
)
