/** Requests that are sent until they are answered, to a process that is killed again and again: each is written once, and answered as it was. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openMillrace } from '../../src/index.ts';

const PROGRAM = fileURLToPath(new URL('take-process.ts', import.meta.url));
const REQUESTS = 100;
const SENDERS = 8;
const KILLS = 2;
/** Two of them do not fit into one group of a partition: a kill may come between. */
const LARGE = 'x'.repeat(150_000);

let dir = '';
let child: ChildProcess | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-killed-'));
});

afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly isKnown: boolean;
  readonly body: string;
}

/** Where it listens, and when it is killed. */
class Taker {
  address: Promise<string>;
  answers = 0;
  #kills = 0;

  constructor() {
    this.address = this.#start();
  }

  async #start(): Promise<string> {
    const started = spawn(process.execPath, [PROGRAM, dir], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child = started;
    const [address] = (await once(started, 'message')) as [string];
    return address;
  }

  /** One more answer has come; some of them are the last ones of a process. */
  answered(): void {
    this.answers++;
    if (this.#kills >= KILLS || this.answers < (this.#kills + 1) * 30) return;
    this.#kills++;
    const killed = child;
    if (killed === undefined) return;
    const exited = once(killed, 'exit');
    killed.kill('SIGKILL');
    this.address = exited.then(() => this.#start());
  }

  async stop(): Promise<void> {
    const exited = child === undefined ? undefined : once(child, 'exit');
    child?.kill('SIGKILL');
    await exited;
  }

  get kills(): number {
    return this.#kills;
  }

  /** Until it is answered. */
  async send(request: number): Promise<Answer> {
    for (;;) {
      const address = await this.address;
      try {
        const answer = await (request % 2 === 0
          ? produce(address, request)
          : hook(address, request));
        if (answer !== undefined) return answer;
      } catch (error) {
        // Gone in the middle of it.
        if (!(error instanceof TypeError)) throw error;
      }
    }
  }
}

async function produce(address: string, request: number): Promise<Answer | undefined> {
  const answer = await fetch(`http://${address}/topics/orders/records`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': `"order-${request}"` },
    body: JSON.stringify(
      Array.from({ length: 3 }, (_, index) => ({
        value: `${request} ${index} ${request % 10 === 0 ? LARGE : ''}`,
      })),
    ),
  });
  const body = await answer.text();
  if (answer.status === 503) return undefined;
  expect([answer.status, body]).toEqual([200, expect.any(String)]);
  return { isKnown: answer.headers.get('idempotent-replayed') === 'true', body };
}

async function hook(address: string, request: number): Promise<Answer | undefined> {
  const answer = await fetch(`http://${address}/webhooks/shop`, {
    method: 'POST',
    headers: { 'x-webhook-token': 'token', 'webhook-id': `hook-${request}` },
    body: String(request),
  });
  const { id, known } = (await answer.json()) as { readonly id: string; readonly known: boolean };
  if (answer.status === 503) return undefined;
  expect([answer.status, id]).toEqual([200, `hook-${request}`]);
  return { isKnown: known, body: id };
}

async function valuesOf(topic: string): Promise<string[]> {
  await using millrace = await openMillrace({ dir });
  const values: string[] = [];
  for await (const { value } of millrace.consume(topic, { until: 'now' }))
    values.push(String(value));
  return values.toSorted();
}

test('what is sent again is written once, whatever was killed between', async () => {
  const taker = new Taker();
  const answers = new Map<number, Answer>();
  let next = 0;
  const sender = async (): Promise<void> => {
    while (next < REQUESTS) {
      const request = next++;
      answers.set(request, await taker.send(request));
      taker.answered();
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  expect(taker.kills).toBe(KILLS);
  // Those who did not hear the answer come once more.
  await Promise.all(
    [...answers].map(async ([request, { body }]) => {
      expect(await taker.send(request)).toEqual({ isKnown: true, body });
    }),
  );
  await taker.stop();
  const all = Array.from({ length: REQUESTS }, (_, request) => request);
  expect(await valuesOf('hooks')).toEqual(
    all
      .filter((request) => request % 2 === 1)
      .map(String)
      .toSorted(),
  );
  expect((await valuesOf('orders')).map((value) => JSON.parse(value) as string)).toEqual(
    all
      .filter((request) => request % 2 === 0)
      .flatMap((request) =>
        [0, 1, 2].map((index) => `${request} ${index} ${request % 10 === 0 ? LARGE : ''}`),
      )
      .toSorted(),
  );
});
