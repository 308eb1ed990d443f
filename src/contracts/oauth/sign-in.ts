import { createHmac, timingSafeEqual } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { InteractionResults } from 'oidc-provider'
import type { AuthorizationServer } from '../../access/oauth-server.ts'
import { errors } from '../../access/oidc.ts'
import type { SignIn } from '../../access/sign-in.ts'
import { isPassing } from '../../directory/errors.ts'
import type { User } from '../../directory/user.ts'
import {
  busyPage,
  errorPage,
  foreignPage,
  formOf,
  isOwnForm,
  type Page,
  sendPage,
  tooOften,
} from '../html.ts'
import { baseOf, messageOf, Recorded } from './exchange.ts'
import { consentPage, longestName, signInPage } from './pages.ts'

export interface SignInOptions {
  readonly server: AuthorizationServer
  readonly signIn: SignIn
  /** Where callers find the service; undefined where nobody said. */
  readonly publicUrl: string | undefined
  readonly userOf: (id: number) => Promise<User | undefined>
}

interface ByUid {
  Params: { uid: string }
}

type Provider = Awaited<ReturnType<AuthorizationServer['provider']>>
type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>

/** A sign-in under way, as the browser's cookie names it, and what is needed to go on with it. */
interface UnderWay {
  readonly provider: Provider
  readonly interaction: Interaction
  readonly uid: string
  readonly message: ReturnType<typeof messageOf>
  /** What the forms of this sign-in have in them. */
  readonly token: string
  readonly client: string
  readonly redirectUri: string
}

/** The pages where people sign in, and allow a client what it asks for. */
export function createSignInRoutes({ server, signIn, publicUrl, userOf }: SignInOptions) {
  let turns: Promise<unknown> = Promise.resolve()
  /** Many who sign in at one moment are looked at one by one, and other requests get their turn in between. */
  const ownTurn = () => {
    turns = turns.then(() => nextTurn())
    return turns
  }

  async function find(request: FastifyRequest<ByUid>): Promise<UnderWay | undefined> {
    const provider = await server.provider()
    const message = messageOf(request, request.url, baseOf(request, publicUrl))
    try {
      const interaction = await provider.interactionDetails(message, new Recorded(message))
      // The cookie of another sign-in, in another window.
      if (interaction.uid !== request.params.uid) return undefined
      const client = await provider.Client.find(String(interaction.params.client_id))
      if (client === undefined) return undefined
      const token = tokenOf(await server.secret(), interaction.uid)
      const redirectUri = String(interaction.params.redirect_uri)
      return {
        provider,
        interaction,
        uid: interaction.uid,
        message,
        token,
        client: client.clientName ?? client.clientId,
        redirectUri,
      }
    } catch (error) {
      if (error instanceof errors.SessionNotFound) return undefined
      throw error
    }
  }

  /** Ends the session of whoever was signed in, and asks the same anew, of nobody yet. */
  async function startOver(
    request: FastifyRequest,
    reply: FastifyReply,
    { provider, interaction, message }: UnderWay,
  ) {
    const session = await provider.Session.get(provider.createContext(message, new Recorded(message)))
    await session.destroy()
    await interaction.destroy()
    const asked = Object.entries(interaction.params).filter(([, value]) => typeof value === 'string')
    return askAnew(request, reply, publicUrl, new URLSearchParams(asked as [string, string][]))
  }

  async function pageOf(underWay: UnderWay): Promise<Page> {
    const { interaction } = underWay
    if (interaction.prompt.name !== 'consent') return signInPage(underWay)
    const person = calledOf(await userOf(Number(interaction.session?.accountId)))
    return consentPage({ ...underWay, person, scopes: scopesOf(interaction) })
  }

  async function goOn(
    reply: FastifyReply,
    underWay: UnderWay,
    result: InteractionResults,
  ): Promise<FastifyReply> {
    const { provider, message } = underWay
    const to = await provider.interactionResult(message, new Recorded(message), result)
    return sendOn(reply, to)
  }

  async function trySignIn(
    request: FastifyRequest,
    reply: FastifyReply,
    underWay: UnderWay,
    form: URLSearchParams,
  ) {
    const [name, password] = [form.get('name') ?? '', form.get('password') ?? '']
    const isPossible = name !== '' && name.length <= longestName && password.length <= 256
    const result = isPossible
      ? await signIn({ ip: request.ip, name, password })
      : ({ refused: 'wrong' } as const)
    if ('signed' in result) {
      const { signed } = result
      const [accountId, ts] = [String(signed.userId), Math.floor(signed.at / 1000)]
      return goOn(reply, underWay, { login: { accountId, ts, remember: false, signed } })
    }
    if (result.refused === 'wait') {
      reply.header('retry-after', String(result.retryAfter))
      return sendPage(reply, 429, signInPage({ ...underWay, name, alert: tooOften(result.retryAfter) }))
    }
    return sendPage(reply, 422, signInPage({ ...underWay, name, alert: wrong }))
  }

  async function allow(reply: FastifyReply, underWay: UnderWay) {
    const { provider, interaction } = underWay
    const known =
      interaction.grantId === undefined ? undefined : await provider.Grant.find(interaction.grantId)
    const accountId = String(interaction.session?.accountId)
    const grant = known ?? new provider.Grant({ accountId, clientId: String(interaction.params.client_id) })
    grant.addOIDCScope(scopesOf(interaction).join(' '))
    return goOn(reply, underWay, { consent: { grantId: await grant.save() } })
  }

  const handlers = {
    show: async (request: FastifyRequest<ByUid>, reply: FastifyReply) => {
      const underWay = await find(request)
      return underWay === undefined
        ? sendPage(reply, 400, expired)
        : sendPage(reply, 200, await pageOf(underWay))
    },

    submit: async (request: FastifyRequest<ByUid>, reply: FastifyReply) => {
      await ownTurn()
      const underWay = await find(request)
      const form = formOf(request)
      if (underWay === undefined || form === undefined) return sendPage(reply, 400, expired)
      if (
        !isOwnForm(request, baseOf(request, publicUrl).origin) ||
        !isToken(form.get('token'), underWay.token)
      )
        return sendPage(reply, 403, foreignPage)
      const action = form.get('action')
      if (action === 'cancel' || action === 'deny') return goOn(reply, underWay, denied)
      if (underWay.interaction.prompt.name !== 'consent') return trySignIn(request, reply, underWay, form)
      if (action === 'switch') return startOver(request, reply, underWay)
      return action === 'allow' ? allow(reply, underWay) : sendPage(reply, 400, expired)
    },
  }
  return { show: onPage(handlers.show), submit: onPage(handlers.submit) }
}

