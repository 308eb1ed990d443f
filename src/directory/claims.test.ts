import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type ClaimKind, claim } from './claims.ts'
import { claimsOf, noFields, type User } from './user.ts'

const keyOf = (kind: ClaimKind, value: string) => claim(kind, value).key
const keyOfLocal = (local: string) => keyOf('email', `${local}@example.com`)
const keyOfDomain = (domain: string) => keyOf('email', `a@${domain}`)

describe('e-mail addresses are twins', () => {
  test.each([
    ['in capitals', 'Ann.Lee', 'aNN.lEE'],
    ['ß and ss', 'straße', 'STRASSE'],
    ['ẞ and ss', 'STRAẞE', 'strasse'],
    ['ẞ and ß', 'STRAẞE', 'straße'],
    ['final and other sigma', 'ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
    ['final sigma and sigma', 'ς', 'σ'],
    ['Cherokee, whose small letters fold to capitals', 'Ꭰꮿ', 'ꭰᏯ'],
    ['dotted İ and i with a dot', 'İzmir', 'i\u0307zmir'],
    ['dotted İ composed and decomposed', 'İzmir', 'I\u0307zmir'],
    ['ligature ﬀ and ff', 'oﬀice', 'OFFICE'],
    ['ligature ﬃ and ffi', 'oﬃce', 'office'],
    ['ypogegrammeni and iota', 'ᾳ', 'ΑΙ'],
    ['ypogegrammeni, composed and decomposed', 'ᾴ', 'α\u0345\u0301'],
    ['ypogegrammeni, in either order of the marks', 'α\u0301\u0345', 'Α\u0345\u0301'],
    ['long s and s', 'ſam', 'SAM'],
    ['Kelvin sign and k', '\u212aim', 'kim'],
    ['Deseret, beyond the basic plane', '𐐀', '𐐨'],
    ['NFC and NFD', 'Jürgen', 'ju\u0308rgen'],
    ['Hangul, composed and not', '각', '\u1100\u1161\u11a8'],
    ['marks in either order', 'a\u0323\u0307', 'A\u0307\u0323'],
  ])('with %s before the @', (_what, one, other) => {
    expect(one).not.toBe(other)
    expect(keyOfLocal(one)).toBe(keyOfLocal(other))
  })

  test.each([
    ['in capitals', 'Example.COM', 'example.com'],
    ['in letters and in ASCII', 'bücher.example', 'xn--bcher-kva.example'],
    ['in capital letters and in ASCII', 'BÜCHER.example', 'XN--BCHER-KVA.Example'],
    ['in NFC and NFD', 'bücher.example', 'bu\u0308cher.example'],
    ['in full width', 'ｅｘａｍｐｌｅ.com', 'example.com'],
    ['with ß, which UTS 46 keeps', 'straße.de', 'xn--strae-oqa.de'],
    ['in Devanagari', 'example.भारत', 'example.xn--h2brj9c'],
  ])('with a domain %s', (_what, one, other) => {
    expect(keyOfDomain(one)).toBe(keyOfDomain(other))
  })
})

describe('e-mail addresses are no twins', () => {
  test.each([
    ['dotless ı and i', 'ırmak', 'irmak'],
    ['dotless ı and I', 'ırmak', 'IRMAK'],
    ['dotted İ and i', 'İzmir', 'izmir'],
    ['with and without an accent', 'rené', 'rene'],
    ['Latin and Cyrillic а', 'a', '\u0430'],
    ['ae and æ', 'ae', 'æ'],
    ['full width letters, which folding leaves', 'ａnn', 'ann'],
    ['with and without a tag', 'ann+a', 'ann'],
    ['with and without dots', 'a.nn', 'ann'],
  ])('%s', (_what, one, other) => {
    expect(keyOfLocal(one)).not.toBe(keyOfLocal(other))
  })

  test.each([
    ['ß and ss in a domain', 'straße.de', 'strasse.de'],
    ['a domain and one under it', 'example.com', 'mail.example.com'],
    ['a domain with and without an umlaut', 'bücher.example', 'bucher.example'],
  ])('%s', (_what, one, other) => {
    expect(keyOfDomain(one)).not.toBe(keyOfDomain(other))
  })

  test('an address and a text without @, which is no address of anybody', () => {
    expect(keyOf('email', 'a.bb')).not.toBe(keyOf('email', 'a.b@a.bb'))
  })
})

test('an e-mail key is the folded local part at the ASCII domain', () => {
  expect(claim('email', 'Straße@BÜCHER.example')).toEqual({
    kind: 'email',
    key: 'strasse@xn--bcher-kva.example',
  })
})

test('usernames are twins whatever their case, and nothing else makes them so', () => {
  expect(claim('username', 'Ann_Lee-9')).toEqual({ kind: 'username', key: 'ann_lee-9' })
  expect(keyOf('username', 'ann-lee')).not.toBe(keyOf('username', 'ann_lee'))
})

test.each(['uid', 'ext_id'] as const)('%s tells capitals from small letters', (kind) => {
  expect(claim(kind, 'Usr_A')).toEqual({ kind, key: 'Usr_A' })
})

test.each(['email', 'ext_id'] as const)('%s asked for in NFD finds who holds it in NFC', (kind) => {
  expect(keyOf(kind, 'Rene\u0301@example.com')).toBe(keyOf(kind, 'René@example.com'))
})

// Debian's unicode-data may be older than the folding here: Unicode promises that foldings never change.
const caseFolding = '/usr/share/unicode/CaseFolding.txt'

test('every common and full case folding of Unicode makes twins', ({ skip }) => {
  if (!existsSync(caseFolding)) skip(`${caseFolding} is not there: it comes with Debian's unicode-data`)
  const text = (codes: string) =>
    String.fromCodePoint(...codes.split(' ').map((code) => Number.parseInt(code, 16)))
  let count = 0
  for (const line of readFileSync(caseFolding, 'utf8').split('\n')) {
    const [, from, to] = /^([0-9A-F]+); [CF]; ([0-9A-F ]+);/.exec(line) ?? []
    if (from === undefined || to === undefined) continue
    count++
    expect(keyOfLocal(text(from)), line).toBe(`${text(to).normalize('NFC')}@example.com`)
    expect(keyOfLocal(text(to)), line).toBe(keyOfLocal(text(from)))
  }
  expect(count).toBeGreaterThan(1_500)
})

describe('the claims that come with a user', () => {
  const bare: User = {
    ...noFields,
    id: 1,
    uid: 'usr_ann123456789',
    status: 'active',
    version: 1,
    created_at: 0,
    updated_at: 0,
  }
  const full: User = { ...bare, email: 'Ann@Example.com', username: 'Ann', ext_id: 'A-1', phone: 'Ann' }

  test('are those of the values there are', () => {
    const uid = { kind: 'uid', key: 'usr_ann123456789' }
    expect(claimsOf(bare)).toEqual([uid])
    expect(claimsOf(full)).toEqual([
      uid,
      { kind: 'email', key: 'ann@example.com' },
      { kind: 'username', key: 'ann' },
      { kind: 'ext_id', key: 'A-1' },
    ])
  })

  test('stay reserved while the user is blocked or removed, and are given up by erasing', () => {
    expect(claimsOf({ ...full, status: 'blocked' })).toEqual(claimsOf(full))
    expect(claimsOf({ ...full, status: 'deleted' })).toEqual(claimsOf(full))
    expect(claimsOf({ ...full, status: 'erased' })).toEqual([])
  })
})
