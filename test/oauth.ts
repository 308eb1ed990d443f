import { createHash, randomUUID } from 'node:crypto'
import type { TestApp } from './app.ts'

/**
 * What a browser does without a script: keeps cookies, follows links within the service, fills in forms.
 * @param nodes that answer in turn, where there are several behind the address
 */
export function createBrowser(url: string, nodes: readonly string[] = [url]) {
  let turn = 0
  const cookies = new Map<string, { readonly value: string; readonly path: string }>()

  async function go(
    address: string,
    form?: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ) {
    const { pathname } = new URL(address, url)
    const sent = [...cookies]
      .filter(([, { path }]) => pathname.startsWith(path))
      .map(([name, { value }]) => `${name.split(' ')[0]}=${value}`)
    const { search } = new URL(address, url)
    const node = nodes[turn++ % nodes.length]
    const answer = await fetch(`${node}${pathname}${search}`, {
      redirect: 'manual',
      headers: { cookie: sent.join('; '), accept: 'text/html', ...headers },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      const path = /path=([^;]+)/i.exec(cookie)?.[1] ?? '/'
      if (value === '') cookies.delete(`${name} ${path}`)
      else cookies.set(`${name} ${path}`, { value, path })
    }
    const html = await answer.text()
    const location = answer.headers.get('location')
    return { status: answer.status, headers: answer.headers, html, location, address }
  }

  type Shown = Awaited<ReturnType<typeof go>>

  /** Follows redirects until there is a page, or they lead elsewhere. */
  async function follow(shown: Shown): Promise<Shown> {
    let now = shown
    while (now.location !== null && /^\/|^http:\/\/127\.0\.0\.1:\d+\/oauth\//.test(now.location))
      now = await go(now.location)
    return now
  }

  return {
    go,
    open: async (address: string) => follow(await go(address)),
    /** Sends the form of a page, with these values. */
    submit: async (
      page: Shown,
      values: Readonly<Record<string, string>>,
      headers?: Readonly<Record<string, string>>,
    ) => {
      const token = /name="token" value="([^"]*)"/.exec(page.html)?.[1] ?? ''
      return follow(await go(page.address, { token, ...values }, headers))
    },
    cookies,
  }
}

/** Signs in and allows what is asked, whichever of the two is needed: the address that leads back to the client. */
export async function authorize(
  browser: ReturnType<typeof createBrowser>,
  address: string,
  person: { readonly name: string; readonly password: string },
): Promise<URL> {
  let page = await browser.open(address)
  if (page.html.includes('name="password"'))
    page = await browser.submit(page, { ...person, action: 'sign-in' })
  if (page.html.includes('value="allow"')) page = await browser.submit(page, { action: 'allow' })
  if (page.location === null) throw new Error(`not sent back: ${page.status} ${page.html}`)
  return new URL(page.location)
}

export const password = 'correct horse battery staple'

/** Somebody who can sign in. */
export async function person({ call, keyWith }: TestApp) {
  const username = `p${randomUUID().replaceAll('-', '')}`
  const email = `${username}@example.com`
  const { status, body } = await call(
    'POST /v1/users',
    { email, username, password },
    await keyWith('read', 'write'),
  )
  if (status !== 201) throw new Error(`no person: ${JSON.stringify(body)}`)
  return { uid: (body as { id: string }).id, username, email, name: username, password }
}

/** Makes a client over HTTP. */
export async function client({ call, keyWith }: TestApp, asked: object) {
  const { status, body } = await call(
    'POST /v1/clients',
    { name: 'Test app', ...asked },
    await keyWith('admin'),
  )
  if (status !== 201) throw new Error(`no client: ${JSON.stringify(body)}`)
  const { client_id, client_secret } = body as { client_id: string; client_secret: string | null }
  return { id: client_id, secret: client_secret ?? '' }
}

/** The header with an access token of a person's, from the authorization code flow with PKCE (RFC 7636). */
export async function signedIn(
  roster: TestApp,
  who: { readonly name: string; readonly password: string },
): Promise<{ readonly authorization: string }> {
  const redirect_uri = 'http://127.0.0.1:9/back'
  const { id } = await client(roster, {
    scopes: ['read', 'write'],
    redirect_uris: [redirect_uri],
    public: true,
  })
  const verifier = randomUUID() + randomUUID()
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const query = new URLSearchParams({
    ...{ client_id: id, redirect_uri, response_type: 'code', scope: 'read write', state: 's' },
    ...{ code_challenge: challenge, code_challenge_method: 'S256' },
  })
  const back = await authorize(createBrowser(roster.url), `/oauth/authorize?${query}`, who)
  const answer = await fetch(`${roster.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      ...{ grant_type: 'authorization_code', client_id: id, redirect_uri, code_verifier: verifier },
      code: back.searchParams.get('code') ?? '',
    }),
  })
  const { access_token } = (await answer.json()) as { access_token?: string }
  if (access_token === undefined) throw new Error(`no token: ${answer.status}`)
  return { authorization: `Bearer ${access_token}` }
}

/** The header with an access token of a service's (RFC 6749, section 4.4). */
export async function serviceToken(roster: TestApp): Promise<{ readonly authorization: string }> {
  const { id, secret } = await client(roster, { scopes: ['read', 'write'] })
  const answer = await fetch(`${roster.url}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'read write' }),
  })
  const { access_token } = (await answer.json()) as { access_token: string }
  return { authorization: `Bearer ${access_token}` }
}
