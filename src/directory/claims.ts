import { domainToASCII } from 'node:url'
import { caseFold } from 'unicode-case-folding'

/**
 * A claim is a value that only one user may hold. Its key is the value's normal form, computed here
 * and nowhere else, so that every store and every contract agrees on who is a twin of whom.
 */
export const claimKinds = ['uid', 'email', 'username', 'ext_id'] as const
export type ClaimKind = (typeof claimKinds)[number]

export interface Claim {
  readonly kind: ClaimKind
  readonly key: string
}

/**
 * The key under which a value is unique.
 * E-mail: case folded local part, domain by UTS 46. Username: case folded. uid and ext_id: as they are.
 * @param value a value that the field catalogue has accepted
 */
export function claim(kind: ClaimKind, value: string): Claim {
  switch (kind) {
    case 'email': {
      const at = value.lastIndexOf('@')
      if (at < 0) return { kind, key: fold(value) }
      return { kind, key: `${fold(value.slice(0, at))}@${domain(value.slice(at + 1))}` }
    }
    case 'username':
      return { kind, key: fold(value) }
    default:
      return { kind, key: value.normalize('NFC') }
  }
}

const ascii = /^[\x20-\x7e]*$/

// Unicode 17, section 3.13, D145: a canonical caseless match folds the decomposed form.
function fold(value: string): string {
  return ascii.test(value) ? value.toLowerCase() : caseFold(value.normalize('NFD')).normalize('NFC')
}

/** The domain's ASCII form (UTS 46), or '' where it has none. */
export function domain(value: string): string {
  return domainToASCII(value)
}
