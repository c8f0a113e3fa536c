// @ts-check
// A login back end with Express: a password, then a second factor by Nightlatch, then a session in a cookie.
//
//   POST /login    {"email","password"}  → 204 and a session, or 200 and what the browser needs for the second factor
//   POST /session  {"assertion"}         → 204 and a session
//   GET  /me                             → 200 {"user","amr"}
//   POST /logout                         → 204
//
// Whatever else happens is an error, and nobody is signed in. What a real application replaces is marked REPLACE.
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import express from 'express';
import { Host, Refused, Rejected, Unavailable, memoryRedeemer, newNonce, serviceKey } from '@nightlatch/host';

const { NIGHTLATCH_URL = 'http://127.0.0.1:8787', NIGHTLATCH_SERVICE_KEY = '', PORT = '3000' } = process.env;

/** @type {Host} */
let host;
try {
  host = new Host({
    url: NIGHTLATCH_URL,
    audience: 'nightlatch-demo-host', // REPLACE: the name under which your deployment knows you
    credentials: serviceKey(NIGHTLATCH_SERVICE_KEY), // REPLACE: sigV4({ provider: fromNodeProviderChain(), region })
    redeemer: memoryRedeemer(), // REPLACE: one on your database, as soon as there is a second process
  });
} catch (e) {
  console.error('Set NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL to the key and the URL that make dev prints.', e);
  process.exit(1);
}

// REPLACE: your table of users, with a hash that is not made in the thread which answers everybody.
/** @param {string} password @param {Buffer} salt */
const hash = (password, salt) => scryptSync(password, salt, 32);
/** @param {string} id */
const user = (id) => {
  const salt = randomBytes(16);
  return { id, email: id, salt, hash: hash('correct horse', salt) };
};
/** @typedef {ReturnType<typeof user>} User */
const users = new Map([user('alice@example.com'), user('bob@example.com')].map((u) => [u.email, u]));
const nobody = user('nobody'); // so that an unknown address takes as long as a wrong password

// REPLACE: your store of sessions. Both maps are by a random id that only the browser's cookie has.
const signInFor = 15 * 60_000; // ms: the ten minutes of a challenge, and time to set an authenticator up
const sessionFor = 12 * 3600_000;
/** @type {Map<string, { user: User, nonce: string, ends: number }>} sign-ins between the password and the second factor */
const signIns = new Map();
/** @type {Map<string, { user: string, amr: string[], ends: number }>} */
const sessions = new Map();

/** @template {{ ends: number }} T @param {Map<string, T>} map @param {T} value */
function keep(map, value) {
  for (const [id, { ends }] of map) {
    if (ends <= Date.now()) map.delete(id);
  }
  const id = randomBytes(32).toString('base64url');
  map.set(id, value);
  return id;
}

/** @template {{ ends: number }} T @param {Map<string, T>} map @param {string} id @returns {T | undefined} */
function find(map, id) {
  const value = map.get(id);
  return value && value.ends > Date.now() ? value : undefined;
}

// REPLACE: add secure: true and names that begin with __Host-, which plain HTTP on this machine cannot have. Strict, so
// that no other site can send them; and only JSON is read below, which no form can send.
/** @type {express.CookieOptions} */
const cookie = { httpOnly: true, sameSite: 'strict', path: '/' };

/** @param {express.Request} request @param {string} name */
function cookieOf(request, name) {
  const pairs = (request.headers.cookie ?? '').split('; ').map((pair) => pair.split('='));
  return pairs.find(([key]) => key === name)?.[1] ?? '';
}

/** @param {express.Response} response @param {User} user @param {string[]} amr */
function grant(response, user, amr) {
  const id = keep(sessions, { user: user.id, amr, ends: Date.now() + sessionFor });
  response.clearCookie('sign_in', cookie).cookie('session', id, { ...cookie, maxAge: sessionFor }).status(204).end();
}

const app = express();
app.use(express.json({ limit: '16kb' }));
// REPLACE: behind a proxy, app.set('trust proxy', …), so that request.ip is the user's.

app.post('/login', async (request, response) => {
  const { email, password } = request.body ?? {};
  const user = users.get(email);
  const { salt, hash: right } = user ?? nobody;
  const same = timingSafeEqual(hash(String(password), salt), right);
  const seen = { ip: request.ip ?? '', user_agent: (request.get('user-agent') ?? '').slice(0, 256) };
  if (!user || !same) {
    response.status(401).json({ error: 'The address or the password is wrong.' });
    // Not waited for: nothing but the log tells whether the address is known.
    if (user) host.reportPasswordFailed(user.id, seen, logged);
    return;
  }

  // The password was right. From here on nobody gets in but by the two calls of grant.
  const nonce = newNonce();
  const offer = await host.challenge({ user_id: user.id, email: user.email, nonce, amr: ['pwd'], locale: 'en', ...seen });
  if (!offer.required) {
    await host.report(user.id, { type: 'login', ...seen });
    grant(response, user, ['pwd']);
    return;
  }
  const id = keep(signIns, { user, nonce, ends: Date.now() + signInFor });
  response.cookie('sign_in', id, { ...cookie, maxAge: signInFor }).json(offer); // <nightlatch-sign-in> goes on from here
});

app.post('/session', async (request, response) => {
  const id = cookieOf(request, 'sign_in');
  const signIn = find(signIns, id);
  if (!signIn) {
    response.status(401).json({ error: 'This sign-in is over. Begin again with the password.' });
    return;
  }
  const { amr } = await host.verifyAssertion(request.body?.assertion, { user: signIn.user.id, nonce: signIn.nonce });
  signIns.delete(id);
  grant(response, signIn.user, amr);
});

app.get('/me', (request, response) => {
  const session = find(sessions, cookieOf(request, 'session'));
  if (!session) {
    response.status(401).json({ error: 'Nobody is signed in.' });
    return;
  }
  response.json({ user: session.user, amr: session.amr });
});

app.post('/logout', (request, response) => {
  sessions.delete(cookieOf(request, 'session'));
  response.clearCookie('session', cookie).status(204).end();
});

/** @param {unknown} error one of ours tells no code, no challenge and no key */
function logged(error) {
  console.error(error);
  if (error instanceof Rejected && !error.answer.code) { // not the service has answered, but what stands before it
    console.error('Are NIGHTLATCH_SERVICE_KEY and NIGHTLATCH_URL the key and the URL that make dev prints?');
  }
}

/** @type {(...of: [any, express.Request, express.Response, express.NextFunction]) => void} */
const failed = (error, _request, response, _next) => { // Express knows by the four parameters that errors end here
  if (!error.expose) logged(error); // a body that is no JSON is not: there may be a password in it
  const [status, text] =
    error instanceof Refused ? [401, 'This does not open a session. Begin again with the password.']
    : error instanceof Unavailable ? [503, 'Signing in is not possible at the moment. Please try again.']
    : error.expose ? [error.status, 'This is not understood.']
    : [500, 'Something went wrong.'];
  response.status(status).json({ error: text });
};
app.use(failed);

const server = app.listen(Number(PORT), '127.0.0.1', (error) => {
  if (error) throw error;
  const address = server.address();
  console.log(`listening on http://127.0.0.1:${address && typeof address === 'object' ? address.port : PORT}`);
});

// At its end the program answers whoever has asked. Last come the reports that are made after the answers.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(() => host.flush().then(() => process.exit())));
}