type Handler = (request: FastifyRequest<ByUid>, reply: FastifyReply) => Promise<FastifyReply>

/** People are told on a page what can not be done now. */
function onPage(handle: Handler): Handler {
  return (request, reply) =>
    handle(request, reply).catch((error: unknown) => {
      if (!isPassing(error) && !(error instanceof errors.OIDCProviderError && error.status === 503))
        throw error
      return sendPage(reply.header('retry-after', '5'), 503, busyPage)
    })
}

/** Leads to where the same is asked from the beginning. */
export function askAnew(
  request: FastifyRequest,
  reply: FastifyReply,
  publicUrl: string | undefined,
  asked: URLSearchParams,
): FastifyReply {
  const { pathname } = baseOf(request, publicUrl)
  return sendOn(reply, `${pathname.replace(/\/$/, '')}/oauth/authorize?${asked}`)
}

function sendOn(reply: FastifyReply, location: string): FastifyReply {
  return reply.code(303).headers({ location, 'cache-control': 'no-store' }).send()
}

/** How people are told who they are. */
export function calledOf(user: User | undefined): string {
  return user?.username ?? user?.email ?? 'you'
}

const denied = { error: 'access_denied', error_description: 'The person did not allow it' }
const wrong = 'The e-mail address or username and the password do not go together. Check both and try again.'
const expired = errorPage(
  'This sign-in is over',
  'It has taken too long, or was finished or begun anew elsewhere. Go back to where you came from, and try again.',
)

/** All that the client asks for and can have of people, also what they have allowed before. */
function scopesOf({ params }: Interaction): string[] {
  const asked = String(params.scope ?? '').split(' ')
  return ['openid', 'read', 'write'].filter((scope) => asked.includes(scope))
}

function tokenOf(secret: string, uid: string): string {
  return createHmac('sha256', secret).update(`form ${uid}`).digest('base64url')
}

function isToken(sent: string | null, token: string): boolean {
  const [one, other] = [Buffer.from(sent ?? ''), Buffer.from(token)]
  return one.length === other.length && timingSafeEqual(one, other)
}
