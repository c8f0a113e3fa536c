// The grant of a sign-in with the backup code, once its user has answered what it is for: the card does not ask again.
import { keep, kept } from '@nightlatch/client'

const name = 'card.grant'
/** By its end alone: what is kept opens nothing. */
const endOf = (grant: string) => grant.slice(-12)

/** The user has used it, or wants nothing of it for now. A reload does not forget that. */
export function answered(grant: string): void {
  keep(name, endOf(grant))
}

export function isAnswered(grant: string): boolean {
  return kept(name) === endOf(grant)
}
