import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Tests of the service that hold whatever it keeps its data in; STORES=sqlite has them run on that alone. */
const onEveryStore = [
  'src/contracts/{adoption,community,oauth,records,v1}/*.test.ts',
  'src/contracts/{after-commit,bad-input,if-match}.test.ts',
]
/** A browser sees the same whatever is behind the pages. */
const onOneStore = ['src/contracts/oauth/pages.test.ts']
const stores = (process.env.STORES ?? 'sqlite,postgres').split(',')

// Each file has a process of its own, which would compile all packages anew.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('./node_modules/.cache/vitest', import.meta.url))

export default defineConfig({
  test: {
    globalSetup: ['test/postgres-setup.ts'],
    maxWorkers: availableParallelism(),
    // For a busy machine: what starts processes and kills them takes seconds on a quiet one.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    projects: [
      { extends: true, test: { name: 'roster', include: ['src/**/*.test.ts', 'test/**/*.test.ts'] } },
      ...(stores.includes('postgres')
        ? [
            {
              extends: true as const,
              test: {
                name: 'postgres',
                include: onEveryStore,
                exclude: onOneStore,
                env: { TEST_STORE: 'postgres' },
              },
            },
          ]
        : []),
    ],
  },
})
