/**
 * What a Node.js login back end imports to put Nightlatch behind its password step.
 *
 * A sign-in has two halves. When the password was right, the back end makes a nonce, keeps it with the pending sign-in, and
 * asks Host.challenge whether a second factor is due. If it is, the browser takes the challenge to the service and comes
 * back with an assertion, which Host.verifyAssertion checks: offline, for this user and this nonce, and once. What happens
 * without a second factor, Host.report tells the service: the history has it, too.
 *
 * @packageDocumentation
 */
export type { Claims, Expected } from './assertion.ts';
export { type AwsIdentity, type Credentials, type SigV4Options, type Unsigned, serviceKey, sigV4 } from './credentials.ts';
export { type Answer, NotEnabled, Redeemed, Refused, Rejected, Unavailable } from './errors.ts';
export { Host, type Options, newNonce } from './host.ts';
export { type Redeemer, memoryRedeemer } from './redeemer.ts';
export type { ChallengeRequest, ChallengeResponse, HostEvent, Subject } from './types.ts';
