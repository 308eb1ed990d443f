import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import roster from '../../package.json' with { type: 'json' }

/** The OpenAPI 3.1 document, made from the schemas of the routes, and its viewer, served from here; addresses in it start with the public one. */
export async function document(app: FastifyInstance, publicUrl: string | undefined): Promise<void> {
  const base = publicUrl ?? ''
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Roster',
        version: roster.version,
        description:
          'One directory of people behind every users API. Every answer with a user carries an `ETag`; ' +
          'send it back in `If-Match` and an update applies only if nobody came first (412). ' +
          'Every answer to a limited caller tells how much is left (`RateLimit`); too much is 429 with `Retry-After`.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: publicUrl ?? '/' }],
      components: {
        securitySchemes: {
          key: {
            type: 'http',
            scheme: 'bearer',
            description: 'An API key, as `roster key create` prints it',
          },
          oauth: {
            type: 'oauth2',
            description: 'For people, who sign in, and for services; `roster client create` makes clients',
            flows: {
              authorizationCode: {
                authorizationUrl: `${base}/oauth/authorize`,
                tokenUrl: `${base}/oauth/token`,
                refreshUrl: `${base}/oauth/token`,
                scopes: { read: 'Read', write: 'Change' },
              },
              clientCredentials: {
                tokenUrl: `${base}/oauth/token`,
                scopes: { read: 'Read', write: 'Change', admin: 'Administer keys and clients' },
              },
            },
          },
        },
      },
      tags: [
        { name: 'adoption', description: 'The pet-adoption service' },
        { name: 'records', description: 'The records service' },
        { name: 'v1', description: 'The platform API' },
        { name: 'community', description: 'The community’s API' },
      ],
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    indexPrefix: URL.parse(base)?.pathname ?? '',
    staticCSP:
      "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
    uiConfig: { validatorUrl: null, tryItOutEnabled: true },
    // The viewer shows this service and nothing else: no bar to load other documents.
    theme: {
      title: 'Roster API',
      css: [{ filename: 'roster.css', content: '.swagger-ui .topbar { display: none !important }' }],
    },
  })
}
