import { barChart, colours, lineChart } from './chart.ts'
import { type Figures, json, postgresql, type Results, sqlite, steps } from './results.ts'

/** The charts of a run, by their names: those that there are figures for. */
export function drawn({ samples, rated, scenarios }: Results, figures: Figures): ReadonlyMap<string, string> {
  const charts = new Map<string, string>()
  const bars = (names: readonly string[], colour: (name: string) => string) =>
    names
      .filter((name) => figures.rate(name) !== undefined)
      .map((name) => ({
        label: name,
        value: figures.rate(name) ?? 0,
        range: figures.spread(name),
        colour: colour(name),
      }))
  const shade = (name: string) => (name.startsWith('Roster') ? colours[0] : colours[4])
  const updates = ['echo PATCH', sqlite('PATCH', 1000), postgresql('PATCH', 1000), json(1000)]
  const patches = bars(
    [...updates, ...scenarios.filter(({ what }) => what === 'pgbench').map(({ name }) => name)],
    shade,
  )
  if (patches.length > 1)
    charts.set('patch', barChart('Updates per second, 1,000 users', 'requests/s', patches))

  const sizes = [4, 1000, 100_000, 1_000_000]
  const lines = [
    { label: 'Roster, SQLite', name: (users: number) => sqlite('PATCH', users) },
    { label: 'Roster, PostgreSQL', name: (users: number) => postgresql('PATCH', users) },
    { label: 'json-server', name: json },
  ].map(({ label, name }) => ({
    label,
    points: sizes.flatMap((users) => {
      const rate = figures.rate(name(users))
      return rate === undefined ? [] : [[users, rate] as const]
    }),
  }))
  const drawable = lines.filter(({ points }) => points.length > 1)
  if (drawable.length > 0)
    charts.set(
      'sizes',
      lineChart('Updates per second by size of the directory', 'users', 'requests/s', drawable),
    )

  const latencies = [...rated].flatMap(([name, { p50, p99 }]) => [
    { label: `${name.replace('Roster ', '').replace(', 1,000 users', '')}, p50`, value: p50 },
    {
      label: `${name.replace('Roster ', '').replace(', 1,000 users', '')}, p99`,
      value: p99,
      colour: colours[1],
    },
  ])
  if (latencies.length > 0)
    charts.set('latency', barChart('Latency at half of the peak, fixed rate', 'ms', latencies))

  if (samples.has('layer rules') && steps.every(([name]) => figures.cpu(name) !== undefined)) {
    const layers = steps.map(([name, words]) => ({
      label: words.replaceAll('`', '').replace(/:.*/, ''),
      value: figures.cpu(name) ?? 0,
    }))
    charts.set('layers', barChart('CPU time of an update, layer by layer', 'µs per request', layers))
  }
  return charts
}
