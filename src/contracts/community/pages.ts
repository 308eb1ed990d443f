/** The pages of this contract's lists: `limit` and `offset`, and addresses that lead on. */
export interface Page {
  readonly offset: number
  readonly limit: number
}

export type Query = Readonly<Record<string, string | readonly string[]>>

const usual = 20
const most = 100

/** What is no number, or is none that makes sense, counts as left out. */
export function decodePage(query: Query): Page {
  const limit = natural(lastOf(query.limit))
  return {
    limit: limit === undefined || limit === 0 ? usual : Math.min(limit, most),
    offset: natural(lastOf(query.offset)) ?? 0,
  }
}

/** A whole number from 0 on, in digits alone. */
export function natural(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Of several values the last counts, and an empty one as none, as frameworks of the kind have it. */
export function lastOf(value: string | readonly string[] | undefined): string | undefined {
  const one = typeof value === 'string' ? value : value?.at(-1)
  return one === '' ? undefined : one
}

type Link = (offset: number) => string

/** `{"count", "next", "previous"}`: how many there are, and where the pages before and after are. */
export function neighbours({ offset, limit }: Page, { total }: { readonly total: number }, link: Link) {
  return {
    count: total,
    next: offset + limit < total ? link(offset + limit) : null,
    previous: offset > 0 ? link(Math.max(offset - limit, 0)) : null,
  }
}

/** The same list from another place on; the first page needs no offset. */
export function linker(origin: string, url: string): Link {
  const mark = url.indexOf('?')
  const [path, query] = mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)]
  return (offset) => {
    const parameters = new URLSearchParams(query)
    if (offset > 0) parameters.set('offset', String(offset))
    else parameters.delete('offset')
    const text = parameters.toString()
    return `${origin}${path}${text === '' ? '' : `?${text}`}`
  }
}
