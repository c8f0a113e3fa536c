// The few words that are the pages' own. All others are the elements', in their languages.
export const words = {
  unknown: { headline: 'There is nothing at this address', body: 'Open the link from the mail again, whole and unchanged.', button: 'Sign in' },
  signingIn: { headline: 'You are being signed in', body: 'Reviewers sign in with two-factor authentication.' },
  refused: { headline: 'This sign-in was not begun here', body: 'Open the review again, and sign in from there.' },
  done: { headline: 'That is all', body: 'You can close this page.' },
  broken: 'These pages are not set up right',
}
