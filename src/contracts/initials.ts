import type { User } from '../directory/user.ts'
import { pictureFolder } from './pictures.ts'

/**
 * Pictures for who has chosen none: a colour and a letter or two. They are made of their address alone, so
 * nobody else is asked, nothing is stored, and nothing in them comes from anywhere but here.
 */

export function generatedPath(user: User): string {
  return `${pictureFolder}/generated/${user.id}-${initialsOf(user)}.svg`
}

/** The letters are the first one of each part of the username: nothing that is not shown anyway. */
function initialsOf({ username }: User): string {
  const parts = (username ?? '').split(/[_-]+/).filter((part) => part !== '')
  const letters = parts.slice(0, 2).map((part) => part.charAt(0).toUpperCase())
  return letters.length > 0 ? letters.join('') : 'X'
}

/** The picture at an address, as SVG; undefined where there can be none. */
export function generatedPicture(file: string): string | undefined {
  const [, id, letters] = /^([1-9]\d{0,15})-([A-Z0-9]{1,2})\.svg$/.exec(file) ?? []
  if (id === undefined || letters === undefined) return undefined
  // Neighbours in number are far from each other on the circle of colours.
  const hue = (Number(id) * 137) % 360
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256" viewBox="0 0 256 256">' +
    `<rect width="256" height="256" fill="hsl(${hue},45%,38%)"/>` +
    '<text x="128" y="128" dy=".36em" text-anchor="middle" font-family="Helvetica,Arial,sans-serif" ' +
    `font-size="108" fill="#fff">${letters}</text></svg>`
  )
}
