import { conformsUnder } from '../../../test/postgres-conformance.ts'

conformsUnder('serializable')
