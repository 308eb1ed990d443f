/** What people are told by mail. The words are in `mail/`. */
export type MailKind =
  | 'confirm_email'
  | 'email_change_notice'
  | 'email_changed'
  | 'recover_password'
  | 'password_changed'
  | 'verify_account'

/** A message that is to be sent, kept until a mail server has taken it. Times are milliseconds since 1970, UTC. */
export interface Mail {
  /** Random; names the message for ever, however often it has to be sent (RFC 5322, section 3.6.4). */
  readonly id: string
  readonly kind: MailKind
  /** The address that it goes to. */
  readonly to: string
  /** Whom it is about: it goes when they are erased. Null where that is found out when it is sent. */
  readonly userId: number | null
  readonly at: number
  /** It is not sent any more from then on. */
  readonly expiresAt: number
  /** What the words are made from, tokens among them: never logged. */
  readonly values: Readonly<Record<string, string>>
}

/** Milliseconds for which somebody is to be told of what has happened: longer than a mail server is away. */
export const noticeLife = 3 * 24 * 3_600_000

/** A mail that somebody has taken to send it. */
export interface Taken extends Mail {
  /** How often it was taken, this time included. */
  readonly tries: number
}

/** Which mails are meant: those of one kind alone, or all but those of one; left out, all. */
export interface Kinds {
  readonly only?: MailKind
  readonly without?: MailKind
}

export interface Taking extends Kinds {
  readonly at: number
  /** Until when nobody else is given the same: by then it is sent, or whoever took it is gone. */
  readonly until: number
  readonly most: number
}

/** What waits to be sent. */
export interface Backlog {
  readonly count: number
  /** When the oldest of them was made; null where none waits. */
  readonly oldest: number | null
}

/**
 * Where mails wait. Those of a change come with its unit (`Unit.mails`). What a method resolves with is on
 * disk, and every node sees it. All may reject with a DirectoryError, as the store's other methods do.
 */
export interface Outbox {
  /** Keeps a mail that belongs to no change; one that is there already stays. */
  readonly add: (mail: Mail) => Promise<void>
  /**
   * Gives mails that are due, those that are due longest first, expired ones too, and to nobody else for
   * a time, on whatever node.
   */
  readonly take: (taking: Taking) => Promise<readonly Taken[]>
  /** Forgets a mail: it was sent, or never will be. */
  readonly remove: (id: string) => Promise<void>
  /**
   * Gives a mail back, to be tried again at a time. Where somebody else has taken it meanwhile it is theirs.
   * @param userId whom it turned out to be about
   */
  readonly postpone: (taken: Pick<Taken, 'id' | 'tries' | 'userId'>, dueAt: number) => Promise<void>
  readonly backlog: (kinds?: Kinds) => Promise<Backlog>
}
