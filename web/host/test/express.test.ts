// The example, as it is, against the local server, as it is: both are built, and run as programs.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { installed } from './needs.ts';

const here = fileURLToPath(new URL('..', import.meta.url));
const repository = fileURLToPath(new URL('../../..', import.meta.url));
const running: ChildProcess[] = [];
const example = join(here, 'examples/express/server.mjs');
let dir: string;
let service: string; // its URL
let app: string; // the example's
let log = ''; // what both have said to stderr
const secrets = ['correct horse']; // that must not be in it

/** Runs a program until the test ends, and returns the matches of what it says when it has started. */
async function start(program: string, args: string[], env: Record<string, string>, ...wanted: RegExp[]): Promise<string[]> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  running.push(child);
  const found = new Map<RegExp, string>();
  for await (const line of createInterface(child.stdout)) {
    for (const pattern of wanted) {
      const match = pattern.exec(line)?.[1];
      if (match) {
        found.set(pattern, match);
      }
    }
    if (found.size === wanted.length) {
      child.stdout.resume();
      return wanted.map((pattern) => found.get(pattern)!);
    }
  }
  throw new Error(`${program} has not started:\n${log}`);
}

/** A browser: it keeps cookies. */
class Browser {
  readonly cookies = new Map<string, string>();

  async ask(method: string, url: string, body?: object, session?: string) {
    const response = await fetch(url, {
      method,
      headers: {
        cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(session ? { authorization: `Bearer ${session}` } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    for (const set of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      this.cookies.set(name!, value!);
    }
    const text = await response.text();
    return { status: response.status, body: (text ? JSON.parse(text) : {}) as Record<string, any> };
  }

  login(email: string, password = 'correct horse') {
    return this.ask('POST', `${app}/login`, { email, password });
  }

  session(assertion: unknown) {
    return this.ask('POST', `${app}/session`, { assertion });
  }

  me() {
    return this.ask('GET', `${app}/me`);
  }

  /** The second factor, as the sign-in component sends it. */
  async verify(challenge: string, code: string): Promise<string> {
    const { status, body } = await this.ask('POST', `${service}/v1/verify`, { challenge, method: 'totp', code });
    expect(status, JSON.stringify(body)).toBe(200);
    secrets.push(challenge, code, body['assertion']);
    return body['assertion'];
  }
}

/** All that the answer to a wrong password tells. */
async function refused(app: string, email: string) {
  const response = await fetch(`${app}/login`, {
    method: 'POST', headers: { 'content-type': 'application/json', connection: 'close' }, body: JSON.stringify({ email, password: 'wrong' }),
  });
  expect(response.status).toBe(401);
  return { headers: [...response.headers].filter(([name]) => name !== 'date'), body: await response.text() };
}

/** An authenticator app (RFC 6238) that never shows a code twice: when it must, it is a little ahead of the time. */
class Phone {
  #last = 0;
  constructor(readonly secret: string) {}

  code(): string {
    this.#last = Math.max(this.#last + 1, Math.floor(Date.now() / 30_000));
    const bits = [...this.secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
    const key = Buffer.from(bits.match(/.{8}/g)!.map((byte) => parseInt(byte, 2)));
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(this.#last));
    const digest = createHmac('sha1', key).update(counter).digest();
    return String((digest.readUInt32BE(digest.at(-1)! & 15) & 0x7fffffff) % 1e6).padStart(6, '0');
  }
}

/** Turns 2FA on. Over the API: the session that it wants is of the identity provider, which the demo of the server has. */
async function enrol(user: string): Promise<Phone> {
  const browser = new Browser();
  const { body: demo } = await browser.ask('POST', `${service}/demo/login`, { email: user, password: 'correct horse' });
  const { body: begun } = await browser.ask('POST', `${service}/v1/enroll`, {}, demo['session']);
  const phone = new Phone(begun['manual_secret']);
  const confirm = { enrollment_id: begun['enrollment_id'], code: phone.code() };
  const { status, body } = await browser.ask('POST', `${service}/v1/enroll/confirm`, confirm, demo['session']);
  expect(status, JSON.stringify(body)).toBe(200);
  return phone;
}

describe.runIf(installed('go', 'version', 'web/host/test/express.test.ts'))('the example', () => {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'nightlatch-express-'));
    const program = join(dir, 'nightlatch');
    execFileSync('go', ['build', '-o', program, './cmd/nightlatch'], { cwd: repository, stdio: 'inherit' });
    execFileSync(process.execPath, [createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json'], { cwd: here, stdio: 'inherit' });
    const [url, key] = await start(program, ['dev', '-addr', '127.0.0.1:0', '-data', join(dir, 'data'), '-quiet'], {},
      /running:\s+(http:\S+)/, /^service key: (\S+)/);
    service = url!;
    secrets.push(key!);
    [app] = await start(process.execPath, [example], { PORT: '0', NIGHTLATCH_URL: service, NIGHTLATCH_SERVICE_KEY: key! },
      /listening on (http:\S+)/) as [string];
  }, 300_000);

  afterAll(async () => {
    await Promise.all(running.map((child) => new Promise((ended) => (child.once('exit', ended), child.kill() || ended(0)))));
    rmSync(dir, { recursive: true, force: true });
  });

  test('a wrong password opens nothing, nor does an unknown address or a body that is none', async () => {
    const browser = new Browser();
    expect((await browser.login('alice@example.com', 'wrong')).status).toBe(401);
    expect((await browser.login('mallory@example.com')).status).toBe(401);
    expect((await browser.ask('POST', `${app}/login`)).status).toBe(401);
    expect((await browser.ask('POST', `${app}/session`, { assertion: 'x' })).status).toBe(401);
    expect(browser.cookies.size).toBe(0);
    expect((await browser.me()).status).toBe(401);
    const broken = await fetch(`${app}/login`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"password":"correct horse"' });
    expect(broken.status).toBe(400);
  });

  test('a sign-in, from none to two factors', { timeout: 60_000 }, async () => {
    const alice = new Browser();
    expect((await alice.login('alice@example.com')).status).toBe(204);
    expect((await alice.me()).body).toEqual({ user: 'alice@example.com', amr: ['pwd'] });
    expect((await alice.ask('POST', `${app}/logout`)).status).toBe(204);
    expect((await alice.me()).status).toBe(401);

    const [alicePhone] = [await enrol('alice@example.com'), await enrol('bob@example.com')];
    const { status, body: offer } = await alice.login('alice@example.com');
    expect(status).toBe(200);
    expect(offer).toMatchObject({ required: true, methods: ['totp', 'backup_code'] });
    expect((await alice.me()).status).toBe(401);
    expect((await alice.session(undefined)).status).toBe(401);
    expect((await alice.session(offer['challenge'])).status).toBe(401);

    const assertion = await alice.verify(offer['challenge'], alicePhone.code());
    const bob = new Browser();
    expect((await bob.login('bob@example.com')).status).toBe(200);
    expect((await bob.session(assertion)).status, 'another user').toBe(401);
    const again = new Browser();
    expect((await again.login('alice@example.com')).status).toBe(200);
    expect((await again.session(assertion)).status, 'another sign-in of the same user').toBe(401);
    const stranger = new Browser();
    expect((await stranger.session(assertion)).status, 'no sign-in').toBe(401);
    for (const browser of [bob, again, stranger, alice]) {
      expect((await browser.me()).status).toBe(401);
    }

    const thief = new Browser();
    thief.cookies.set('sign_in', alice.cookies.get('sign_in')!);
    const both = await Promise.all([alice.session(assertion), thief.session(assertion)]);
    expect(both.map(({ status }) => status).sort(), 'the same twice at once').toEqual([204, 401]);
    const winner = both[0].status === 204 ? alice : thief;
    expect((await winner.me()).body).toEqual({ user: 'alice@example.com', amr: ['pwd', 'otp', 'mfa'] });
    expect((await alice.session(assertion)).status, 'replayed').toBe(401);
  });

  test('a key that the service refuses is told when it does', { timeout: 60_000 }, async () => {
    const [own] = (await start(process.execPath, [example], { PORT: '0', NIGHTLATCH_URL: service, NIGHTLATCH_SERVICE_KEY: 'another' },
      /listening on (http:\S+)/)) as [string];
    const response = await fetch(`${own}/login`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"email":"alice@example.com","password":"correct horse"}',
    });
    expect(response.status).toBe(500);
    await vi.waitFor(() => expect(log).toContain('Are NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL'), 10_000);
  });

  test('without the service nobody gets in', { timeout: 60_000 }, async () => {
    running[0]!.kill('SIGKILL');
    const browser = new Browser();
    expect((await browser.login('bob@example.com')).status).toBe(503);
    expect((await browser.me()).status).toBe(401);
    expect(await refused(app, 'bob@example.com'), 'nothing tells which addresses there are').toEqual(await refused(app, 'mallory@example.com'));
  });

  test('a wrong password is answered before it is reported, and is reported before the program ends', { timeout: 60_000 }, async () => {
    let end!: () => void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    let reports = 0;
    const held = createServer(async (_request, response) => {
      await ended; // until no one can sign in any more
      reports++;
      response.writeHead(204).end();
    });
    await new Promise<void>((listening) => held.listen(0, '127.0.0.1', listening));
    const { port } = held.address() as AddressInfo;
    const [own] = (await start(process.execPath, [example], { PORT: '0', NIGHTLATCH_URL: `http://127.0.0.1:${port}`, NIGHTLATCH_SERVICE_KEY: 'k' },
      /listening on (http:\S+)/)) as [string];
    const program = running.at(-1)!;
    const exit = once(program, 'exit');
    expect(await refused(own, 'bob@example.com')).toEqual(await refused(own, 'mallory@example.com'));
    program.kill('SIGTERM');
    await vi.waitFor(async () => {
      const socket = connect(Number(new URL(own).port), '127.0.0.1');
      await expect(once(socket, 'connect').finally(() => socket.destroy())).rejects.toThrow('ECONNREFUSED');
    }, 30_000);
    end();
    expect(await exit).toEqual([0, null]);
    expect(reports).toBe(1);
    held.close();
  });

  test.each([
    ['no key', { NIGHTLATCH_SERVICE_KEY: '' }],
    ['no URL', { NIGHTLATCH_SERVICE_KEY: 'k', NIGHTLATCH_URL: '127.0.0.1:9000' }],
  ])('%s is told before it starts', { timeout: 60_000 }, (_, env) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [example], { env: { ...process.env, PORT: '0', ...env }, encoding: 'utf8' });
    expect(stderr).toContain('Set NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL to');
    expect([status, stdout]).toEqual([1, '']);
  });

  test('no secret is in the log', () => {
    expect(log).toContain('Unavailable');
    expect(log).toContain('Refused');
    for (const secret of secrets) {
      expect(log).not.toContain(secret);
    }
  });
});
