/** A broker on a simulated machine: virtual time, a disk that can lose power, no sockets. */
import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open-broker.ts';
import { parseSettings } from '../../src/broker/settings.ts';
import type { Topic } from '../../src/broker/topics.ts';
import type { Env } from '../../src/core/env.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import { encodeBatch } from '../../src/wire/kafka/records/record-batch-builder.ts';
import { produce, type Produced } from '../../src/broker/produce.ts';

export const DATA = '/data/broker';

export function openSimBroker(
  env: Env,
  settings: Readonly<Record<string, unknown>> = {},
  logger: CollectingLogger = new CollectingLogger(),
): Promise<Broker> {
  return openBroker(env, {
    dataDir: DATA,
    settings: parseSettings(settings),
    logger,
    store: {
      journalFileBytes: 1024 * 1024,
      journalBytesMax: 16 * 1024 * 1024,
      reserveBytes: 65_536,
    },
    // A cut of the power also looks like a failing disk to what is dying.
    onFatal: (error) => {
      if (!(error instanceof SimPowerCut)) throw error;
    },
  });
}

/** Runs `program` with a broker on a fresh machine, and closes it. */
export async function withSimBroker(
  program: (broker: Broker, env: Env) => Promise<void>,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  await machine.run(
    (async () => {
      const broker = await openSimBroker(env, settings);
      await program(broker, env);
      await broker.close();
    })(),
  );
}

export async function createTopic(
  broker: Broker,
  name: string,
  options: { readonly partitions?: number; readonly config?: Record<string, string> } = {},
): Promise<Topic> {
  const created = await broker.topics.create({
    name,
    partitions: options.partitions ?? 1,
    overrides: options.config ?? {},
  });
  if (!created.ok) throw new Error(`${created.error}: ${created.message}`);
  return created.value;
}

/** Appends one batch with one record, and waits until it is durable. */
export async function produceValue(
  broker: Broker,
  topic: Topic,
  value: string | Buffer,
  partition = 0,
): Promise<Extract<Produced, { ok: true }>> {
  const nowMs = broker.env.clock.nowMs();
  const batch = encodeBatch([{ timestamp: nowMs, key: 'key', value }]);
  const produced = produce(topic, partition, batch, { allowZstd: true, nowMs });
  if (!produced.ok) throw new Error(`${produced.error}: ${produced.message}`);
  await produced.log.whenDurable(produced.endOffset);
  return produced;
}
