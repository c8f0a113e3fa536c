// The bodies of the API under short names, as its description has them.
import type { components, operations } from './openapi.ts'

type Schemas = components['schemas']

export type Offer = Schemas['ChallengeResponse']
export type SetUp = Schemas['SetUpResponse']
export type Confirmed = Schemas['ConfirmResponse']
export type ConfirmedInSignIn = Schemas['VerifyEnrollConfirmResponse']
export type SignedIn = Schemas['VerifyResponse']
export type EnrollmentRequired = Schemas['VerifyEnrollmentRequired']
export type Checked = Schemas['CheckResponse']
export type Status = Schemas['StatusResponse']
export type Policy = Schemas['Policy']
export type BackupCode = Schemas['BackupCodeResponse']
export type HistoryPage = Schemas['HistoryResponse']
export type HistoryEvent = Schemas['HistoryEvent']
export type ResetStatus = Schemas['ResetStatus']
export type ResetRequested = Schemas['ResetResponse']
export type LinkAbout = Schemas['LinkResponse']
export type Cases = Schemas['ReviewsResponse']
export type CaseSummary = Schemas['CaseSummary']
/** The states that open cases are in. */
export type CaseState = NonNullable<NonNullable<operations['listReviews']['parameters']['query']>['state']>
export type Case = Schemas['CaseResponse']
export type Decision = Schemas['DecisionRequest']
export type Decided = Schemas['DecisionResponse']
