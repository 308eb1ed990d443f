import { expect, test } from 'vitest'
import { DirectoryError, refusal } from './errors.ts'
import { createTurns } from './turns.ts'

const refuse = () => new DirectoryError(refusal('rate_limited', 'Too many'))

test('so many of a subject are under way, others wait in their order, and past that are refused', async () => {
  const turn = createTurns({ atOnce: 2, maxWaiting: 2, refuse })
  const begun: string[] = []
  const begin = async (name: string, subject = 'ann') => {
    const end = await turn(subject)
    begun.push(name)
    return end
  }
  const ends = [await begin('first'), await begin('second')]
  const waiting = [begin('third'), begin('fourth')]
  await expect(begin('fifth')).rejects.toMatchObject({ code: 'rate_limited' })
  await begin('of another', 'bob')
  expect(begun).toEqual(['first', 'second', 'of another'])
  ends[1]?.()
  await waiting[0]
  expect(begun.slice(3)).toEqual(['third'])
  ends[0]?.()
  await waiting[1]
  expect(begun.slice(3)).toEqual(['third', 'fourth'])
})

test('who has gone leaves the line, and takes no turn', async () => {
  const turn = createTurns({ atOnce: 1, maxWaiting: 1, refuse })
  const end = await turn('ann')
  const gone = new AbortController()
  const waiting = turn('ann', gone.signal)
  gone.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'unavailable', message: 'The caller has gone' })
  await expect(turn('ann', gone.signal)).rejects.toMatchObject({ code: 'unavailable' })
  const next = turn('ann')
  end()
  ;(await next)()
  ;(await turn('ann'))()
})

test('so many wait in all, and whose turn it is at once is not held up by them', async () => {
  const turn = createTurns({ atOnce: 1, maxWaiting: 2, maxWaitingInAll: 2, refuse })
  const [ann, bob] = [await turn('ann'), await turn('bob')]
  const gone = new AbortController()
  const waiting = [turn('ann'), turn('bob', gone.signal)]
  await expect(turn('ann')).rejects.toMatchObject({ code: 'rate_limited' })
  const eve = await turn('eve')
  await expect(turn('eve')).rejects.toMatchObject({ code: 'rate_limited' })
  // Each that leaves the line makes room in it, however it does.
  gone.abort()
  await expect(waiting[1]).rejects.toMatchObject({ code: 'unavailable' })
  waiting[1] = turn('eve')
  ann()
  await waiting[0]
  const last = turn('bob')
  await expect(turn('bob')).rejects.toMatchObject({ code: 'rate_limited' })
  bob()
  eve()
  await Promise.all([last, waiting[1]])
})

test('who has waited for too long is refused, and who got a turn in time keeps it', async () => {
  const turn = createTurns({ atOnce: 1, maxWaiting: 1, patience: 1, refuse })
  const end = await turn('ann')
  await expect(turn('ann')).rejects.toMatchObject({ code: 'rate_limited' })
  end()
  const again = await turn('ann')
  const next = turn('ann')
  again()
  ;(await next)()
})
