/**
 * JSON Patch (RFC 6902) on JSON values that are never changed in place: what an operation makes shares
 * all else with what was there, so a failure leaves nothing half done and copies of copies cost nothing.
 * Members are the object's own and nothing else, whatever they are called.
 */
export type Operation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: Pointer; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: Pointer }
  | { readonly op: 'move' | 'copy'; readonly path: Pointer; readonly from: Pointer }

/** A JSON Pointer (RFC 6901) by its reference tokens. */
export type Pointer = readonly string[]

/** What is wrong with which operation, counted from 0. */
export interface Fault {
  readonly at: number
  readonly message: string
}

export const maxOperations = 1_000
/** Tokens; nothing that a contract shows is deeper. */
const maxDepth = 64

/**
 * Entries of one list or object of a value, far more than any that a contract shows has. An operation
 * copies what it changes, so a thousand of them on something large would keep everybody waiting.
 */
const maxEntries = 1_000

/** Reads a patch document. One that breaks the rules of RFC 6902 is refused whole, with every fault. */
export function parseOperations(
  value: unknown,
): { readonly operations: readonly Operation[] } | { readonly faults: readonly Fault[] | string } {
  if (!Array.isArray(value)) return { faults: 'must be a JSON array of operations' }
  if (value.length > maxOperations) return { faults: `must have at most ${maxOperations} operations` }
  const operations: Operation[] = []
  const faults: Fault[] = []
  for (const [at, one] of (value as readonly unknown[]).entries()) {
    const parsed = parseOperation(one)
    if (typeof parsed === 'string') faults.push({ at, message: parsed })
    else operations.push(parsed)
  }
  return faults.length > 0 ? { faults } : { operations }
}

function parseOperation(value: unknown): Operation | string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object'
  const { op, path: to, from } = own(value)
  const path = parsePointer(to)
  if (path === undefined) return 'path must be a JSON Pointer like /bio'
  switch (op) {
    case 'add':
    case 'replace':
    case 'test':
      if (!Object.hasOwn(value, 'value')) return 'value is required'
      if (isLarge(own(value).value))
        return `value must be of lists and objects with at most ${maxEntries} entries each`
      return { op, path, value: own(value).value }
    case 'remove':
      return { op, path }
    case 'move':
    case 'copy': {
      const source = parsePointer(from)
      if (source === undefined) return 'from must be a JSON Pointer like /bio'
      // RFC 6902, section 4.4.
      const isInside = source.length < path.length && source.every((token, at) => token === path[at])
      if (op === 'move' && isInside) return 'can not move a value into itself'
      return { op, path, from: source }
    }
    default:
      return 'op must be one of add, remove, replace, move, copy, test'
  }
}

function isLarge(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const entries = Object.values(value)
  return entries.length > maxEntries || entries.some(isLarge)
}

function own(value: object): Readonly<Record<'op' | 'path' | 'from' | 'value', unknown>> {
  return Object.assign(Object.create(null), value)
}

