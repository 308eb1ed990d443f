/** Tells passwords that many people have: the first that whoever guesses tries. */
export type IsCommon = (password: string) => Promise<boolean>

/** @param read the list, in lower case: asked when it is needed first, and again where that failed */
export function createIsCommon(read: () => Promise<ReadonlySet<string>>): IsCommon {
  let known: ReturnType<typeof read> | undefined
  return async (password) => {
    known ??= read().catch((error: unknown) => {
      known = undefined
      throw error
    })
    return (await known).has(password.normalize('NFC').toLowerCase())
  }
}

/** In whatever case. The list has some megabytes. */
export const isCommonPassword = createIsCommon(async () => {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  return new Set(dictionary['passwords-common'].map((password) => password.toLowerCase()))
})
