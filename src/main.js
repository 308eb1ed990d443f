#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// What is written is for the user of the process only, whatever folder it is put into.
process.umask(0o077)
// Taking the types off takes half a second and 15 MB in each thread, so it is done once for all starts: beside
// the packages, where nobody can write who could not write the program too. This file is JavaScript since it
// comes before that. Threads look into the environment for it.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/roster', import.meta.url))
enableCompileCache()
const { run } = await import('./command-line.ts')
await run(process.argv.slice(2))
