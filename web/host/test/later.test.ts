import { expect, test, vi } from 'vitest';
import { type HostEvent, Rejected, Unavailable } from '../src/index.ts';
import { newHost } from './standin.ts';

const from = { ip: '203.0.113.7', user_agent: 'u' };
const event: HostEvent = { ...from, type: 'password_failed' };

/** A service that answers once it is told to. */
function held(status = 204) {
  let answer!: () => void;
  const told = new Promise<void>((resolve) => (answer = resolve));
  const bodies: string[] = [];
  const host = newHost(async ({ body, url }) => {
    expect(url.pathname).toBe('/v1/users/alice/events');
    bodies.push(body);
    await told;
    return new Response(null, { status });
  });
  return { host, bodies, answer };
}

test('it waits for nothing, and flush waits for it', async () => {
  const { host, bodies, answer } = held();
  const failed = vi.fn();
  await host.flush();
  expect(host.reportPasswordFailed('alice', from, failed)).toBeUndefined();
  let flushed = false;
  const flush = host.flush().then(() => (flushed = true));
  await vi.waitFor(() => expect(bodies).toEqual([JSON.stringify(event)]));
  expect(flushed).toBe(false);
  host.reportPasswordFailed('alice', from, failed); // while it waits
  answer();
  await flush;
  expect(bodies).toHaveLength(2);
  expect(failed).not.toHaveBeenCalled();
});

test('each error is told once, and none is thrown', async () => {
  const { host, answer } = held(403);
  const failed = vi.fn();
  host.reportPasswordFailed('alice', from, failed);
  host.reportPasswordFailed('', from, failed);
  answer();
  await host.flush();
  expect(failed).toHaveBeenCalledTimes(2);
  expect(failed.mock.calls.flat()).toEqual(expect.arrayContaining([expect.any(Rejected), expect.any(TypeError)]));
  expect(() => host.reportPasswordFailed('alice', from, undefined as never)).toThrow('failed is required');
});

test('what the callback throws, or rejects with, is printed and goes no further', async () => {
  const { host, answer } = held(403);
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  const thrown = new Error('the log is full');
  const throws = () => { throw thrown; };
  host.reportPasswordFailed('alice', from, throws);
  host.reportPasswordFailed('alice', from, () => Promise.reject(thrown));
  for (let i = 0; i < 98; i++) host.reportPasswordFailed('alice', from, () => {});
  expect(() => host.reportPasswordFailed('alice', from, throws)).not.toThrow(); // beyond the limit
  answer();
  await host.flush();
  await new Promise(setImmediate); // rejections are told of after the microtasks
  process.off('unhandledRejection', unhandled);
  expect(unhandled).not.toHaveBeenCalled();
  expect(printed.mock.calls).toEqual(Array(3).fill([expect.stringContaining('reportPasswordFailed'), thrown]));
  printed.mockRestore();
});

test('no other type can be reported without waiting', async () => {
  const { host, bodies, answer } = held();
  answer();
  // @ts-expect-error: for a program without types
  host.reportPasswordFailed('alice', { type: 'password_changed' }, vi.fn());
  await host.flush();
  expect(bodies).toEqual([JSON.stringify({ type: 'password_failed' })]);
});

test('while the service hangs, what is under way does not grow; afterwards all of it goes on', async () => {
  const { host, bodies, answer } = held();
  const failed = vi.fn();
  for (let i = 0; i < 103; i++) host.reportPasswordFailed('alice', from, failed);
  expect(failed.mock.calls).toEqual(Array(3).fill([expect.any(Unavailable)]));
  answer();
  await host.flush();
  host.reportPasswordFailed('alice', from, failed);
  await host.flush();
  expect(bodies).toHaveLength(101);
  expect(failed).toHaveBeenCalledTimes(3);
});
