import { defineConfig } from 'vitest/config'

/** Tests of the service that hold whatever it keeps its data in; STORES=sqlite has them run on that alone. */
const onEveryStore = [
  'src/contracts/{adoption,community,oauth,records,v1}/*.test.ts',
  'src/contracts/{bad-input,if-match}.test.ts',
]
const stores = (process.env.STORES ?? 'sqlite,postgres').split(',')

export default defineConfig({
  test: {
    globalSetup: ['test/postgres-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'roster', include: ['src/**/*.test.ts', 'test/**/*.test.ts'] } },
      ...(stores.includes('postgres')
        ? [
            {
              extends: true as const,
              test: { name: 'postgres', include: onEveryStore, env: { TEST_STORE: 'postgres' } },
            },
          ]
        : []),
    ],
  },
})
