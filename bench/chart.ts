import { whole } from './stats.ts'

/** Charts as plain SVG text: dark on white, readable in a page and on paper. */
export interface Bar {
  readonly label: string
  readonly value: number
  /** Smallest and largest of the rounds. */
  readonly range?: readonly [number, number]
  readonly colour?: string
}

export interface Line {
  readonly label: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export const colours = ['#1f5f99', '#c2571a', '#3b7d3b', '#7a4b94', '#8c8c8c'] as const
const ink = '#222222'
const grid = '#d9d9d9'
const width = 820

/** Horizontal bars from zero, in the order given. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const left = 310
  const row = 30
  const most = Math.max(...bars.map(({ value, range }) => Math.max(value, range?.[1] ?? 0)))
  const scale = (value: number) => (value / most) * (width - left - 110)
  const rows = bars.map(({ label, value, range, colour = colours[0] }, i) => {
    const y = 56 + i * row
    const end = left + scale(Math.max(value, range?.[1] ?? 0))
    const whisker =
      range === undefined ? '' : line(left + scale(range[0]), y + 9, left + scale(range[1]), y + 9, ink, 1.5)
    return [
      text(left - 10, y + 13, label, 'end'),
      `<rect x="${left}" y="${y}" width="${fix(scale(value))}" height="18" fill="${colour}"/>`,
      whisker,
      text(end + 8, y + 13, short(value)),
    ].join('\n')
  })
  const height = 56 + bars.length * row + 28
  const spread = bars.some(({ range }) => range !== undefined) ? '; the line is the spread of the rounds' : ''
  rows.push(line(left, 48, left, height - 30, ink), text(left, height - 10, `${unit}${spread}`))
  return svg(title, height, rows)
}

/** Lines over two logarithmic axes. */
export function lineChart(title: string, xUnit: string, yUnit: string, lines: readonly Line[]): string {
  const [left, right, top, bottom] = [80, width - 170, 60, 360]
  const all = lines.flatMap(({ points }) => points)
  const x = logScale(
    all.map(([value]) => value),
    left,
    right,
  )
  const y = logScale(
    all.map(([, value]) => value),
    bottom,
    top,
  )
  const parts = [
    ...x.ticks.map(
      (at) => line(x.of(at), top, x.of(at), bottom, grid) + text(x.of(at), bottom + 20, whole(at), 'middle'),
    ),
    ...y.ticks.map(
      (at) => line(left, y.of(at), right, y.of(at), grid) + text(left - 8, y.of(at) + 4, whole(at), 'end'),
    ),
    line(left, top, left, bottom, ink),
    line(left, bottom, right, bottom, ink),
    text((left + right) / 2, bottom + 42, xUnit, 'middle'),
    text(left - 60, top - 14, yUnit),
  ]
  // Labels stand at the ends of their lines, moved apart where those are close.
  const labels = lines
    .map(({ label, points }, i) => ({
      label,
      at: y.of(points.at(-1)?.[1] ?? 1),
      end: x.of(points.at(-1)?.[0] ?? 1),
      i,
    }))
    .sort((a, b) => a.at - b.at)
  let lowest = Number.NEGATIVE_INFINITY
  for (const { label, at, end, i } of labels) {
    lowest = Math.max(at, lowest + 17)
    parts.push(text(end + 10, lowest + 4, label, 'start', colours[i % colours.length]))
  }
  lines.forEach(({ points }, i) => {
    const colour = colours[i % colours.length]
    const path = points.map(([a, b]) => `${fix(x.of(a))},${fix(y.of(b))}`).join(' ')
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2.5"/>`)
    for (const [a, b] of points)
      parts.push(`<circle cx="${fix(x.of(a))}" cy="${fix(y.of(b))}" r="4" fill="${colour}"/>`)
  })
  return svg(title, bottom + 60, parts)
}

/** From the power of ten below the values to the one above. */
function logScale(values: readonly number[], from: number, to: number) {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values))), low + 1)
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
  return { ticks, of: (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) }
}

function svg(title: string, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escaped(title)}">
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="16" y="28" font-size="16" font-weight="600" fill="${ink}">${escaped(title)}</text>
${parts.filter((part) => part !== '').join('\n')}
</svg>
`
}

function text(x: number, y: number, words: string, anchor = 'start', colour: string = ink): string {
  return `<text x="${fix(x)}" y="${fix(y)}" text-anchor="${anchor}" fill="${colour}">${escaped(words)}</text>`
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, thickness = 1): string {
  return `<line x1="${fix(x1)}" y1="${fix(y1)}" x2="${fix(x2)}" y2="${fix(y2)}" stroke="${colour}" stroke-width="${thickness}"/>`
}

const fix = (value: number) => value.toFixed(1)

function short(value: number): string {
  return value >= 100 ? whole(value) : value.toPrecision(value >= 10 ? 3 : 2)
}

function escaped(words: string): string {
  return words
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
