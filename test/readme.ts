import { readFileSync } from 'node:fs'

/** What the README shows: its blocks, and each curl line with the answer that it says comes. */

export const root = new URL('../', import.meta.url)

const story = /^## Coming from json-server\n.*?(?=^## )/ms
const all = readFileSync(new URL('README.md', root), 'utf8')

/** Most of it is about the service that `npm start` starts; one section is about people who are brought along. */
export const readme = {
  main: read(all.replace(story, '')),
  fromJsonServer: read(story.exec(all)?.[0] ?? ''),
}

export interface Block {
  readonly language: string
  readonly text: string
}

export interface Example {
  readonly title: string
  readonly command: string
  /** As printed: the status line, and the headers that matter. */
  readonly head: readonly string[]
  readonly body: string
}

function read(text: string) {
  const blocks: readonly Block[] = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
    ([, language = '', block = '']) => ({ language, text: block.trimEnd() }),
  )
  return { text, blocks, examples: examplesIn(blocks) }
}

function examplesIn(blocks: readonly Block[]): readonly Example[] {
  return blocks.flatMap(({ text: command }, at) => {
    if (!/^curl /m.test(command)) return []
    const answer = blocks[at + 1]
    if (answer?.language !== 'http') throw new Error(`nothing says what this answers: ${command}`)
    const [head = '', body = ''] = answer.text.split('\n\n')
    const [, method = 'GET'] = /-X (\w+)/.exec(command) ?? []
    const [, path] = /localhost:3000([^\s']*)/.exec(command) ?? []
    return [{ title: `${method} ${path}, ${head.slice(9, 12)}`, command, head: head.split('\n'), body }]
  })
}

export type Run = (command: string) => Promise<string>

/** As curl -i prints it, for machines without curl: understands just what the README uses. */
export const byFetch: Run = async (command) => {
  const words = [...command.replaceAll('\\\n', ' ').matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  )
  const after = (option: string) => words.filter((_, at) => words[at - 1] === option)
  const unknown = words.filter((word) => word.startsWith('-') && !['-i', '-X', '-H', '-d'].includes(word))
  if (unknown.length > 0) throw new Error(`the README uses ${unknown}, which is not understood here`)

  const [method = 'GET'] = after('-X')
  const [body = null] = after('-d')
  const headers = after('-H').map((header) => header.split(': ') as [name: string, value: string])
  const url = words.find((word) => word.startsWith('http://')) ?? ''
  const answer = await fetch(url, { method, body, headers, redirect: 'manual' })
  const shown = [...answer.headers].map(([name, value]) => `${name}: ${value}`)
  const head = [`HTTP/1.1 ${answer.status} ${answer.statusText}`, ...shown]
  return `${head.join('\r\n')}\r\n\r\n${await answer.text()}`
}

/** An answer as it was printed, taken apart. */
export function takeApart(printed: string): { readonly head: readonly string[]; readonly body: string } {
  const end = printed.indexOf('\r\n\r\n')
  return { head: printed.slice(0, end).split('\r\n'), body: printed.slice(end + 4) }
}

/** As it stands there, where … is whatever differs each time. */
export function like(text: string): RegExp {
  return new RegExp(`^${text.split('…').map(RegExp.escape).join('[^"]+')}$`)
}
