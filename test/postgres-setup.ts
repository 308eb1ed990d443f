import { userInfo } from 'node:os'
import type { TestProject } from 'vitest/node'
import { connectTo, createServerOfOwn } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server that tests may make databases on. */
    postgresUrl: string
  }
}

/** The server at TEST_POSTGRES_URL, else a local one that answers, else one started for these tests. */
export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.TEST_POSTGRES_URL
  if (given !== undefined && given !== '') {
    await assertUsable(given)
    project.provide('postgresUrl', given)
    return undefined
  }
  const local = `postgres://${encodeURIComponent(userInfo().username)}@127.0.0.1:5432/postgres`
  if (
    await assertUsable(local).then(
      () => true,
      () => false,
    )
  ) {
    project.provide('postgresUrl', local)
    return undefined
  }
  const server = await createServerOfOwn()
  project.provide('postgresUrl', server.url)
  return server.remove
}

async function assertUsable(url: string): Promise<void> {
  const sql = connectTo(`${url}${url.includes('?') ? '&' : '?'}connect_timeout=3`)
  try {
    const [role] = await sql`SELECT rolcreatedb OR rolsuper AS may FROM pg_roles WHERE rolname = current_user`
    if (role?.may !== true) throw new Error('The PostgreSQL for tests must let its user create databases')
  } finally {
    await sql.end({ timeout: 1 })
  }
}
