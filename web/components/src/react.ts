// The elements as React components: properties are props, and events are handlers.
import { createComponent, type EventName } from '@lit/react'
import * as react from 'react'

import { NightlatchRecovery } from './recovery.ts'
import { NightlatchReview } from './review.ts'
import { NightlatchSecurityCard } from './security-card.ts'
import { NightlatchSignIn } from './sign-in.ts'

/** What an event tells, by its detail. */
type Tells<Detail> = EventName<CustomEvent<Detail>>

const session = {
  onReauthenticate: 'nightlatch-reauthenticate' as Tells<{ max_age?: number; method?: 'backup_code' | 'recovery' }>,
  onSessionOver: 'nightlatch-session-over' as Tells<undefined>,
}
const help = {
  onSupport: 'nightlatch-support' as Tells<{ support: string; reference?: string }>,
  onChangePassword: 'nightlatch-change-password' as Tells<undefined>,
}

export const SecurityCard = createComponent({
  react,
  tagName: 'nightlatch-security-card',
  elementClass: NightlatchSecurityCard,
  events: {
    ...session, ...help,
    onEnabled: 'nightlatch-enabled' as Tells<{ activated_at: string }>,
    onDisabled: 'nightlatch-disabled' as Tells<undefined>,
    onReplaced: 'nightlatch-replaced' as Tells<{ activated_at: string }>,
    onBackupCodeIssued: 'nightlatch-backup-code-issued' as Tells<{ issued_at: string }>,
  },
})

export const SignIn = createComponent({
  react,
  tagName: 'nightlatch-sign-in',
  elementClass: NightlatchSignIn,
  events: {
    ...help,
    onSignedIn: 'nightlatch-signed-in' as Tells<{ state: string; method: string; grant?: string; session?: string }>,
    onStartOver: 'nightlatch-start-over' as Tells<undefined>,
  },
})

export const Recovery = createComponent({
  react,
  tagName: 'nightlatch-recovery',
  elementClass: NightlatchRecovery,
  events: {
    ...help,
    onLeave: 'nightlatch-leave' as Tells<{ url: string }>,
    onSignIn: 'nightlatch-sign-in' as Tells<{ token?: string }>,
    onCanceled: 'nightlatch-canceled' as Tells<undefined>,
    onDone: 'nightlatch-done' as Tells<undefined>,
  },
})

export const Review = createComponent({
  react,
  tagName: 'nightlatch-review',
  elementClass: NightlatchReview,
  events: {
    ...session,
    onCase: 'nightlatch-case' as Tells<{ id: string }>,
    onDecided: 'nightlatch-decided' as Tells<{ decision: string; state: string }>,
  },
})
