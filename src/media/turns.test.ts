import { expect, test } from 'vitest'
import { DirectoryError, refusal } from '../directory/errors.ts'
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
