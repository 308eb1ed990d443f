import { cpus, totalmem } from 'node:os'
import { drawn } from './drawings.ts'
import { goalRow, goals } from './goals.ts'
import { type Figures, number, type Results, read, steps } from './results.ts'
import { count, type Scenario } from './scenarios.ts'
import { whole } from './stats.ts'

/** The page that tells what a run found. */
export function report(results: Results): { text: string; charts: ReadonlyMap<string, string> } {
  const figures = read(results)
  const charts = drawn(results, figures)
  const shown = (name: string, words: string) =>
    charts.has(name) ? `![${words}](charts/${name}.svg)\n\n` : ''
  const { run } = results
  const text = `# Benchmark

${new Date().toISOString().slice(0, 10)}, commit ${run.commit}, Node.js ${process.version}, SQLite ${process.versions.sqlite}${run.database === undefined ? '' : `, PostgreSQL ${run.database}`}.
Made by \`npm run bench${run.quick ? ' -- --quick' : ''}\`: ${run.connections} connections, ${run.rounds} rounds of ${run.seconds} s each, alternating, after one to warm up; medians of the rounds.
Machine: ${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, load average before the run ${run.busy.toFixed(1)}. wrk, the servers and PostgreSQL share it, and on a virtual machine others
take time from it too: only ratios of the same round mean anything, and CPU time for a request is steadier than requests per second.
${run.missing.length > 0 ? `\nLeft out, since it is not here: ${run.missing.join(', ')}.\n` : ''}
Every update of Roster is validated, changes something, has its row in the change log, and is on disk before
it is answered. The echo is \`node:http\` alone: it parses and answers JSON and keeps nothing. json-server 0.17.4
(\`--quiet\`, its fastest) answers before its file is written, without a sync.
What the other programs of this folder measured is in [MORE.md](MORE.md).

## Goals

| measure | result | goal | |
|---|---|---|---|
${goals(results, figures).map(goalRow).join('\n')}

## Under full load

${shown('patch', 'Updates per second')}${shown('sizes', 'Updates per second by size of the directory')}| what | requests/s | spread | of the echo | p50 ms | p99 ms | CPU µs per request |
|---|---|---|---|---|---|---|
${results.scenarios.map((scenario) => loadRow(scenario, figures)).join('\n')}

CPU time is that of the server's process with all its threads, for PostgreSQL with the database's processes.
pgbench sends the statements of Roster's adapter (${run.adapterConnections} connections), each client on users of its own; for p50 it has the mean.
${rateSection(results, shown('latency', 'Latency at half of the peak'))}${memorySection(results)}${importSection(results)}${layerSection(results, figures, shown('layers', 'CPU time of an update by layer'))}
## What was checked

- No request failed: an answer other than 2xx, a broken connection or a timeout ends the benchmark.
- For ${results.checked.join(', ') || 'no updates'}: a row in the change log for each that was answered, a version for each row, and every user is as their newest row says.
- The seeded directories have the rows that creating the same people makes; a streamed list has everybody.
- Each transaction of pgbench wrote its row too.
`
  return { text, charts }
}

function loadRow({ name, what, kind }: Scenario, figures: Figures): string {
  const [low, high] = figures.spread(name)
  const echo = figures.ratio(name, kind === 'get' ? 'echo GET one' : 'echo PATCH')
  const isCompared =
    ['sqlite', 'postgres', 'json-server', 'layers'].includes(what) && kind !== 'list' && kind !== 'stream'
  const cells = [
    name,
    number(figures.rate(name)),
    `${number(low)}–${number(high)}`,
    isCompared ? number(echo) : '',
    number(figures.p50(name)),
    number(figures.p99(name)),
    number(figures.cpu(name)),
  ]
  return `| ${cells.join(' | ')} |`
}

function rateSection({ rated }: Results, chart: string): string {
  if (rated.size === 0) return ''
  const rows = [...rated].map(([name, { rate, reached, p50, p90, p99, p999, max, lag }]) => {
    const times = [p50, p90, p99, p999, max, lag].map(number)
    const had = reached < 0.98 * rate ? `**only ${whole(reached)}**` : whole(reached)
    return `| ${[name, whole(rate), had, ...times].join(' | ')} |`
  })
  return `
## Latency at half of the peak

Each server has the machine to itself and is warm. Requests leave at a fixed rate, half of what the server reached above,
whether answers come or not (\`loadtest\`), and a request's time starts when it was due: nothing is hidden by a generator
that waits. What the echo has is what the machine itself does to everybody. The last column is how late the
generator itself was (p99), which is in the other columns too. Milliseconds. Pages beside updates, and these beside
them, leave at 500 a second each. Beside sign-ins, 50 people sign in at
once, and when all have been answered the next 50, from a process that takes its part of the processors too.

${chart}| what | requests/s due | sent | p50 | p90 | p99 | p99.9 | max | generator late |
|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`
}

function memorySection({ memory, start }: Results): string {
  if (memory.length === 0 && start === undefined) return ''
  const rows = memory.map(([name, { now, peak }]) => `| ${name} | ${now} | ${peak} |`)
  const times = (start?.milliseconds ?? []).map((ms) => (ms / 1000).toFixed(2)).join(', ')
  return `
## Memory and start

| after the load | resident MB | at most |
|---|---|---|
${rows.join('\n')}
${start === undefined ? '' : `\nFrom the start of the process to the first answer of \`/readyz\` with ${count(start.users)} users: ${times} s; then ${start.memory} MB.\n`}`
}

function importSection({ imports }: Results): string {
  if (imports.length === 0) return ''
  const rows = imports.map(({ users, seconds, memory, again }) => {
    const cells = [count(users), number(seconds), whole(users / seconds), number(memory), number(again)]
    return `| ${cells.join(' | ')} |`
  })
  return `
## Import

\`roster import\` of a database of json-server into an empty directory in SQLite, and the same file once more.

| users | seconds | users/s | resident MB at most | seconds when all are there |
|---|---|---|---|---|
${rows.join('\n')}
`
}

function layerSection({ statements, samples }: Results, { rate, cpu }: Figures, chart: string): string {
  if (!samples.has('layer rules')) return ''
  let before: number | undefined
  const rows = steps.map(([name, words]) => {
    const used = cpu(name)
    const more = used === undefined || before === undefined ? '' : number(used - before)
    before = used
    return `| ${words} | ${number(rate(name))} | ${number(used)} | ${more} |`
  })
  const parts = [...new Set((statements ?? []).flatMap((times) => Object.keys(times.parts)))]
  const statementRows = parts.map(
    (part) => `| ${part} | ${(statements ?? []).map((times) => number(times.parts[part])).join(' | ')} |`,
  )
  return `
## What each layer of an update costs

Each line has what the ones above it have. CPU time is that of the server's process with all threads.

${chart}| layer | requests/s | CPU µs per request | more |
|---|---|---|---|
${rows.join('\n')}

The store can not be had without the log, so the writer's statements were timed on a copy of the directory, by the
adapter's own code in one thread, without HTTP. Microseconds of an update:

| part | ${(statements ?? []).map(({ group }) => `groups of ${group}`).join(' | ')} |
|---|${'---|'.repeat(statements?.length ?? 0)}
${statementRows.join('\n')}
`
}
