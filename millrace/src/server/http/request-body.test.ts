import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { HTTP_REQUEST_MS } from '../../core/http-limits.ts';
import { realEnv } from '../../core/real-env.ts';
import { ByteBudget, wholeBody } from './request-body.ts';

const { timers, clock } = realEnv();

/** A request whose body is what comes out of this. */
function request(headers: Readonly<Record<string, string>>, chunks: Iterable<Buffer>) {
  return Object.assign(Readable.from(chunks), { headers }) as unknown as IncomingMessage;
}

test('who announces a body and sends little keeps no memory from others', async () => {
  const budget = new ByteBudget(100);
  const options = { budget, bytesMax: 100, hint: '' };
  const seen: number[] = [];
  function* slowly(): Generator<Buffer> {
    yield Buffer.from('a');
    seen.push(budget.bytes);
    yield Buffer.from('b');
  }
  const body = await wholeBody(
    request({ 'content-length': '100' }, slowly()),
    { timers, clock },
    options,
  );
  expect(body.toString()).toBe('ab');
  expect(seen[0]).toBeLessThanOrEqual(1);
  expect(budget.bytes).toBe(2);
});

test('a body that trickles in is refused, however long nothing of it is missed', async () => {
  const budget = new ByteBudget(100_000);
  let nowMs = 0;
  const late = { ...clock, monotonicMs: () => nowMs };
  function* trickle(): Generator<Buffer> {
    for (let count = 0; count < 100; count++) {
      nowMs += HTTP_REQUEST_MS / 10;
      yield Buffer.from('x');
    }
  }
  const body = wholeBody(
    request({ 'transfer-encoding': 'chunked' }, trickle()),
    { timers, clock: late },
    { budget, bytesMax: 100_000, hint: '' },
  );
  await expect(body).rejects.toMatchObject({
    code: 'ML_HTTP_REQUEST',
    fields: { status: 408 },
  });
  expect(budget.bytes).toBe(0);
});
