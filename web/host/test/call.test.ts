import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ChallengeRequest, Host, type HostEvent, NotEnabled, Refused, Rejected, Unavailable, memoryRedeemer, newNonce, serviceKey } from '../src/index.ts';
import { type Arrived, type Handler, audience, expected, issuer, key, newHost, shown, thrown } from './standin.ts';

afterEach(() => void vi.useRealTimers());

const request: ChallengeRequest = {
  user_id: expected.user, nonce: expected.nonce, email: 'alice@example.com', amr: ['pwd'], ip: '203.0.113.7',
  subject: { name: 'Alice <Adams>' },
};
const due = { required: true, methods: ['totp', 'backup_code'], challenge: 'challenge-of-alice', expires_at: '2026-03-14T15:19:26Z' };
const enroll = { ...due, enrollment_required: true, methods: ['enroll'] };
const off = { required: false, methods: [] };

const json = (body: unknown, init?: ResponseInit): Handler => () => Response.json(body, init);

describe('challenge', () => {
  test('asks as the API wants to be asked, and returns the answer as it is', async () => {
    let got: Arrived | undefined;
    const answer = { ...due, locked_until: null, policy: { skew: 1 }, new_member: 1 };
    const host = newHost((arrived) => ((got = arrived), Response.json(answer)));
    expect(await host.challenge(request)).toEqual(answer);
    expect(got!.method).toBe('POST');
    expect(got!.url.href).toBe(`${issuer}/v1/challenges`);
    expect(JSON.parse(got!.body)).toEqual(request);
    expect(got!.headers.get('authorization')).toBe(`Bearer ${key}`);
    expect(got!.headers.get('content-type')).toBe('application/json');
    expect(got!.redirect).toBe('manual');
  });

  test.each([
    ['2FA is due', due, undefined, true],
    ['2FA is due, as expected', due, 'enabled', true],
    ['2FA is off', off, undefined, false],
    ['2FA is to be set up', enroll, undefined, true],
    ['no end is told', { ...due, expires_at: undefined }, undefined, true],
    ['an end of null', { ...off, expires_at: null }, undefined, false],
  ] as const)('%s', async (_, answer, expect_, required) => {
    const offer = await newHost(json(answer)).challenge({ ...request, ...(expect_ ? { expect: expect_ } : {}) });
    expect(offer.required).toBe(required);
  });

  // A user without a second factor gets in only where the service says so in as many words.
  const text = JSON.stringify;
  const bodies: Record<string, string> = {
    empty: '',
    'an empty object': '{}',
    null: 'null',
    true: 'true',
    'a list': text([off]),
    'required only': text({ required: true }),
    'not required only': text({ required: false }),
    'no challenge': text({ ...due, challenge: undefined }),
    'an empty challenge': text({ ...due, challenge: '' }),
    'no methods': text({ ...due, methods: [] }),
    'off, with a challenge': text({ ...off, challenge: 'c' }),
    'off, with methods': text({ ...off, methods: ['totp'] }),
    'off, but to be set up': text({ ...off, enrollment_required: true }),
    cut: text(off).slice(0, -1),
    twice: text(off) + text(off),
    'a page': '<!doctype html>',
    huge: text(off) + ' '.repeat(64 << 10),
    'a problem': text({ type: 'about:blank', status: 500 }),
    'message of a gateway': text({ message: 'Internal Server Error' }),
    'off, inherited': '{"__proto__":{"required":false,"methods":[]}}',
    'not UTF-8': '{"required":\ud800}',
  };
  // Everything that decides, as everything that it is not.
  const others = [null, true, false, 0, 1, '', 'false', 'x', [], ['totp'], [1], [''], [null], {}, { length: 0 }];
  for (const [of, base] of Object.entries({ due, off, enroll })) {
    for (const member of ['required', 'methods', 'challenge', 'enrollment_required', 'expires_at'] as const) {
      for (const other of others) {
        const odd = { ...base, [member]: other };
        const fine =
          text(other) === text((base as Record<string, unknown>)[member]) ||
          (member === 'enrollment_required' && (other === false || (other === true && of !== 'off'))) ||
          (member === 'expires_at' && other === null) ||
          (member === 'challenge' && (of === 'off' ? other === '' : typeof other === 'string' && other !== '')) ||
          (member === 'methods' && of !== 'off' && text(other) === '["totp"]');
        if (!fine) {
          bodies[`${of}, but ${member} is ${text(other)}`] = text(odd);
        }
      }
    }
  }
  test.each(Object.entries(bodies))('nobody gets in on an answer that is %s', async (_, body) => {
    const e = await thrown(newHost(() => new Response(body)).challenge(request));
    expect(e).toBeInstanceOf(Unavailable);
    expect(shown(e)).not.toContain('challenge-of-alice');
  });

  test.each([
    ['off, but expected to be on', off],
    ['to be set up, but expected to be on', enroll],
  ])('nobody gets in when 2FA is %s', async (_, answer) => {
    expect(await thrown(newHost(json(answer)).challenge({ ...request, expect: 'enabled' }))).toBeInstanceOf(Unavailable);
  });

  test.each([[201, Rejected], [202, Rejected], [302, Rejected], [400, Rejected], [403, Rejected], [429, Unavailable], [500, Unavailable]])(
    'nobody gets in on a %i that looks like a yes',
    async (status, kind) => {
      expect(await thrown(newHost(json(off, { status })).challenge(request))).toBeInstanceOf(kind);
    },
  );

  test.each([{}, { user_id: 'u' }, { nonce: 'n' }, { user_id: '', nonce: 'n' }, { user_id: 'u', nonce: '' }, { user_id: 7, nonce: 'n' },
    { user_id: '\ud800', nonce: 'n' }])(
    'a request that cannot be right is not sent: %j',
    async (wrong) => {
      const sent = vi.fn(json(off));
      expect(await thrown(newHost(sent).challenge(wrong as ChallengeRequest))).toBeInstanceOf(TypeError);
      expect(sent).not.toHaveBeenCalled();
    },
  );
});

