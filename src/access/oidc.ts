/**
 * `oidc-provider` warns of every Node.js that is no LTS release, on standard error and not in the log, each
 * time it is loaded. Roster runs on newer ones on purpose; what else it has to say is heard.
 */
const { warn } = console
console.warn = (...told: unknown[]) => {
  if (!/Unsupported runtime/.test(String(told[0]))) warn(...told)
}
export const { Provider, errors } = await import('oidc-provider')
console.warn = warn
