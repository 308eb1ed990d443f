import { conformsUnder } from '../../../test/postgres-conformance.ts'

conformsUnder('read committed')