describe('report', () => {
  // The same as TestReport in pkg/host has.
  test.each(
    Object.entries({
      alice: 'alice',
      'auth0|123': 'auth0%7C123',
      'alice@example.com': 'alice%40example.com',
      'a b+c&d=e$f:g,h;i!': 'a%20b%2Bc%26d%3De%24f%3Ag%2Ch%3Bi%21',
      "(a)*'~": '%28a%29%2A%27~',
      'é素': '%C3%A9%E7%B4%A0',
      'a/../../v1/users/bob': '%3DYS8uLi8uLi92MS91c2Vycy9ib2I',
      '.': '%3DLg',
      '..': '%3DLi4',
      '...': '...',
      '=YS8': '%3DPVlTOA',
      '%2e%2e': '%3DJTJlJTJl',
      'a\\b': '%3DYVxi',
      'a?b#c': '%3DYT9iI2M',
      ['u'.repeat(128)]: 'u'.repeat(128),
    }),
  )('events of %s go to its own path', async (user, path) => {
    const event = { type: 'address_changed', email: 'new@example.com', ip: '203.0.113.7', user_agent: 'u' } as const;
    let got: Arrived | undefined;
    const host = newHost((arrived) => ((got = arrived), new Response(null, { status: 204 })), { url: `${issuer}/stage/` });
    await host.report(user, event);
    expect(got!.url.pathname).toBe(`/stage/v1/users/${path}/events`);
    expect(JSON.parse(got!.body)).toEqual(event);
  });

  test('an answer of 200 is none', async () => {
    expect(await thrown(newHost(json({})).report('alice', { type: 'login' }))).toBeInstanceOf(Rejected);
  });

  test.each(['', undefined, '\udc00', 'a/\ud800'])('a report on nobody is not sent', async (user) => {
    const sent = vi.fn(json({}));
    expect(await thrown(newHost(sent).report(user as string, { type: 'deleted' }))).toBeInstanceOf(TypeError);
    expect(sent).not.toHaveBeenCalled();
  });
});

