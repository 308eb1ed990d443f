/**
 * Which characters differ only in case, for substrings that are looked for whatever the case: one to
 * one, as JavaScript's regular expressions with the flag `i` have it (ECMA-262, Canonicalize). So no
 * letter beyond ASCII stands for one of ASCII, and no letter for two.
 */

/** A character, and all that are the same but for the case; the first stands for the rest. */
export type Variants = readonly [string, ...string[]]

/** The characters of a text, each with its variants. */
export function variantsOf(text: string): Variants[] {
  return [...text].map((char) => {
    if (char < '\u0080') {
      const lower = char.toLowerCase()
      const upper = char.toUpperCase()
      return lower === upper ? [char] : [lower, upper]
    }
    beyondAscii ??= readCases()
    return beyondAscii.get(canonical(char)) ?? [char]
  })
}

/** A text with every character replaced by the one that stands for it: equal texts differ in case at most. */
export function withoutCase(text: string): string {
  return variantsOf(text)
    .map(([first]) => first)
    .join('')
}

let beyondAscii: Map<string, Variants> | undefined

/** The characters with cases lie in the first two planes. Read when first needed, in some milliseconds. */
function readCases(): Map<string, Variants> {
  const cases = new Map<string, [string, ...string[]]>()
  for (let point = 0x80; point < 0x20000; point++) {
    if (point >= 0xd800 && point <= 0xdfff) continue
    const char = String.fromCodePoint(point)
    const known = cases.get(canonical(char))
    if (known === undefined) cases.set(canonical(char), [char])
    else known.push(char)
  }
  for (const [char, variants] of cases) if (variants.length === 1) cases.delete(char)
  return cases
}

function canonical(char: string): string {
  const upper = char.toUpperCase()
  return upper.length !== char.length || upper < '\u0080' ? char : upper
}
