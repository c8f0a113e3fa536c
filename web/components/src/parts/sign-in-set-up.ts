// Setting up in the course of a sign-in: inside it, or in the session that it has begun.
import type { Client, Confirmed, ConfirmedInSignIn } from '@nightlatch/client'

import type { NightlatchElement } from '../element.ts'
import { unanswered } from './redeem.ts'
import { SetUpSteps } from './set-up.ts'
import { setUpName } from './sign-in-kept.ts'

interface Options {
  account(): string
  done(): void
  cancel(): void
}

export interface InSignInOptions extends Options {
  /** It is in force, and the assertion waits for the host. `again` asks for it once more. */
  activated(confirmed: ConfirmedInSignIn, again: () => Promise<ConfirmedInSignIn>): void
  /** No answer to a confirmation has come: what became of it is not known. */
  lost(): void
}

/** Under a challenge: the confirmation ends the sign-in. */
export function inSignIn(host: NightlatchElement, service: Client, challenge: string, o: InSignInOptions): SetUpSteps<ConfirmedInSignIn> {
  let again: () => Promise<ConfirmedInSignIn>
  return new SetUpSteps<ConfirmedInSignIn>(host, {
    ...o,
    keptAs: setUpName,
    replacement: false,
    begin: (key) => service.beginEnrollmentInSignIn(challenge, key),
    confirm: (id, code, key) => {
      again = () => service.confirmEnrollmentInSignIn(challenge, id, code, key)
      return again().catch((error: unknown) => {
        if (unanswered(error)) o.lost()
        throw error
      })
    },
    activated: (confirmed) => o.activated(confirmed, again),
  })
}

/** In the session: another phone, under a backup code's grant; or the first one again, where the backup code has turned 2FA off. */
export function inSession(host: NightlatchElement, service: Client, grant: string | undefined, o: Options & { activated(): void }): SetUpSteps<Confirmed> {
  return new SetUpSteps<Confirmed>(host, {
    ...o,
    keptAs: setUpName,
    replacement: grant !== undefined,
    gone: true,
    begin: (key) => service.beginEnrollment(grant ? { grant } : {}, key),
    confirm: (id, code, key) => service.confirmEnrollment(id, code, key),
  })
}
