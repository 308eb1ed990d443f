import type { Message } from './message.ts'

/**
 * Hands a mail over to be brought to its recipient. Resolves once it was taken.
 * @param signal tells that it is not to be waited for any more
 */
export type Deliver = (message: Message, signal: AbortSignal) => Promise<void>
