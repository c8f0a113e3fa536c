// The lab's own words. The elements speak theirs, in five languages.
import type { Preset } from '@nightlatch/components'

export const languages = { en: 'English', es: 'Español', de: 'Deutsch', fr: 'Français', ja: '日本語' } as const

export const words = {
  top: {
    name: 'Nightlatch', lab: 'Lab',
    policy: 'Policy: rules and words', language: 'Language', clock: 'The service’s clock',
    jumps: [{ label: '+1 min', seconds: 60 }, { label: '+24 h', seconds: 86_400 }, { label: '+8 d', seconds: 691_200 }],
    jumpTitle: 'Jump ahead. There is no way back, but another -data directory.', ahead: 'ahead',
    clockAhead: 'The service’s clock. A back end of yours now refuses what it signs.',
    silent: 'The program does not answer. Is it still running?',
    sections: 'Sections',
  },
  sections: { tour: 'Tour', app: 'App', phone: 'Phone', inbox: 'Inbox', desk: 'Support' },
  app: {
    title: 'The application', name: 'Nightlatch Demo', tagline: 'An application like yours. Only its two-factor authentication is Nightlatch.',
    signIn: 'Sign in', email: 'Email address', password: 'Password', wrong: 'The address or the password is wrong.', fill: 'Fill in as',
    reviewersOnly: 'Only reviewers can open this. Sign in as one, with two-factor authentication.',
    reviewer: 'Sign in as the reviewer', reviewerAbout: 'With a phone of the reviewer’s own, which is set up first if need be. Or do it by hand, as anybody else.',
    reviewerNo: 'The reviewer’s key is on no phone that is at hand. Choose the account at the support desk, remove the authenticator, and try again.',
    linkHeld: 'The link from the mail is ready. It needs the password, too.',
    hello: 'Welcome back,', signOut: 'Sign out', home: 'Home', back: 'Back to the application', console: 'Review console',
    orders: 'Your orders', order: ['Lantern, brass', 'Door latch, iron', 'Key hooks, set of three'], shipped: 'Shipped',
    support: 'The application would open its support form here:', changed: 'The application would let you change your password here.',
    over: 'The session is over. Sign in again.', again: 'For this you sign in again: the session is too old.', unavailable: 'The demo host does not answer. Try again.', close: 'Close',
    place: { standard: 'Settings ▸ Security', mirox: 'Profile ▸ Security card', miaxdx: 'Settings ▸ Security', midphase: 'My Account ▸ 2FA Security' } satisfies Record<Preset, string>,
  },
  phone: {
    title: 'The phone', pick: 'Phones', another: 'Another phone', lose: 'Lose it', find: 'Find it',
    lost: 'This phone is gone.', lostBody: 'What was on it is out of reach.',
    none: 'No codes yet', noneBody: 'When the application shows a QR code, scan it.',
    scan: 'Scan', key: 'Type a key', keyLabel: 'Key', addKey: 'Add', noQr: 'There is no QR code on the application’s screen.',
    notKey: 'That is not a key.', scanned: 'Scanned.', unreadable: 'That QR code is not one of an authenticator.',
    type: 'Type this code into the application', typed: 'Typed.', noField: 'The application asks for no code now. It was copied.',
    remove: 'Delete this entry', clock: 'Its clock', automatic: 'Automatic', back: '−1 min', ahead: '+1 min', slow: 'slow', fast: 'fast', right: 'on time',
    paper: 'A sheet of paper', write: 'Write down what is shown', nothing: 'There is no backup code on the application’s screen.', written: 'Written down.', paperEmpty: 'Nothing is written here yet.',
    seconds: 'seconds left',
  },
  inbox: {
    title: 'The inbox', none: 'No mail yet.', all: 'As a page', to: 'To', back: 'All mails', unread: 'unread',
    warning: 'This link leads away from here',
  },
  desk: {
    title: 'The support desk', about: 'What people do who help: an operator, and reviewers.',
    unlock: 'Unlock', unlocked: 'Unlocked.', remove: 'Remove the authenticator', removed: 'Removed. The password alone signs in now.', of: 'Account',
    console: 'Open a reviewer’s tab', consoleAbout: 'Reviewers sign in with two-factor authentication, like everybody.',
  },
  tour: {
    title: 'Tour', of: 'of', again: 'Start over', show: 'Show me', done: 'done', all: 'That was all of it. Another policy, another ending.',
    reviewer: 'What happens to a reviewer’s own account does not count on the tour.',
    begun: (name: string) => `It begins with an account that has no second factor, and ${name} has one. Take another, or have support remove it.`,
  },
  item: {
    title: 'The live item', about: 'One user, one item: all that decides whether somebody gets in. What changed since the version before is marked.',
    of: 'Account', version: 'Version', newest: 'Newest', none: 'This account has never been written.', happened: 'What happened', nothing: 'Nothing to record.',
  },
  attacks: {
    title: 'Attack it', about: 'At once, as far as a browser can. Every comparison that counts or lets in is written before it is told. What is locked, or was used too often, is refused without a write.',
    copies: '200 copies of one right code', guesses: '1,000 guesses at once', running: 'Running', outcomes: 'Outcomes', outcome: 'Outcome', count: 'Count',
    reads: 'reads', writes: 'writes tried', took: 'took', totals: 'Since the start', ms: 'ms',
    needsPhone: 'Set two-factor authentication up for this account first, with a phone that is at hand.',
    off: 'Two-factor authentication is off for this account: there is no code to guess.',
    locked: 'The account is locked for now. Unlock it at the support desk, or jump a minute.',
    waiting: 'Waiting for a code that was not used yet…', preparing: 'Passing the password step',
    copiesSaid: (n: number) => (n === 1 ? 'One got in. The step was spent by the same write that let it in.' : `${n} got in.`),
    guessesSaid: (n: number) => `${n} were compared. The rest were refused without looking at the code.`,
  },
  traffic: {
    title: 'Over the wire', about: 'What the application’s pages ask the API.', none: 'Nothing yet.', again: 'Send it again', curl: 'Copy as curl', copied: 'Copied.', notCopied: 'The browser does not allow it.',
    request: 'Request', answer: 'Answer', assertion: 'The assertion says', same: 'The same answer again.', other: 'Another answer:', silent: 'no answer',
  },
  host: {
    title: 'In your login back end', about: 'All that a host writes: between “the password was right” and “here is your session”. This is the tested example of pkg/host.',
    copy: 'Copy', copied: 'Copied.',
  },
}
