import { expect, test, vi } from 'vitest';
import { type HostEvent, Rejected, Unavailable } from '../src/index.ts';
import { newHost } from './standin.ts';

const event: HostEvent = { type: 'password_failed', ip: '203.0.113.7' };

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
  expect(host.reportLater('alice', event, failed)).toBeUndefined();
  let flushed = false;
  const flush = host.flush().then(() => (flushed = true));
  await vi.waitFor(() => expect(bodies).toEqual([JSON.stringify(event)]));
  expect(flushed).toBe(false);
  host.reportLater('alice', event, failed); // while it waits
  answer();
  await flush;
  expect(bodies).toHaveLength(2);
  expect(failed).not.toHaveBeenCalled();
});

test('each error is told once, and none is thrown', async () => {
  const { host, answer } = held(403);
  const failed = vi.fn();
  host.reportLater('alice', event, failed);
  host.reportLater('', event, failed);
  answer();
  await host.flush();
  expect(failed).toHaveBeenCalledTimes(2);
  expect(failed.mock.calls.flat()).toEqual(expect.arrayContaining([expect.any(Rejected), expect.any(TypeError)]));
  expect(() => host.reportLater('alice', event, undefined as never)).toThrow('failed is required');
});

test('while the service hangs, what is under way does not grow; afterwards all of it goes on', async () => {
  const { host, bodies, answer } = held();
  const failed = vi.fn();
  for (let i = 0; i < 103; i++) host.reportLater('alice', event, failed);
  expect(failed.mock.calls).toEqual(Array(3).fill([expect.any(Unavailable)]));
  answer();
  await host.flush();
  host.reportLater('alice', event, failed);
  await host.flush();
  expect(bodies).toHaveLength(101);
  expect(failed).toHaveBeenCalledTimes(3);
});
