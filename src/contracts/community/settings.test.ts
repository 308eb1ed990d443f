import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Community, faultsOf, startCommunity, urlencoded } from '../../../test/community.ts'

let roster: Community
let id: number
beforeAll(async () => {
  roster = await startCommunity()
})
afterAll(() => roster.close())
beforeEach(async () => {
  id = await roster.newPerson()
})

const line = (method: string) => `${method} /api/v2/user/${id}/settings/`
const usual = {
  qa_frequency: 1,
  email_notification_not_qa: 1,
  mobile_notifications_scmty: 1,
  toast_notifications_emit_sound: 1,
  show_toast_notifications: 1,
}

describe('settings', () => {
  test('are there before anybody sets them, in the documented order', async () => {
    const answer = await roster.as(id, line('GET'))
    expect([answer.status, answer.text]).toEqual([200, JSON.stringify(usual)])
  })

  test('are set as far as they are named, and the record is not', async () => {
    const record = await roster.store.get(id)
    const some = { qa_frequency: -1, show_toast_notifications: 0 }
    const body = { ...usual, ...some }
    expect(await roster.as(id, line('PATCH'), some)).toMatchObject({ status: 200, body })
    const form = 'email_notification_not_qa=0&other=1'
    expect(await roster.as(id, line('PATCH'), form, urlencoded)).toMatchObject({
      ...{ status: 200, body: { ...body, email_notification_not_qa: 0 } },
      headers: { 'roster-ignored': 'other' },
    })
    expect(await roster.as(id, line('PATCH'), '')).toMatchObject({ status: 200 })
    expect(await roster.as(id, line('GET'))).toMatchObject({
      body: { ...body, email_notification_not_qa: 0 },
    })
    expect(await roster.store.get(id)).toEqual(record)
  })

  test('of different names set at once are all kept', async () => {
    const names = Object.keys(usual)
    await Promise.all(names.map((name) => roster.as(id, line('PATCH'), { [name]: 0 })))
    const { body } = await roster.as(id, line('GET'))
    expect(Object.values(body as object)).toEqual([0, 0, 0, 0, 0])
  })

  test.for<[name: string, value: unknown]>([
    ['qa_frequency', 2],
    ['qa_frequency', null],
    ['show_toast_notifications', -1],
    ['show_toast_notifications', 0.5],
    ['show_toast_notifications', ''],
    ['show_toast_notifications', [1]],
  ])('%s can not be %j, and then nothing is set', async ([name, value]) => {
    const before = await roster.everything()
    const answer = await roster.as(id, line('PATCH'), { email_notification_not_qa: 0, [name]: value })
    expect([answer.status, faultsOf(answer)]).toEqual([400, [`${name}: invalid`]])
    expect(await roster.everything()).toEqual(before)
  })

  test('are one’s own', async () => {
    for (const method of ['GET', 'PATCH']) {
      const body = method === 'GET' ? undefined : { qa_frequency: 0 }
      expect(await roster.call(line(method), body)).toMatchObject({ status: 401 })
      expect(await roster.as(4, line(method), body)).toMatchObject({ status: 403 })
      const key = await roster.keyWith('read', 'write')
      expect(await roster.call(line(method), body, key)).toMatchObject({ status: 403 })
    }
    await roster.setStatus(id, 'blocked')
    expect(await roster.as(id, line('PATCH'), { qa_frequency: 0 })).toMatchObject({ status: 403 })
  })

  test('go with who is erased', async () => {
    await roster.as(id, line('PATCH'), { qa_frequency: 0 })
    const kept = async () => (await roster.everything()).settings?.length
    const before = Number(await kept())
    await roster.as(id, `DELETE /api/v2/user/${id}/?hard=1`)
    expect(await kept()).toBe(before - 1)
    await roster.store.settings.set(id, { qa_frequency: 1 })
    expect(await kept()).toBe(before - 1)
  })
})
