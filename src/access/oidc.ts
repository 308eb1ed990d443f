import type { DirectoryError } from '../directory/errors.ts'

/**
 * `oidc-provider` warns of every Node.js that is no LTS release, on standard error and not in the log, each
 * time it is loaded. Roster runs on newer ones on purpose; what else it has to say is heard.
 */
const { warn } = console
console.warn = (...told: unknown[]) => {
  if (!/Unsupported runtime/.test(String(told[0]))) warn(...told)
}
export const { Provider, errors, interactionPolicy } = await import('oidc-provider')
console.warn = warn

/**
 * What the store can not do now, in the words of the protocol: else it would be an error of the server's
 * own. A person is told on a page, and not sent back to a client that can do nothing about it.
 */
export function temporarilyUnavailable(cause: DirectoryError) {
  const error = new errors.OIDCProviderError(503, 'temporarily_unavailable', { cause })
  return Object.assign(error, { expose: true, allow_redirect: false, error_description: cause.message })
}
