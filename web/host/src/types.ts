// What goes over the wire, by the names that it has there. test/types.test.ts holds it against pkg/api/openapi.yaml.

/** Is a second factor due? Texts may have 256 bytes each. */
export interface ChallengeRequest {
  /** The `sub` of the user's sessions: 1 to 128 bytes of printable UTF-8. */
  user_id: string;
  /** Random, and kept with the pending sign-in: newNonce makes one. */
  nonce: string;
  /** Where security mail goes. */
  email?: string;
  /** The account's name in the authenticator app. Else the address, else the user id. */
  label?: string;
  /** The language of mails (BCP 47). */
  locale?: string;
  /** What you have checked (RFC 8176). The assertion repeats it. */
  amr?: string[];
  /** The user's address. */
  ip?: string;
  /** The user's browser. */
  user_agent?: string;
  /** What you believe. If it is not so: NotEnabled, and an alarm. */
  expect?: 'enabled';
  subject?: Subject;
}

/** What you know of the person, for the reviewer of a reset to compare. */
export interface Subject {
  name?: string;
  /** As in 1990-01-31. */
  birthdate?: string;
  phone?: string;
}

/** Whether a second factor is due. When it is, pass it to the browser as it is. */
export interface ChallengeResponse {
  /** false: the user is in. true: grant a session only for an assertion. */
  required: boolean;
  /** Present when an authenticator must be set up inside the sign-in. */
  enrollment_required?: true;
  /** The ways to go on. Empty when nothing is required. */
  methods: ('totp' | 'backup_code' | 'reset_link' | 'enroll')[];
  /** Present when a second factor is required. */
  challenge?: string;
  /** The challenge's end. */
  expires_at?: string;
  locked_until: string | null;
  suspended: boolean;
  app: string;
  account: string;
  email_hint: string;
  /** For the browser. */
  policy: object;
  recovery: 'identity_review' | 'admin_only' | 'off';
  support: string;
  /** For the browser: a recovery that is under way, or was closed lately. */
  reset: object | null;
}

/** What the host saw happen. */
export interface HostEvent {
  /** login: granted without a second factor. */
  type: 'login' | 'password_failed' | 'password_changed' | 'address_changed' | 'deleted';
  /** With address_changed: the new address. */
  email?: string;
  /** The user's address. */
  ip?: string;
  /** The user's browser. */
  user_agent?: string;
}