describe('what a host is told when it is told no', () => {
  const long = 'x'.repeat(24);
  const cases: [string, Handler, typeof Rejected | typeof Unavailable, object][] = [
    ['a problem', json({ status: 409, code: 'conflict', detail: 'd' }, { status: 409 }), Rejected, { status: 409, code: 'conflict', detail: 'd' }],
    ['not enabled', json({ code: 'not_enabled', detail: 'd' }, { status: 409 }), NotEnabled, { status: 409, code: 'not_enabled', detail: 'd' }],
    ['not enabled, says the gateway', json({ code: 'not_enabled' }, { status: 403 }), Rejected, { status: 403, code: 'not_enabled' }],
    ['internal', json({ code: 'internal', request_id: 'r=' }, { status: 500 }), Unavailable, { status: 500, code: 'internal', requestId: 'r=' }],
    ['the gateway’s no', json({ message: 'Forbidden' }, { status: 403 }), Rejected, { status: 403, detail: 'Forbidden' }],
    ['the gateway’s throttle', json({ message: 'Too Many Requests' }, { status: 429, headers: { 'retry-after': '60' } }), Unavailable,
      { status: 429, detail: 'Too Many Requests', retryAfter: 60 }],
    ['a page', () => new Response('<!doctype html>', { status: 404 }), Rejected, { status: 404 }],
    ['nothing', () => new Response(null, { status: 401 }), Rejected, { status: 401 }],
    ['a code that is a number', json({ code: 7, detail: {} }, { status: 400 }), Rejected, { status: 400 }],
    ['a code of two lines', json({ code: 'not\nenabled' }, { status: 409 }), Rejected, { status: 409 }],
    ['a time to retry that is a date', json({}, { status: 500, headers: { 'retry-after': 'Sat, 14 Mar 2026 15:09:26 GMT' } }), Unavailable, { status: 500 }],
    ['a time to retry that is past', json({}, { status: 500, headers: { 'retry-after': '-7' } }), Unavailable, { status: 500 }],
    ['a text that repeats a token', json({ code: 'forbidden', message: `The string was\n${long}` }, { status: 403 }), Rejected, { status: 403, code: 'forbidden' }],
    ['a text without end', json({ detail: 'word '.repeat(100) }, { status: 400 }), Rejected, { status: 400 }],
    ['a gateway that gives up', json({}, { status: 504 }), Unavailable, { status: 504 }],
  ];
  test.each(cases)('%s', async (_, handler, kind, answer) => {
    const host = newHost(handler);
    for (const e of [await thrown(host.challenge(request)), await thrown(host.report('alice', { type: 'login' }))]) {
      expect(e).toBeInstanceOf(kind);
      expect((e as Error).name).toBe(kind.name);
      expect((e as Rejected).answer).toEqual({ code: undefined, detail: undefined, retryAfter: undefined, requestId: undefined, ...answer });
      expect(e).not.toBeInstanceOf(Refused);
      expect(e instanceof Rejected).toBe(!(e instanceof Unavailable));
      expect(shown(e)).not.toContain(long);
    }
  });

  test('in one line', async () => {
    const e = await thrown(newHost(json({ code: 'internal', detail: 'd"\n', request_id: 'r' }, { status: 500 })).challenge(request));
    expect((e as Error).message).toBe('nightlatch: unavailable: the service answered 500 internal: "d\\"\\n", request r');
  });

  // The service knows the key and the gateway repeats what was signed: neither comes into a log.
  test('no key, challenge or nonce shows', async () => {
    const echo: Handler = ({ headers, body }) =>
      Response.json({ message: [...headers].join(), detail: body, code: headers.get('authorization'), request_id: body }, { status: 403 });
    const e = await thrown(newHost(echo).challenge(request));
    expect(e).toBeInstanceOf(Rejected);
    for (const secret of [key, expected.nonce, 'Alice']) {
      expect(shown(e)).not.toContain(secret);
    }
  });
});

