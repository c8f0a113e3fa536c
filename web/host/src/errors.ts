// What can go wrong. Whatever is thrown, nobody is signed in.

/** An answer of the service, or of the gateway before it, that is not the one asked for. */
export interface Answer {
  readonly status: number;
  /** Of api.md's list; undefined when the gateway answered. */
  readonly code?: string | undefined;
  /** For people. */
  readonly detail?: string | undefined;
  /** Seconds; undefined when the answer does not say. */
  readonly retryAfter?: number | undefined;
  /** Of a 500: names the line in the service's log. */
  readonly requestId?: string | undefined;
}

/** It could not be told: the service, its keys, the credentials or the redeemer did not answer, or not sensibly. */
export class Unavailable extends Error {
  override readonly name: string = 'Unavailable';
  /** With status 429 or 5xx; undefined when there was none. */
  readonly answer: Answer | undefined;
  constructor(message: string, options: { cause?: unknown; answer?: Answer } = {}) {
    super(`nightlatch: unavailable: ${message}`, 'cause' in options ? { cause: options.cause } : undefined);
    this.answer = options.answer;
  }
}

/**
 * The service will not do what was asked, and will not later either: the host or its role is not set up rightly, or the
 * request is wrong.
 */
export class Rejected extends Error {
  override readonly name: string = 'Rejected';
  constructor(readonly answer: Answer) {
    super(`nightlatch: ${told(answer)}`);
  }
}

/** The host expects that 2FA is on, and it is not. That is an alarm: somebody looks at it before anybody gets in. */
export class NotEnabled extends Rejected {
  override readonly name = 'NotEnabled';
}

/**
 * The assertion is not one that the service made for this host, this user and this sign-in, or it is too old. The user
 * starts again with the password.
 */
export class Refused extends Error {
  override readonly name: string = 'Refused';
  constructor(why: string) {
    super(`nightlatch: assertion refused: ${why}`);
  }
}

/** The assertion was good, and has been used before. */
export class Redeemed extends Refused {
  override readonly name = 'Redeemed';
  constructor() {
    super('it was used before');
  }
}

/** An answer in one line of a log. */
export function told({ status, code, detail, requestId }: Answer): string {
  return (
    `the service answered ${status}` +
    (code === undefined ? '' : ` ${code}`) +
    (detail === undefined ? '' : `: ${JSON.stringify(detail)}`) +
    (requestId === undefined ? '' : `, request ${requestId}`)
  );
}
