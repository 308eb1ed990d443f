import { afterAll, beforeAll, expect } from 'vitest'
import type { Scope } from '../src/directory/actor.ts'
import { type Answer, startApp, type TestApp } from './app.ts'

/** A user as the platform API shows one, and where. */
export interface PlatformUser {
  readonly id: string
  readonly email: string
  readonly username: string
  readonly at: string
}

/** The platform API and a key to it, from before the first test of a file until after the last. */
export function usePlatform(scopes: readonly Scope[] = ['read', 'write']) {
  let roster: TestApp
  let key: { readonly authorization: string }
  beforeAll(async () => {
    roster = await startApp()
    key = await roster.keyWith(...scopes)
  })
  afterAll(() => roster.close())

  const call = (line: string, body?: unknown, headers: object = {}): Promise<Answer> =>
    roster.call(line, body, { ...key, ...headers })

  let made = 0
  /** What somebody can be made with whom nobody is like. */
  const person = () => {
    const name = `person${++made}`
    return { email: `${name}@example.org`, username: name, password: 'correct horse' }
  }

  return {
    /** As it is once tests run. */
    get roster() {
      return roster
    },
    call,
    person,
    async create(values: object = {}): Promise<PlatformUser> {
      const answer = await call('POST /v1/users', { ...person(), ...values })
      expect(answer.status).toBe(201)
      return { ...(answer.body as PlatformUser), at: String(answer.headers.location) }
    },
  }
}
