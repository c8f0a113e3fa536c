// What a service says when it does not do what it was asked: branch on the code. It is made so that this is enough.

/** Codes with the one status that each has. */
const statusOf = {
  invalid_request: 400,
  unauthorized: 401, reauthenticate: 401, challenge_expired: 401,
  forbidden: 403, policy_forbids: 403,
  not_found: 404,
  not_enabled: 409, already_enabled: 409, enrollment_expired: 409, enrollment_replaced: 409, no_backup_code: 409, conflict: 409,
  link_expired: 410, grant_expired: 410,
  too_large: 413,
  invalid_code: 422, code_reused: 422,
  suspended: 423,
  locked: 429, reset_limit: 429,
  internal: 500,
  unavailable: 503,
} as const

export type Code = keyof typeof statusOf

/** An answer that API Gateway, or whatever stands before it, made by itself has no code. By its status it means the same. */
const codeOf: Record<number, Code> = {
  400: 'invalid_request', 401: 'unauthorized', 403: 'forbidden', 404: 'not_found', 413: 'too_large',
  408: 'unavailable', 425: 'unavailable', 429: 'unavailable', 502: 'unavailable', 503: 'unavailable', 504: 'unavailable',
}

/** A problem (RFC 9457) as the API tells it. What a code has besides is there with that code only. */
export interface Problem {
  title: string
  detail: string
  attempts_remaining?: number
  reason?: 'clock_skew'
  drift_seconds?: number
  retry_after?: number
  locked_until?: string
  max_age?: number
  setting?: string
  request_id?: string
}

/** The service's no. `status` decides, then `code`; a code that does not belong to the status is somebody else's. */
export class Refusal extends Error {
  readonly status: number
  readonly code: Code
  readonly problem: Problem
  /** Whether the service itself has said it: the code is not only made of the status. */
  readonly told: boolean
  /** Seconds to wait before sending the same again; 0: nothing is known. */
  readonly retryAfter: number

  /** `over` is what a 401 without a code means, if not the session's end. */
  constructor(status: number, body: unknown, retryAfter: string | null, over?: Code) {
    const told = isObject(body) && typeof body['code'] === 'string' && ownCode(body['code'], status) ? body['code'] : undefined
    const code = told ?? (status === 401 ? over : undefined) ?? codeOf[status] ?? 'internal'
    super(`${status} ${code}`)
    this.name = 'Refusal'
    this.status = status
    this.told = told !== undefined
    this.code = code
    this.problem = told ? { title: '', detail: '', ...(body as object) } : { title: '', detail: '' } // a gateway's words are for nobody
    this.retryAfter = seconds(retryAfter)
  }
}

/** No answer came: there is no network, nobody listens, or it took too long. Whether it was done is not known. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super('no answer', { cause })
    this.name = 'Unreachable'
  }
}

function ownCode(code: string, status: number): code is Code {
  return Object.hasOwn(statusOf, code) && statusOf[code as Code] === status
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Retry-After in seconds, of both its forms (RFC 9110 §10.2.3). */
function seconds(retryAfter: string | null): number {
  if (!retryAfter) return 0
  const n = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000
  return Number.isFinite(n) ? Math.max(0, Math.ceil(n)) : 0
}
