import type { Preset } from '@nightlatch/components'

import type { Fact } from './facts.ts'

/** A step of a tour: what to do, where, and what then has happened. */
export interface Step {
  do: string
  where: 'app' | 'phone' | 'inbox' | 'desk' | 'attacks' | 'traffic' | 'top'
  waitsFor: readonly Fact[]
}

export interface Tour {
  title: string
  about: string
  steps: readonly Step[]
}

const enabled = 'event enabled'
const byCode = 'event login success totp'
const byBackupCode = 'event login success backup_code'

/** What there is to see under each policy: the help page that it comes from, or, of the standard one, all in five minutes. */
export const tours: Record<Preset, Tour> = {
  standard: {
    title: 'Five minutes',
    about: 'Nightlatch is what an application asks for after the password: a code from a phone, and a way back in without it. All of it runs on this machine; only the phone and the people are played.',
    steps: [
      { do: 'Sign in as Alice, open her settings and enable two-factor authentication. The phone can scan the code on the screen.', where: 'app', waitsFor: [enabled] },
      { do: 'Sign out, and in again. Now a code from the phone is asked for: wait for the next one, or jump a minute. The one that was used is refused.', where: 'app', waitsFor: [enabled, byCode] },
      { do: 'Sign out, and use that very code again, while the phone still shows it: each code works once.', where: 'app', waitsFor: ['answer /v1/verify code_reused'] },
      { do: 'Send the request that signed in once more. An answer that was lost on the way is not lost: it is the same again.', where: 'traffic', waitsFor: ['lab same answer'] },
      { do: 'Send 200 copies of one right code at once. One gets in.', where: 'attacks', waitsFor: ['lab copies'] },
      { do: 'Guess 1,000 codes at once. Five are compared, then the account is locked.', where: 'attacks', waitsFor: ['lab guesses'] },
      { do: 'Have the operator unlock the account, or jump a minute.', where: 'desk', waitsFor: ['lab guesses', 'lab unlocked'] },
      { do: 'Lose the phone, and sign in with the backup code that is on the paper.', where: 'phone', waitsFor: ['lab lost', byBackupCode] },
      { do: 'Move to another phone. No code of the lost one is asked for.', where: 'app', waitsFor: [byBackupCode, 'event replaced'] },
      { do: 'Lose that one as well, sign out, and in without the paper: ask for the link, and open it in the inbox.', where: 'inbox', waitsFor: ['event reset_requested'] },
      { do: 'Confirm your identity. The page stands in for Persona.', where: 'inbox', waitsFor: ['event identity_passed'] },
      { do: 'Be the reviewer, in a tab of their own, and approve.', where: 'desk', waitsFor: ['event reset_approved'] },
      { do: 'Wait 24 hours: the time for the owner to object.', where: 'top', waitsFor: ['event reset_approved', 'event reset_ready'] },
      { do: 'Sign in by the link in the mail, with the password. Two-factor authentication is off now: enable it again, with a new phone.', where: 'inbox', waitsFor: ['event reset_completed', enabled] },
    ],
  },
  mirox: {
    title: 'The help page of Mirox',
    about: 'One backup code. Using it turns two-factor authentication off.',
    steps: [
      { do: 'The badge says Disabled. Press Enable, or Set up now: three steps.', where: 'app', waitsFor: ['event enrollment_started'] },
      { do: 'Enter a wrong code in the third. Setting up locks nobody out.', where: 'app', waitsFor: ['answer /v1/enroll/confirm invalid_code'] },
      { do: 'Enter the code from the phone: Enabled, with the date.', where: 'app', waitsFor: [enabled] },
      { do: 'Sign out and in: a code is asked for after the password.', where: 'app', waitsFor: [enabled, byCode] },
      { do: 'Check 2FA: a dry run that changes nothing.', where: 'app', waitsFor: ['answer /v1/check valid'] },
      { do: 'Get a new backup code. The old one is dead at once.', where: 'app', waitsFor: ['answer /v1/backup-code ok'] },
      { do: 'Lose the phone, and sign in with the backup code: two-factor authentication is off.', where: 'phone', waitsFor: ['lab lost', byBackupCode] },
      { do: 'Enable it again, with another phone and another code.', where: 'app', waitsFor: [byBackupCode, enabled] },
      { do: 'Disable it, with a current code.', where: 'app', waitsFor: ['answer /v1/disable ok'] },
      { do: 'Neither phone nor code? Support removes the authenticator. Enable it once more, then be the support.', where: 'desk', waitsFor: [enabled, 'event admin_removed'] },
    ],
  },
  miaxdx: {
    title: 'The help page of MIAXdx',
    about: 'Two-factor authentication is required, and an identity check is the last resort.',
    steps: [
      { do: 'Sign in. Without a second factor there is no session: it is set up inside the sign-in.', where: 'app', waitsFor: [enabled] },
      { do: 'Sign out and in, with a code.', where: 'app', waitsFor: [enabled, 'answer /v1/verify ok', byCode] },
      { do: 'Never the same code twice: try it.', where: 'app', waitsFor: ['answer /v1/verify code_reused'] },
      { do: 'Wind the phone’s clock four minutes back, and sign in. You are told by how much it is off. Put it right again.', where: 'phone', waitsFor: ['answer /v1/verify clock_skew'] },
      { do: 'Move to a new phone with a code from the old one.', where: 'app', waitsFor: ['event replaced'] },
      { do: 'Lose the phone, and sign in with the backup key. A fresh one is shown at once.', where: 'phone', waitsFor: ['lab lost', byBackupCode] },
      { do: 'Lost the key as well? Go on, sign out, and in: “I no longer have access to my 2FA device”. A mail brings the link.', where: 'inbox', waitsFor: ['event reset_requested'] },
      { do: 'Fail the identity check first. There are tips, and you can try again.', where: 'inbox', waitsFor: ['event identity_failed'] },
      { do: 'Then pass it.', where: 'inbox', waitsFor: ['event identity_passed'] },
      { do: 'Be the reviewer, in a tab of their own, and approve.', where: 'desk', waitsFor: ['event reset_approved'] },
      { do: 'The mail’s link and the password sign in, straight into setting up the new phone.', where: 'inbox', waitsFor: ['event reset_completed'] },
    ],
  },
  midphase: {
    title: 'The help page of Midphase',
    about: 'A Recovery Token after activation, revoked by hand, and a login history.',
    steps: [
      { do: 'Enable, or Set up now: scan, Continue, type the token, Check, and congratulations.', where: 'app', waitsFor: [enabled] },
      { do: 'Write the Recovery Token down: it cannot be retrieved again.', where: 'phone', waitsFor: ['lab written'] },
      { do: 'Sign out and in: the token from the phone is asked for.', where: 'app', waitsFor: [enabled, byCode] },
      { do: 'Revoke the Recovery Token, and create another.', where: 'app', waitsFor: ['event backup_code_revoked', 'event backup_code_issued'] },
      { do: 'Lose the phone, and sign in with the Recovery Token.', where: 'phone', waitsFor: ['lab lost', byBackupCode] },
      { do: 'Set another phone up.', where: 'app', waitsFor: [byBackupCode, 'event replaced'] },
      { do: 'Read the login history: address, date and time, and whether it was successful.', where: 'app', waitsFor: ['event replaced', 'answer /v1/history ok'] },
      { do: 'Neither phone nor token? Support removes the authenticator.', where: 'desk', waitsFor: [enabled, 'event admin_removed'] },
    ],
  },
}
