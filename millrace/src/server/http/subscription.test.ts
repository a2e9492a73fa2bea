import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { HTTP_SUBSCRIBER_BYTES_MAX } from '../../core/http-limits.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import type { ViewEvent } from '../../engine/stream/views/view-changes.ts';
import { serveSubscription } from './subscription.ts';

/** What a subscriber that takes nothing, or all, has been sent. */
class Response extends Writable {
  text = '';
  status = 0;
  readonly #takes: boolean;

  constructor(takes: boolean) {
    super({ highWaterMark: 1_024 });
    this.#takes = takes;
  }

  writeHead(status: number): void {
    this.status = status;
  }

  /** Behind what was not taken there is what was not even tried. */
  get queued(): number {
    return this.writableLength;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    if (this.#takes) done();
  }
}

interface Told {
  readonly made: number;
  readonly response: Response;
}

async function told(takes: boolean, count: number): Promise<Told> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  let made = 0;
  async function* events(): AsyncGenerator<ViewEvent, undefined> {
    while (made < count) {
      made++;
      yield { kind: 'change', change: { key: made, value: 'x'.repeat(1_000) }, id: `id${made}` };
    }
    return undefined;
  }
  const response = new Response(takes);
  const serve = serveSubscription({
    env,
    response: response as unknown as ServerResponse,
    events: events(),
    signal: new AbortController().signal,
  });
  await machine.run(serve);
  return { made, response };
}

test('who takes all is told all', async () => {
  const { made, response } = await told(true, 2_000);
  expect(made).toBe(2_000);
  expect(response.text.match(/^id: id\d+$/gm)).toHaveLength(2_000);
});

test('who takes nothing holds up a bounded number of events, and is disconnected', async () => {
  const { made, response } = await told(false, 1_000_000);
  expect(made).toBeLessThan(HTTP_SUBSCRIBER_BYTES_MAX / 1_000 + 2);
  expect(response.queued).toBeLessThan(HTTP_SUBSCRIBER_BYTES_MAX + 5_000);
  expect(response.writableEnded).toBe(true);
});
