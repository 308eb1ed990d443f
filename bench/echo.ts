import { createServer } from 'node:http'

/**
 * The ceiling: what one Node.js process does with `node:http` alone. Parses the JSON of a request
 * and answers with a user as JSON; nothing is validated, decided or kept.
 */
const user = {
  first_name: 'First4',
  last_name: 'Last4',
  email: 'person4@example.com',
  phone: '0',
  interested_in: 'dogs',
  id: 4,
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const sent: unknown = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}
    const body = JSON.stringify(Object.assign({}, user, sent))
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  })
})

// As Fastify's: a connection that a generator keeps for later is not closed under it.
server.keepAliveTimeout = 72_000
server.listen(Number(process.env.PORT), '127.0.0.1')
