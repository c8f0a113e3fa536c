import { Client, type Offer } from '@nightlatch/client'

import { unspent } from './attack.ts'
import { lab, password } from './lab.ts'
import { add, another, authenticatorOf, empty, held, pocket, take } from './phones.ts'
import { program } from './program.ts'
import { readAddress, type Authenticator } from './totp.ts'

/** The reviewer's key is on no phone that is at hand. */
export class NoPhone extends Error {}

/** Signs a reviewer in as a person would, with a phone of their own that is set up first if need be. Resolves with the session. */
export async function signInAs(user: string): Promise<string> {
  let step = await program.login(user, password, lab.lang, lab.fetch)
  if ('session' in step || step.enrollment_required) {
    await setUp(step)
    step = await program.login(user, password, lab.lang, lab.fetch)
  }
  if ('session' in step) throw new Error('no code is asked for')
  const a = authenticatorOf(pocket.get(empty), user)
  if (!a) throw new NoPhone()
  const signedIn = await new Client({ fetch: lab.fetch }).verify(step.challenge!, 'totp', await unspent(a, user))
  if (!('assertion' in signedIn)) throw new Error('no assertion')
  return program.redeem(signedIn.assertion, lab.fetch)
}

async function setUp(step: { session: string } | Offer): Promise<void> {
  const session = 'session' in step ? step.session : undefined
  const client = new Client({ fetch: lab.fetch, session: () => session })
  const begun = session ? await client.beginEnrollment() : await client.beginEnrollmentInSignIn((step as Offer).challenge!)
  const a: Authenticator = readAddress(begun.otpauth_uri)!
  const before = pocket.get(empty)
  const after = add(another(before), a)
  pocket.set(take(after, after.phones.findIndex((phone) => phone.name === held(before).name))) // the phone in the hand stays there
  const code = await unspent(a, a.account)
  await (session ? client.confirmEnrollment(begun.enrollment_id, code) : client.confirmEnrollmentInSignIn((step as Offer).challenge!, begun.enrollment_id, code))
}