function parsePointer(text: unknown): Pointer | undefined {
  if (text === '') return []
  if (typeof text !== 'string' || !text.startsWith('/') || /~(?![01])/.test(text)) return undefined
  const tokens = text.slice(1).split('/')
  if (tokens.length > maxDepth) return undefined
  // RFC 6901, section 4: in this order, so that ~01 is ~1.
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** Applies all operations, or tells which was the first that can not be. */
export function applyOperations(
  document: unknown,
  operations: readonly Operation[],
): { readonly document: unknown } | { readonly fault: Fault } {
  let current = document
  for (const [at, operation] of operations.entries()) {
    const applied = applyOne(current, operation)
    if (applied === undefined) return { fault: { at, message: reasonOf(operation) } }
    current = applied.value
  }
  return { document: current }
}

/** A value in a box, since every value may be one; undefined where there is none. */
type Found = { readonly value: unknown } | undefined

function applyOne(document: unknown, operation: Operation): Found {
  switch (operation.op) {
    case 'add':
      return put(document, operation.path, operation.value)
    case 'replace':
      return replace(document, operation.path, operation.value)
    case 'test': {
      const found = get(document, operation.path)
      return found !== undefined && equal(found.value, operation.value) ? { value: document } : undefined
    }
    case 'remove':
      return remove(document, operation.path)
    case 'copy': {
      const found = get(document, operation.from)
      return found && put(document, operation.path, found.value)
    }
    case 'move': {
      const found = get(document, operation.from)
      const rest = found && remove(document, operation.from)
      return found && rest && put(rest.value, operation.path, found.value)
    }
  }
}

function reasonOf(operation: Operation): string {
  const path = pointerOf(operation.path)
  if (operation.op === 'test') return `the value at ${path} is not the one that is tested for`
  if (operation.op === 'move' || operation.op === 'copy')
    return `there is nothing at ${pointerOf(operation.from)}, or no place at ${path}`
  return operation.op === 'add' ? `there is no place at ${path}` : `there is nothing at ${path}`
}

export function pointerOf(path: Pointer): string {
  if (path.length === 0) return 'the root'
  return path.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

type Members = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** RFC 6901, section 4: an index has no leading zero. */
function indexOf(token: string, length: number): number | undefined {
  const index = /^(?:0|[1-9]\d{0,9})$/.test(token) ? Number(token) : length
  return index < length ? index : undefined
}

function get(document: unknown, path: Pointer): Found {
  let current = document
  for (const token of path) {
    if (Array.isArray(current)) {
      const index = indexOf(token, current.length)
      if (index === undefined) return undefined
      current = current[index]
    } else if (isObject(current) && Object.hasOwn(current, token)) current = current[token]
    else return undefined
  }
  return { value: current }
}

/** Changes what holds the last token of a path; the path to it must exist. */
function within(document: unknown, path: Pointer, change: (holder: unknown, token: string) => Found): Found {
  const [token, ...rest] = path
  if (token === undefined) return undefined
  if (rest.length === 0) return change(document, token)
  const inner = get(document, [token])
  const changed = inner && within(inner.value, rest, change)
  return changed && replaceIn(document, token, changed.value)
}

function replaceIn(holder: unknown, token: string, value: unknown): Found {
  if (Array.isArray(holder)) {
    const index = indexOf(token, holder.length)
    return index === undefined ? undefined : { value: holder.with(index, value) }
  }
  // A computed name makes a member of its own, also where it is __proto__.
  return isObject(holder) && Object.hasOwn(holder, token)
    ? { value: { ...holder, [token]: value } }
    : undefined
}

function put(document: unknown, path: Pointer, value: unknown): Found {
  if (path.length === 0) return { value }
  return within(document, path, (holder, token) => {
    if (!Array.isArray(holder)) return isObject(holder) ? { value: { ...holder, [token]: value } } : undefined
    // RFC 6902, section 4.1: one more than there are, or -, appends.
    const index = token === '-' ? holder.length : indexOf(token, holder.length + 1)
    return index === undefined ? undefined : { value: holder.toSpliced(index, 0, value) }
  })
}

function replace(document: unknown, path: Pointer, value: unknown): Found {
  if (path.length === 0) return { value }
  return within(document, path, (holder, token) => replaceIn(holder, token, value))
}

function remove(document: unknown, path: Pointer): Found {
  if (path.length === 0) return { value: null }
  return within(document, path, (holder, token) => {
    if (Array.isArray(holder)) {
      const index = indexOf(token, holder.length)
      return index === undefined ? undefined : { value: holder.toSpliced(index, 1) }
    }
    if (!isObject(holder) || !Object.hasOwn(holder, token)) return undefined
    return { value: Object.fromEntries(Object.entries(holder).filter(([name]) => name !== token)) }
  })
}

/** RFC 6902, section 4.6. */
function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, at) => equal(item, b[at]))
  }
  if (!isObject(a) || !isObject(b)) return false
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]))
  )
}
