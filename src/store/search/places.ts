import { type Place, roughly } from '../../directory/search.ts'
import { grown, roomFor } from './texts.ts'

/** Cosines of hundredths of a degree, up to the whole circle: as exact as places are kept. */
const cosines = Float64Array.from({ length: 36_001 }, (_, i) => Math.cos((i * Math.PI) / 18_000))

/**
 * Where people are, to a hundredth of a degree, by their number.
 * @param expected how many there will be, as far as that is known
 */
export function createPlaces(expected = 0) {
  let count = 0
  let size = roomFor(expected)
  /** In hundredths of a degree, from the south pole and 180° W, each and one more; 0 and 0 where it is not known. */
  let grid = new Uint16Array(size * 2)

  return {
    add(place: Place | undefined): void {
      if (count === size) {
        size *= 2
        grid = grown(grid, size * 2)
      }
      const [lat, lng] = cellOf(place)
      if (lat > 0) grid.set([lat, lng], count * 2)
      count++
    },

    is(n: number, place: Place | undefined): boolean {
      const [lat, lng] = cellOf(place)
      return grid[n * 2] === lat && grid[n * 2 + 1] === lng
    },

    /** What orders by the distance from a place: the smaller, the nearer; NaN where it is not known. */
    from(place: Place): (n: number) => number {
      const [lat, lng] = cellOf(place)
      const [sine, cosine] = [sineOf(lat), cosineOf(lat)]
      const all = grid
      // The larger the product of two points of the sphere, the smaller the angle between them.
      return (n) => {
        const there = all[n * 2] as number
        if (there === 0) return Number.NaN
        const turn = cosines[Math.abs(lng - (all[n * 2 + 1] as number))] as number
        return -(sine * sineOf(there) + cosine * cosineOf(there) * turn)
      }
    },
  }
}

/** Of a latitude in the grid. The poles are 90° away, and nothing is further. */
const sineOf = (lat: number) => -(cosines[lat - 1] as number)
const cosineOf = (lat: number) => cosines[Math.abs(lat - 9_001)] as number

function cellOf(place: Place | undefined): readonly [lat: number, lng: number] {
  if (place === undefined) return nowhere
  const { lat, lng } = roughly(place)
  return [Math.round(lat * 100) + 9_001, Math.round(lng * 100) + 18_001]
}

const nowhere = [0, 0] as const