describe('retries', () => {
  const busy = (seconds?: number): Handler => json({ code: 'unavailable' }, { status: 503, headers: seconds ? { 'retry-after': `${seconds}` } : {} });
  const throttled = (seconds?: number): Handler => json({ message: 'Too Many Requests' }, { status: 429, headers: seconds ? { 'retry-after': `${seconds}` } : {} });
  const gone: Handler = () => Promise.reject(new TypeError('fetch failed'));
  const never: Handler = () => new Promise(() => {});
  const cut: Handler = () => new Response(new ReadableStream({ pull: (c) => c.error(new Error('reset')) }));
  const ok = json(due);

  test.each<[string, Handler[], boolean, attempts: number, from: number, to: number, end: number]>([
    ['at once', [ok], true, 1, 0, 0, 0],
    ['the second time', [gone, ok], true, 2, 100, 150, 150],
    ['the third time', [gone, gone, ok], true, 3, 300, 450, 450],
    ['never', [gone], false, 3, 300, 450, 450],
    ['half an answer', [cut, ok], true, 2, 100, 150, 150],
    ['busy without a time', [busy(), ok], true, 2, 100, 150, 150],
    ['busy for a second', [busy(1), ok], true, 2, 1000, 1000, 1000],
    ['busy for longer', [busy(1)], false, 3, 2000, 2000, 2000],
    ['busy for a minute', [busy(60)], false, 1, 0, 0, 0],
    ['no answer', [never], false, 1, 0, 0, 10_000],
    ['no answer the second time', [gone, never], false, 2, 100, 150, 10_000],
    ['500', [json({}, { status: 500 })], false, 1, 0, 0, 0],
    ['throttled', [throttled(), ok], true, 2, 100, 150, 150],
    ['throttled for a second', [throttled(1)], false, 3, 2000, 2000, 2000],
    ['throttled for a minute', [throttled(60)], false, 1, 0, 0, 0],
    ['429 of the service', [json({ code: 'locked' }, { status: 429, headers: { 'retry-after': '1' } })], false, 1, 0, 0, 0],
    ['403', [json({}, { status: 403 })], false, 1, 0, 0, 0],
    ['an answer without sense', [json({})], false, 1, 0, 0, 0],
    ['an answer without end', [() => new Response('x'.repeat(65 << 10))], false, 1, 0, 0, 0],
  ])('%s', async (_, answers, good, attempts, from, to, end) => {
    vi.useFakeTimers();
    const begin = performance.now();
    const came: number[] = [];
    const host = newHost((arrived) => {
      came.push(performance.now() - begin);
      return answers[Math.min(came.length, answers.length) - 1]!(arrived);
    });
    let took = NaN;
    const ended = thrown(host.challenge(request)).finally(() => (took = performance.now() - begin));
    await vi.advanceTimersByTimeAsync(60_000);
    const e = await ended;
    expect(e instanceof Unavailable || e instanceof Rejected).toBe(!good);
    expect(came).toHaveLength(attempts);
    expect(came.at(-1)).toBeGreaterThanOrEqual(from);
    expect(came.at(-1)).toBeLessThanOrEqual(to + 3); // fake timers go in whole milliseconds
    expect(took).toBeLessThanOrEqual(end + 3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each<[HostEvent['type'], attempts: number]>([
    ['password_failed', 1], ['password_changed', 2], ['address_changed', 2], ['deleted', 2], ['login', 2],
  ])('%s is throttled: %d', async (type, attempts) => {
    for (const [first, wanted] of [[throttled(), attempts], [busy(), 2]] as const) {
      vi.useFakeTimers();
      let came = 0;
      const host = newHost((arrived) => (++came === 1 ? first : () => new Response(null, { status: 204 }))(arrived));
      const ended = thrown(host.report('alice', { type }));
      await vi.advanceTimersByTimeAsync(60_000);
      expect((await ended) instanceof Unavailable).toBe(wanted === 1);
      expect(came).toBe(wanted);
    }
  });

  test('a call that takes too long is ended, not left to go on', async () => {
    vi.useFakeTimers();
    const signals: AbortSignal[] = [];
    const host = newHost(({ signal }) => {
      signals.push(signal);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }, { timeout: 500 });
    const ended = thrown(host.report('alice', { type: 'login' }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await ended).toBeInstanceOf(Unavailable);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });

  test('credentials that never come end, too', async () => {
    vi.useFakeTimers();
    const sent = vi.fn(ok);
    const ended = thrown(newHost(sent, { credentials: { authorize: () => new Promise(() => {}) } }).challenge(request));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await ended).toBeInstanceOf(Unavailable);
    expect(sent).not.toHaveBeenCalled();
  });
});

describe('over a network', () => {
  async function serve(answer: (path: string, respond: (status: number, headers: Record<string, string>, body: string) => void) => void) {
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url!);
      request.resume();
      answer(request.url!, (status, headers, body) => response.writeHead(status, headers).end(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const host = new Host({ url, audience, credentials: serviceKey(key), redeemer: memoryRedeemer() });
    const close = () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
    return { host, paths, close };
  }

  test.each([301, 302, 303, 307, 308])('credentials go nowhere else after a %i', async (status) => {
    const { host, paths, close } = await serve((_, respond) => respond(status, { location: '/elsewhere' }, JSON.stringify(off)));
    const e = await thrown(host.challenge(request));
    const report = await thrown(host.report('alice', { type: 'login' }));
    const keys = await thrown(host.verifyAssertion('eyJhbGciOiJFUzI1NiIsInR5cCI6Im5pZ2h0bGF0Y2grand0Iiwia2lkIjoiayJ9.e30.AAAA', expected));
    await close();
    expect(e).toBeInstanceOf(Rejected);
    expect((e as Rejected).answer.status).toBe(status);
    expect(report).toBeInstanceOf(Rejected);
    expect(keys).toBeInstanceOf(Unavailable);
    expect(paths).toEqual(['/v1/challenges', '/v1/users/alice/events', '/.well-known/jwks.json']);
  });

  test('half an answer is none', async () => {
    const { host, paths, close } = await serve((_, respond) => respond(200, { 'content-length': '1000' }, JSON.stringify(off)));
    const ended = thrown(host.challenge(request));
    await vi.waitUntil(() => paths.length === 1);
    await close();
    expect(await ended).toBeInstanceOf(Unavailable);
  });

  test('nobody listens', async () => {
    const { host, close } = await serve(() => {});
    await close();
    expect(await thrown(host.challenge(request))).toBeInstanceOf(Unavailable);
  });
});

test('nonces are new, and long', () => {
  const nonces = new Set(Array.from({ length: 1000 }, newNonce));
  expect(nonces.size).toBe(1000);
  for (const nonce of nonces) {
    expect(nonce).toMatch(/^[\w-]{22}$/);
  }
});
