/**
 * What JSON.parse does not tell of a text that it takes: it keeps the last of two members with one name, and a
 * value would be lost without a word.
 */

/** How many members the object that a sound JSON text consists of has, repeated names included. */
export function countMembers(text: string): number {
  let members = 0
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"':
        i = endOfString(text, i)
        break
      case '{':
      case '[':
        depth++
        break
      case '}':
      case ']':
        depth--
        break
      case ':':
        if (depth === 1) members++
    }
  }
  return members
}

/** Whether any object of a sound JSON text names a member twice, however deep it lies. */
export function namesTwice(text: string): boolean {
  const open: (Set<string> | undefined)[] = []
  let last = ''
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"': {
        const end = endOfString(text, i)
        last = text.slice(i, end + 1)
        i = end
        break
      }
      case '{':
        open.push(new Set())
        break
      case '[':
        open.push(undefined)
        break
      case '}':
      case ']':
        open.pop()
        break
      case ':': {
        const name = last.includes('\\') ? String(JSON.parse(last)) : last.slice(1, -1)
        const names = open.at(-1)
        if (names?.has(name)) return true
        names?.add(name)
      }
    }
  }
  return false
}

/** How deeply the lists and objects of a sound JSON text are nested. */
export function depthOf(text: string): number {
  let depth = 0
  let most = 0
  for (let i = 0; i < text.length; i++) {
    const at = text[i]
    if (at === '"') i = endOfString(text, i)
    else if (at === '{' || at === '[') most = Math.max(most, ++depth)
    else if (at === '}' || at === ']') depth--
  }
  return most
}

/** Where the string that begins at a place ends. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  for (; text[i] !== '"'; i++) if (text[i] === '\\') i++
  return i
}
