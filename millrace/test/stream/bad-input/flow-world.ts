/** Flows on a broker on a simulated machine, where waiting costs nothing: what they write, their dead letters, and what stops them. */
import { visibleBatches } from '../../../src/client/kafka/fetched-records.ts';
import { Cluster } from '../../../src/client/kafka/cluster.ts';
import type { RecordBytes } from '../../../src/client/log.ts';
import { IN_PROCESS_ADDRESS } from '../../../src/client/port-log.ts';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { type EmbeddedLog, openEmbedded } from '../../../src/embedded-log.ts';
import type {
  FlowEvent,
  RunFlowOptions,
  RunningFlow,
} from '../../../src/engine/stream/runner/flow-types.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import type { DeadLetter } from '../../../src/flow/plan.ts';
import { messages } from '../../../src/wire/kafka/registry.ts';
import type { Flow } from '../../../src/index.ts';

/** When records are, unless they say so themselves. */
export const NOW_MS = Date.UTC(2026, 0, 1);

export interface Given {
  readonly key?: RecordBytes | null;
  readonly value: RecordBytes | null;
  readonly time?: number;
}

export interface Line {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

export class FlowWorld {
  readonly log: EmbeddedLog;
  readonly events: FlowEvent[] = [];

  constructor(log: EmbeddedLog) {
    this.log = log;
  }

  create(name: string, partitions: number, configs: Record<string, string> = {}): Promise<void> {
    return this.log.createTopics([{ name, partitions, configs }]);
  }

  start(program: Flow, options: Partial<RunFlowOptions> = {}): RunningFlow {
    return runFlow({
      log: this.log,
      plan: program.plan(),
      dataDirectory: '/data',
      state: 'memory',
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  /** Appends records as they are, and returns when the log has them. */
  async send(topic: string, partition: number, records: readonly Given[]): Promise<void> {
    const producer = await this.log.producer({});
    for (const { key, value, time } of records)
      producer.append(topic, partition, time ?? NOW_MS, key ?? null, value);
    await producer.flush();
    await producer.close();
  }

  /** All that can be read of a topic, which may not be there; by partition and offset. */
  async read(topic: string): Promise<Line[]> {
    const { log } = this;
    const count = (await log.topics([topic])).get(topic)?.partitions ?? 0;
    const lines: Line[] = [];
    for (let partition = 0; partition < count; partition++) {
      const at = { topic, partition };
      const [from = 0] = await log.offsets([at], 'beginning');
      const [end = 0] = await log.offsets([at], 'stable');
      const reader = log.reader({ uncommitted: false });
      reader.assign([{ ...at, offset: from }]);
      for (let next = from; next < end; ) {
        for (const records of await reader.poll(1_000)) {
          for (const batch of visibleBatches(records)) {
            while (batch.next()) {
              const { data, offset, keyStart, keyEnd, valueStart, valueEnd } = batch;
              if (offset < records.from) continue;
              const key = keyStart < 0 ? null : data.toString('utf8', keyStart, keyEnd);
              const value = valueStart < 0 ? null : data.toString('utf8', valueStart, valueEnd);
              lines.push({ partition, offset, key, value });
            }
          }
          next = records.next;
        }
      }
      reader.close();
    }
    return lines;
  }

  /** The values of a topic, as soon as there are so many. */
  async values(topic: string, count: number): Promise<string[]> {
    for (;;) {
      const lines = await this.read(topic);
      if (lines.length >= count) return lines.map(({ value }) => value ?? 'null');
      await this.log.env.timers.sleep(1_000);
    }
  }

  async letters(topic: string, count: number): Promise<DeadLetter[]> {
    const values = await this.values(topic, count);
    return values.map((value) => JSON.parse(value) as DeadLetter);
  }
}

/** Runs `program` in virtual time; one that waits for what never comes is an error. */
export function inWorld<Result>(program: (world: FlowWorld) => Promise<Result>): Promise<Result> {
  const machine = new SimMachine(1);
  const all = async (env: Env): Promise<Result> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    const result = await program(new FlowWorld(log));
    await log.close();
    return result;
  };
  return machine.run(all(machine.boot()));
}

/** What stops a flow. */
export async function failureOf(running: {
  readonly done: Promise<unknown>;
}): Promise<MillraceError> {
  try {
    await running.done;
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error('nothing stopped it');
}

/** Raises the number of partitions of a topic. */
export async function addPartitions(log: EmbeddedLog, name: string, count: number): Promise<void> {
  const cluster = await Cluster.connect(log.env, [IN_PROCESS_ADDRESS], {
    clientId: 'test',
    connect: async () => log.connect(),
  });
  const topics = [{ name, count, assignments: null }];
  const { results } = await cluster.call(messages[37], {
    topics,
    timeoutMs: 10_000,
    validateOnly: false,
  });
  for (const { errorCode } of results) if (errorCode !== 0) throw new Error(`error ${errorCode}`);
  await cluster.close();
}
