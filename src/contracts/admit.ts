import type { FastifyInstance } from 'fastify'
import type { Entrance, Gate } from '../access/gate.ts'

/** The one hook before every route of a contract: sets `request.actor`, or refuses. */
export function admit(scope: FastifyInstance, entrance: Entrance, gate: Gate): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    const admitted = gate(request, entrance)
    if (!(admitted instanceof Promise)) {
      request.actor = admitted
      return done()
    }
    admitted.then((actor) => {
      request.actor = actor
      done()
    }, done)
  })
}
