/** A broker on a directory of its own, on a free port, that is gone after the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type RunningBroker, startBroker } from '../../src/broker.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import { RawClient } from './raw-client.ts';

export interface TestBroker {
  readonly broker: RunningBroker;
  readonly logger: CollectingLogger;
  readonly dir: string;
  /** A connection that is closed after the test. */
  readonly connect: () => Promise<RawClient>;
  /** Stops the broker and starts it again on the same directory, on another port. */
  readonly restart: () => Promise<void>;
}

/** For the test that calls it. */
export async function testBroker(
  settings: Readonly<Record<string, string | number | boolean>> = {},
): Promise<TestBroker> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-test-'));
  const logger = new CollectingLogger();
  const start = (): Promise<RunningBroker> =>
    startBroker({ data: dir, kafka: { port: 0 }, settings, logger });
  const clients: RawClient[] = [];
  const state = { broker: await start() };
  onTestFinished(async () => {
    for (const client of clients) client.close();
    await state.broker.close();
    await rm(dir, { recursive: true, force: true });
  });
  return {
    get broker() {
      return state.broker;
    },
    logger,
    dir,
    connect: async () => {
      const client = await RawClient.open(state.broker.port);
      clients.push(client);
      return client;
    },
    restart: async () => {
      await state.broker.close();
      state.broker = await start();
    },
  };
}
