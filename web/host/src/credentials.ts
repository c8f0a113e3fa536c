import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

/** What proves to the service that it is this host which calls: serviceKey or sigV4 makes them. */
export interface Credentials {
  /** Returns all headers that the request is to have. It is asked for each request. */
  authorize(request: Unsigned): Promise<Record<string, string>>;
}

/** A POST that is to be sent. */
export interface Unsigned {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The key that the local server prints when it starts. It is sent as a bearer token (RFC 6750 §2.1). */
export function serviceKey(key: string): Credentials {
  if (typeof key !== 'string' || !/^[!-~]+$/.test(key)) {
    throw new TypeError('nightlatch: a service key is visible ASCII characters');
  }
  return { authorize: async ({ headers }) => ({ ...headers, authorization: `Bearer ${key}` }) };
}

/** Credentials of AWS, as its SDK has them. */
export interface AwsIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SigV4Options {
  /**
   * Gives the credentials of a role that may call the service's host routes. It is asked for each request, so it should
   * cache; those of @aws-sdk/credential-providers do.
   */
  provider: () => Promise<AwsIdentity>;
  /** Where the service is deployed. */
  region: string;
}

/** Signs requests for API Gateway (AWS Signature Version 4). */
export function sigV4({ provider, region }: SigV4Options): Credentials {
  if (typeof provider !== 'function') {
    throw new TypeError('nightlatch: sigV4: a provider is required');
  }
  if (typeof region !== 'string' || region === '') {
    throw new TypeError('nightlatch: sigV4: a region is required');
  }
  return {
    async authorize({ url, headers, body, now }) {
      const { accessKeyId, secretAccessKey, sessionToken } = await provider();
      const credentials = { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
      const signer = new SignatureV4({ service: 'execute-api', region, credentials, sha256: Sha256 });
      const signed = await signer.sign(
        {
          method: 'POST',
          protocol: url.protocol,
          hostname: url.hostname,
          path: url.pathname,
          headers: { ...headers, host: url.host },
          body,
        },
        { signingDate: new Date(now) },
      );
      const { host: _, ...sent } = signed.headers; // fetch writes it itself, from the URL
      return sent;
    },
  };
}
