import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

/** The program that people use, where there is one. In CI there has to be. */
export const hasCurl = process.env.CI !== undefined || spawnSync('curl', ['--version']).status === 0

/** What `curl -i` prints, taken apart. */
export async function curl(...options: string[]) {
  const args = ['-qsi', '--noproxy', '*', ...options]
  const { stdout } = await promisify(execFile)('curl', args, { encoding: 'latin1' })
  // What comes before the last head is `100 Continue`.
  const [head = '', text = ''] = stdout.split(/\r\n\r\n(?!HTTP)/, 2)
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head.split('\r\n\r\n').at(-1) ?? '')?.[1])
  const body = /^[[{]/.test(text)
    ? (JSON.parse(Buffer.from(text, 'latin1').toString()) as Record<string, unknown>)
    : undefined
  return { status, head, body }
}
