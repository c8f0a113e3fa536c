import type { Credentials } from './credentials.ts';
import { type Answer, NotEnabled, Rejected, Unavailable, told } from './errors.ts';

const attempts = 3; // of a call
const firstPause = 100; // milliseconds before the second one, doubled for the third, and up to half as much again
const maxAnswer = 64 << 10; // bytes

/** Sends requests to the service. */
export interface Caller {
  readonly base: string; // the service's URL, without a slash at its end
  readonly credentials: Credentials;
  readonly fetch: typeof fetch;
  readonly now: () => number;
  readonly timeout: number; // milliseconds for a call with its retries
}

/** An attempt without an answer. It may have had its effect. */
class NoAnswer extends Unavailable {}

/**
 * Sends a body until it is answered with the wanted status, three times at most, and returns the answer's body. It tries
 * again after no answer and after 503: both may have had their effect, so whatever is posted may have it twice. After the
 * gateway's 429, which has had none, it does so unless the body yields: all of a host's requests share one throttle.
 */
export async function post(caller: Caller, path: string, body: object, want: number, yields = false): Promise<string> {
  const url = new URL(caller.base + path);
  const sent = JSON.stringify(body);
  const ends = performance.now() + caller.timeout;
  return limited(caller.timeout, async (signal) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(caller, url, sent, want, signal);
      } catch (e) {
        const again = e instanceof NoAnswer || (e instanceof Unavailable && (e.answer?.status === 503 || (throttled(e) && !yields)));
        const least = firstPause * 2 ** (attempt - 1) * (1 + Math.random() / 2);
        const pause = Math.max(least, again ? 1000 * (e.answer?.retryAfter ?? 0) : 0);
        if (!again || attempt === attempts || performance.now() + pause > ends) {
          throw e;
        }
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  });
}

/** Whether the gateway has refused. A 429 with a code is the service's own, about one user: it stays. */
function throttled({ answer }: Unavailable): boolean {
  return answer?.status === 429 && answer.code === undefined;
}

async function once(caller: Caller, url: URL, body: string, want: number, signal: AbortSignal): Promise<string> {
  let headers: Record<string, string> = {
    accept: 'application/json, application/problem+json',
    'content-type': 'application/json',
  };
  try {
    headers = await caller.credentials.authorize({ url, headers, body, now: caller.now() });
  } catch (cause) {
    throw new Unavailable('there are no credentials', { cause });
  }
  const { response, text } = await read(caller.fetch, url, { method: 'POST', headers, body, signal });
  if (response.status !== want) {
    throw problem(response, text);
  }
  return text;
}

/** Sends a request and reads its answer, to the end and no longer than is sensible. No redirect is followed. */
export async function read(send: typeof fetch, url: URL, init: RequestInit): Promise<{ response: Response; text: string }> {
  const parts: Uint8Array[] = [];
  let length = 0;
  let response: Response;
  try {
    response = await send(url, { ...init, redirect: 'manual' });
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      parts.push(part.value);
      length += part.value.length;
      if (length > maxAnswer) {
        reader?.cancel().catch(() => {}); // nothing more is wanted of it
        break;
      }
    }
  } catch (cause) {
    throw new NoAnswer(`no answer from ${url.host}`, { cause });
  }
  if (length > maxAnswer) {
    throw new Unavailable(`the answer is longer than ${maxAnswer} bytes`);
  }
  return { response, text: Buffer.concat(parts).toString() };
}

/** Does work that must end in time. Work that does not is told by its signal, and left to itself. */
export async function limited<T>(milliseconds: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const control = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Unavailable(`no answer within ${milliseconds} ms`));
      control.abort();
    }, milliseconds);
  });
  try {
    return await Promise.race([work(control.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads an answer that was not wanted: a problem of the service (RFC 9457), {"message":…} of the gateway, or anything else,
 * of which the status says enough.
 */
export function problem(response: Response, text: string): Unavailable | Rejected {
  const { status } = response;
  const body = object(text);
  const seconds = response.headers.get('retry-after') ?? '';
  const answer: Answer = {
    status,
    code: matching(body['code'], /^[a-z_]{1,40}$/),
    // A gateway that finds a signature wrong repeats what was signed. A text with a word as long as a token is not kept.
    detail: matching(body['detail'], harmless) ?? matching(body['message'], harmless),
    retryAfter: /^[1-9]\d{0,8}$/.test(seconds) ? Number(seconds) : undefined,
    requestId: matching(body['request_id'], /^[!-~]{1,64}$/),
  };
  if (status === 429 || status >= 500) {
    return new Unavailable(told(answer), { answer });
  }
  return status === 409 && answer.code === 'not_enabled' ? new NotEnabled(answer) : new Rejected(answer);
}

const harmless = /^(?!.*\S{24}).{1,300}$/su;

function matching(value: unknown, pattern: RegExp): string | undefined {
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}

/** The members of a JSON object; of anything else, none. Its errors would repeat the text, so there are none. */
export function object(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/**
 * A user id as it is put in a path. One that would not survive the decoding which HTTP APIs do before they route is sent as
 * = and its base64url. Otherwise whatever need not stand there as it is, is escaped (RFC 3986 §2.3): then it is all the
 * same whether a signature is made over the path as it was sent or over one that was decoded and encoded again.
 */
export function userInPath(user: string): string {
  const plain = !/[/?#%\\]|^=|^\.\.?$/.test(user);
  const segment = plain ? user : '=' + Buffer.from(user).toString('base64url');
  return encodeURIComponent(segment).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}
