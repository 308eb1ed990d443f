import { afterEach, beforeEach, describe } from 'vitest'
import { agreeingWithTheModel } from './conformance/agreeing.ts'
import { allocating } from './conformance/allocating.ts'
import { batching } from './conformance/batching.ts'
import { beginning } from './conformance/beginning.ts'
import { claiming } from './conformance/claiming.ts'
import type { Fixture } from './conformance/commands.ts'
import { counting, keepingPasswords } from './conformance/counting.ts'
import { keepingCredentials } from './conformance/credentials.ts'
import { keepingDocuments } from './conformance/documents.ts'
import { changingEmail } from './conformance/email-changes.ts'
import { keepingKeys } from './conformance/keys.ts'
import { lasting } from './conformance/lasting.ts'
import { erasing, logging } from './conformance/logging.ts'
import { keepingMails } from './conformance/mailing.ts'
import { keepingPictures } from './conformance/pictures.ts'
import { previewing } from './conformance/previewing.ts'
import { finding, paging } from './conformance/reading.ts'
import { repeating } from './conformance/repeating.ts'
import { searching } from './conformance/searching.ts'
import { keepingSettings } from './conformance/settings.ts'
import { updating } from './conformance/updating.ts'

export * from './conformance/commands.ts'
export { contradictions } from './conformance/contradictions.ts'
export { once } from './conformance/repeating.ts'

export function storeConformance(name: string, open: () => Promise<Fixture>): void {
  describe(`${name} as a store`, () => {
    let fixture: Fixture | undefined
    beforeEach(async () => {
      fixture = await open()
    })
    afterEach(async () => {
      await fixture?.dispose()
      fixture = undefined
    })
    const given = () => fixture as Fixture
    for (const cases of [
      updating,
      claiming,
      logging,
      erasing,
      allocating,
      paging,
      finding,
      lasting,
      repeating,
      beginning,
      searching,
      previewing,
      batching,
      counting,
      keepingPasswords,
      keepingCredentials,
      keepingDocuments,
      keepingMails,
      keepingKeys,
      keepingPictures,
      keepingSettings,
      changingEmail,
    ])
      cases(given)
    agreeingWithTheModel(open)
  })
}
