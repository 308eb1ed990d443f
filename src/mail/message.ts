import { domain } from '../directory/claims.ts'
import { isEmail } from '../directory/field-types.ts'

/** Who a mail is from: an address, with the name that is shown for it. */
export interface Sender {
  readonly name: string
  readonly address: string
}

/** A mail as it goes out. */
export interface Message {
  /** The left part of its Message-ID. */
  readonly id: string
  readonly from: Sender
  readonly to: string
  readonly date: Date
  readonly subject: string
  readonly text: string
}

/** What will never be sent, however often it is tried. */
export class Unsendable extends Error {
  override readonly name = 'Unsendable'
}

/**
 * In the words of nodemailer. What could end a header line, or name a second recipient, is refused here already.
 * @throws Unsendable
 */
export function toNodemailer({ id, from, to, date, subject, text }: Message) {
  if (!isEmail(to)) throw new Unsendable('the address is none')
  if (!/^[\w.-]{1,128}$/.test(id)) throw new Unsendable('the id is none')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a subject is one line
  if (/[\x00-\x1f\x7f]/.test(subject)) throw new Unsendable('the subject is more than a line')
  const [sender, recipient] = [toAscii(from.address), toAscii(to)]
  return {
    from: { name: from.name, address: sender },
    to: { name: '', address: recipient },
    envelope: { from: sender, to: [recipient] },
    date,
    subject,
    text,
    messageId: `<${id}@${sender.slice(sender.lastIndexOf('@') + 1)}>`,
    // RFC 3834, section 5: nobody's absence is to be answered to this.
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

/** With the domain as every server knows it (UTS 46). */
function toAscii(address: string): string {
  const at = address.lastIndexOf('@')
  return `${address.slice(0, at)}@${domain(address.slice(at + 1))}`
}
