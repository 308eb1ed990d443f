import type { Actor } from './actor.ts'
import type { AtOnce, Confirm, Confirmers, EmailChange, Secrets } from './email-change.ts'
import type { Problem } from './errors.ts'
import type { FieldName } from './fields.ts'
import type { Patch } from './patch.ts'
import type { Status, User } from './user.ts'

/**
 * RFC 9110, section 13: what the caller believes of the record. Versions stand for entity tags;
 * a list without a match fails If-Match, so an empty one always does.
 */
export interface Preconditions {
  readonly ifMatch?: '*' | readonly number[] | undefined
  readonly ifNoneMatch?: '*' | readonly number[] | undefined
}

/** Who, when, and under which name this goes into the change log. */
export interface Circumstances {
  readonly actor: Actor
  readonly requestId: string
  /** Random; becomes the id of the change. */
  readonly changeId: string
  /** Milliseconds since 1970, UTC. */
  readonly at: number
}

/** Values of a record that a patch was worked out from. */
export type Basis = { readonly [N in FieldName | 'version']?: User[N] }

/**
 * A request that its sender may repeat without its being carried out twice
 * (draft-ietf-httpapi-idempotency-key-header-07): his key for it, and what the key stands for.
 */
export interface Once {
  /** Whose key it is: others may have the same. */
  readonly actor: string
  readonly key: string
  /**
   * Tells the request from any other. It is kept for a day, so no secret may be guessed from it:
   * of a request that has one, what was hashed must not be the secret and little else.
   */
  readonly hash: string
  /** Of a request of several commands: the key of the request, of which `key` names this one. */
  readonly whole?: string
}

/** What every command may ask besides the change itself. */
export interface Request extends Preconditions {
  /** The uid that the caller said. Whoever has the id and another uid is not meant, and not found. */
  readonly called?: string | undefined
  /** What the contract found wrong before the record was known; reported with everything else. */
  readonly problems?: readonly Problem[]
  /** Only tells what would come of it; nothing is kept, no receipt either. */
  readonly dryRun?: boolean | undefined
  /** Carries it out once, however often it is asked for; a repetition is told what came of it then. */
  readonly once?: Once | undefined
}

interface Writing extends Circumstances, Request {
  readonly patch: Patch
  readonly required?: readonly FieldName[]
  readonly maxLength?: Readonly<Partial<Record<FieldName, number>>>
  /** Where one of these is not so any more: `precondition_failed`, naming it. */
  readonly basis?: Basis
  /** Times that were sent back, as shown: in whole seconds since 1970. Others than the record's are `invalid`. */
  readonly shown?: { readonly created_at?: number; readonly updated_at?: number }
  /** The contract shows `derivedValues` for what was never set: sending them back is no change. */
  readonly showsDerived?: boolean
  /** The contract answers `invalid` before `not_found`, against the usual order. */
  readonly invalidFirst?: boolean
  /** An address that the patch sets has to be confirmed; left out, it is set at once. */
  readonly confirm?: Confirm | undefined
  readonly atOnce?: AtOnce | undefined
}

/** Makes a user. */
export interface Create extends Writing {
  readonly kind: 'create'
  /** Left out, the store's allocator chooses. */
  readonly id?: number
  readonly uid: string
  /** Its hash, to be kept apart from the record and never shown, logged or previewed. */
  readonly password?: string | undefined
}

/** Changes what the patch names, and nothing else. */
export interface Update extends Writing {
  readonly kind: 'update'
  readonly id: number
}

/** As update, but an id that never named anybody may become a new user's. */
export interface Replace extends Writing {
  readonly kind: 'replace'
  readonly id: number
  readonly upsert: boolean
  readonly uid: string
}

/** Removing hides and reserves, restoring undoes that, erasing forgets: values, claims and history. */
export interface Lifecycle extends Circumstances, Request {
  readonly kind: 'remove' | 'restore' | 'erase'
  readonly id: number
  /** Whether a user who was removed can be erased too, rather than not be found. */
  readonly removedToo?: boolean
}

/**
 * Puts somebody from another directory in place. Who is there already with the same values is left
 * alone; with others, changed or refused. What the patch leaves out is not compared.
 */
export interface Import extends Circumstances, Request {
  readonly kind: 'import'
  /** Left out, the store's allocator chooses; one that is given moves the allocator past it. */
  readonly id?: number
  /** For a new user whom the source gives none. */
  readonly uid: string
  readonly patch: Patch
  /** What else the source knows of the record. Times are only kept for a new user. */
  readonly source: Partial<Pick<User, 'uid' | 'created_at' | 'updated_at'>> & { readonly status?: Status }
  /** Whether who is there with other values is changed. */
  readonly update: boolean
  /** The uid of a sample person who made room and whose id may be taken over. */
  readonly vacated?: string
}

/** Gives a user another password, and ends what was issued before. */
export interface SetPassword extends Circumstances, Request {
  readonly kind: 'password'
  readonly id: number
  /** Its hash, to be kept apart from the record and never shown, logged or previewed. */
  readonly password: string
  /** Where this is not so any more: `precondition_failed`, naming it. */
  readonly basis?: Basis | undefined
  /** Whoever sets it has shown that they read what is sent to the address in the record. */
  readonly provesEmail?: boolean
}

/** Takes an e-mail change a step further: one that is pending, or that was confirmed and is to be undone. */
export interface ChangeEmail extends Circumstances, Request {
  readonly kind: 'email_change'
  readonly id: number
  /** As it was read. */
  readonly change: EmailChange
  /** The version of the user at which it was read: every step makes another. */
  readonly basis: Basis
  readonly step:
    | {
        readonly do: 'correct'
        /** As sent, and judged as a field is. */
        readonly email: unknown
        /** Whose word it would take if this actor asked for the address. */
        readonly by: Confirmers
        readonly secrets: Secrets
        readonly isTaken?: boolean
      }
    | { readonly do: 'resend'; readonly secrets: Secrets }
    | { readonly do: 'cancel' | 'expire' }
    | { readonly do: 'confirm'; readonly token: string; readonly undoSecret: string }
    | { readonly do: 'revert'; readonly token: string }
}

/** A patch with actor, preconditions and context: plain data, so that it can be decided anywhere. */
export type Command = Create | Update | Replace | Lifecycle | Import | SetPassword | ChangeEmail
