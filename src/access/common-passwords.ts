/** Tells passwords that many people have: the first that whoever guesses tries. */
export type IsCommon = (password: string) => Promise<boolean>

let known: Promise<ReadonlySet<string>> | undefined

/** In whatever case. The list, of some megabytes, is read when it is needed first. */
export const isCommonPassword: IsCommon = async (password) => {
  known ??= read()
  return (await known).has(password.normalize('NFC').toLowerCase())
}

async function read(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  const list = dictionary['passwords-common']
  return new Set(list.map((password) => password.toLowerCase()))
}
