/** `millrace consume`: records become lines of stdout. */
import type { Clock, Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { CLI_FETCH_FEW_BYTES } from '../core/limits.ts';
import { realEnv } from '../core/real-env.ts';
import { brokersOf, withCluster } from './brokers.ts';
import { DataOutput, say } from './io.ts';
import { ConsumerShare, type Share } from '../client/consumer-share.ts';
import type { Cluster, Topic } from '../client/kafka/cluster.ts';
import { visibleBatches, type FetchedRecords } from '../client/kafka/fetched-records.ts';
import { connectKafka } from '../client/kafka/kafka-log.ts';
import { KafkaLogReader } from '../client/kafka/log-reader.ts';
import type { Log } from '../client/log.ts';
import { wholeNumber } from './numbers.ts';
import { partitionsOf, rangesOf, type Reading } from '../client/kafka/offset-ranges.ts';
import { offsetsAt } from './offsets.ts';
import { parsePosition, type Position } from './positions.ts';
import { Progress } from './progress.ts';
import { jsonRenderer, textRenderer, type Render } from './render.ts';

export interface ConsumeOptions {
  readonly brokers?: string;
  readonly json?: boolean;
  readonly from?: string;
  readonly until?: string;
  readonly partition?: string;
  readonly group?: string;
  readonly count?: string;
  readonly keys?: boolean;
  readonly uncommitted?: boolean;
}

/** What the command line says, understood. */
interface Ask {
  readonly topic: string;
  readonly from: Position;
  /** undefined = go on for ever. */
  readonly until: Position | undefined;
  readonly partition: number | undefined;
  readonly group: string | undefined;
  readonly count: number;
  readonly uncommitted: boolean;
}

const POLL_MS = 1000;
/** How often a group member commits what it has printed. */
const COMMIT_INTERVAL_MS = 1000;
/** Up to this many records are asked for in small portions. */
const FEW_RECORDS = 1000;
/** What was printed is committed before the group deals out anew, and before the member leaves. */
const NOTHING_TAKEN: ReadonlyMap<number, number> = new Map();

export async function consume(topic: string, options: ConsumeOptions): Promise<void> {
  const env = realEnv();
  const ask = understand(topic, options, env);
  const render = options.json ? jsonRenderer(topic) : textRenderer(options.keys ?? false);
  await withCluster(options.brokers, async (cluster) => {
    const progress = new Progress(env, 'consumed', process.stdout.isTTY);
    const printer = new Printer(render, progress, ask.count);
    const interrupt = new Interrupt();
    if (ask.until === undefined && ask.count === Infinity && process.stdout.isTTY)
      say(`reading ${topic}; Ctrl-C stops, --until end would stop by itself`);
    try {
      const { group } = ask;
      if (group === undefined) await readAlone(cluster, ask, printer, interrupt);
      else {
        const brokers = brokersOf(options.brokers);
        const log = await connectKafka(env, brokers === undefined ? {} : { brokers });
        try {
          await readAsMember(cluster, log, { ...ask, group }, { printer, interrupt });
        } finally {
          await log.close();
        }
      }
    } finally {
      interrupt.forget();
      progress.finish();
    }
  });
}

function understand(topic: string, options: ConsumeOptions, env: Env): Ask {
  const { group, from, until, partition, count } = options;
  if (group !== undefined && (from !== undefined || partition !== undefined)) {
    throw new MillraceError(
      'ML_USAGE',
      '--group goes on where the group stands: it takes no --from and no --partition',
      {
        hint: `Move the group with: millrace group reset ${group} --topic ${topic} --to beginning`,
      },
    );
  }
  return {
    topic,
    from: parsePosition('--from', from ?? 'beginning', env.clock),
    until: until === undefined ? undefined : parsePosition('--until', until, env.clock),
    partition: partition === undefined ? undefined : wholeNumber('--partition', partition),
    group,
    count: count === undefined ? Infinity : wholeNumber('--count', count, 1),
    uncommitted: options.uncommitted ?? false,
  };
}

/** Ctrl-C, and SIGTERM: the first ends the reading in order, a second one the process. */
class Interrupt {
  happened = false;
  readonly promise: Promise<void>;
  /** Called when it happens. */
  wake: () => void = () => {};
  #resolve: () => void = () => {};
  readonly #onSignal = (): void => {
    this.happened = true;
    this.forget();
    this.#resolve();
    this.wake();
  };

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
  }

  /** Signals end the process again. */
  forget(): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
  }
}

/** Prints records, up to as many as were asked for. */
class Printer {
  readonly #render: Render;
  readonly #progress: Progress;
  readonly #output = new DataOutput();
  #left: number;

  constructor(render: Render, progress: Progress, count: number) {
    this.#render = render;
    this.#progress = progress;
    this.#left = count;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  /** Prints the records below `stop`. @returns the offset to go on with */
  async print(fetched: FetchedRecords, stop: number): Promise<number> {
    for (const record of visibleBatches(fetched)) {
      while (record.next()) {
        if (record.offset < fetched.from) continue;
        if (record.offset >= stop) return stop;
        this.#render(this.#output, record, fetched.partition);
        this.#progress.add(
          1,
          record.keyEnd - record.keyStart + record.valueEnd - record.valueStart,
        );
        this.#left--;
        if (this.#left === 0) return record.offset + 1;
        if (this.#output.isFull) await this.flush();
      }
    }
    return Math.min(fetched.next, stop);
  }

  /** What was printed is with the system: only now may it be committed. */
  async flush(): Promise<void> {
    await this.#output.flush();
  }
}

async function readAlone(
  cluster: Cluster,
  ask: Ask,
  printer: Printer,
  interrupt: Interrupt,
): Promise<void> {
  const reading = await readingOf(cluster, ask);
  const ranges = await rangesOf(cluster, reading);
  const start = await offsetsAt(cluster, reading, ranges, ask.from);
  const stops = await stopsOf(cluster, reading, ask.until);
  const reader = new PartitionReader(cluster, ask, { topic: reading.topic, start, stops });
  interrupt.wake = () => reader.wake();
  try {
    while (!reader.isDone && !printer.isDone && !interrupt.happened) await reader.step(printer);
  } finally {
    reader.close();
  }
}

async function readAsMember(
  cluster: Cluster,
  log: Log,
  ask: Ask & { readonly group: string },
  parts: { readonly printer: Printer; readonly interrupt: Interrupt },
): Promise<void> {
  const { interrupt } = parts;
  const reading = await readingOf(cluster, ask);
  const stops = await stopsOf(cluster, reading, ask.until);
  const onRebalance = (): void => interrupt.wake();
  const member = new ConsumerShare(log, { group: ask.group, topic: ask.topic, onRebalance });
  try {
    for (;;) {
      const share = await Promise.race([member.join(NOTHING_TAKEN), interrupt.promise]);
      if (share === undefined) return;
      const start = await startOf(cluster, share, reading);
      const reader = new PartitionReader(cluster, ask, { topic: reading.topic, start, stops });
      interrupt.wake = () => reader.wake();
      try {
        if (await readGeneration(reader, member, { ...parts, ask, clock: cluster.env.clock }))
          return;
      } finally {
        reader.close();
      }
    }
  } finally {
    await member.leave(NOTHING_TAKEN);
  }
}

/** Reads, and commits what was printed. @returns false when the group deals out anew */
async function readGeneration(
  reader: PartitionReader,
  member: ConsumerShare,
  parts: {
    readonly ask: Ask;
    readonly clock: Clock;
    readonly printer: Printer;
    readonly interrupt: Interrupt;
  },
): Promise<boolean> {
  const { ask, clock, printer, interrupt } = parts;
  for (let committedMs = clock.monotonicMs(); ; await reader.step(printer)) {
    const isAtEnd = ask.until !== undefined && reader.isDone;
    const isOver = isAtEnd || printer.isDone || interrupt.happened;
    const isDue = clock.monotonicMs() - committedMs >= COMMIT_INTERVAL_MS;
    if (isOver || isDue || member.isRebalancing) {
      await member.commitOrRejoin(reader.takePrinted());
      committedMs = clock.monotonicMs();
    }
    if (isOver) return true;
    if (member.isRebalancing) return false;
  }
}

async function readingOf(cluster: Cluster, ask: Ask): Promise<Reading> {
  const topic = await cluster.topic(ask.topic);
  const all = partitionsOf(topic);
  if (ask.partition !== undefined && !all.includes(ask.partition)) {
    throw new MillraceError('ML_USAGE', `topic ${ask.topic} has no partition ${ask.partition}`, {
      hint: `It has ${all.length}, counted from 0`,
    });
  }
  const partitions = ask.partition === undefined ? all : [ask.partition];
  return { topic, partitions, uncommitted: ask.uncommitted };
}

async function stopsOf(
  cluster: Cluster,
  reading: Reading,
  until: Position | undefined,
): Promise<ReadonlyMap<number, number> | undefined> {
  if (until === undefined) return undefined;
  return offsetsAt(cluster, reading, await rangesOf(cluster, reading), until);
}

/** Where a member begins: where the group stands; at the beginning where it stands nowhere, or nowhere that still exists. */
async function startOf(
  cluster: Cluster,
  { partitions, committed }: Share,
  reading: Reading,
): Promise<Map<number, number>> {
  const ranges = await rangesOf(cluster, { ...reading, partitions, uncommitted: true });
  return new Map(
    ranges.map(({ partition, beginning, end }) => {
      const offset = committed.get(partition) ?? -1;
      return [partition, offset >= beginning && offset <= end ? offset : beginning];
    }),
  );
}

/** Reads partitions from where each starts to where each stops. */
class PartitionReader {
  readonly #topic: string;
  readonly #reader: KafkaLogReader;
  readonly #next: Map<number, number>;
  readonly #stops: ReadonlyMap<number, number> | undefined;
  readonly #printed = new Map<number, number>();
  /** Partitions that have not reached their stop. */
  readonly #open: Set<number>;

  constructor(
    cluster: Cluster,
    ask: Ask,
    plan: {
      readonly topic: Topic;
      readonly start: ReadonlyMap<number, number>;
      readonly stops: ReadonlyMap<number, number> | undefined;
    },
  ) {
    this.#stops = plan.stops;
    this.#next = new Map(plan.start);
    this.#open = new Set(plan.start.keys());
    this.#topic = plan.topic.name;
    const few = { bytesMax: CLI_FETCH_FEW_BYTES, partitionBytesMax: CLI_FETCH_FEW_BYTES };
    this.#reader = new KafkaLogReader(cluster, {
      uncommitted: ask.uncommitted,
      ...(ask.count <= FEW_RECORDS ? few : {}),
    });
    this.#reader.assign(
      [...plan.start].map(([partition, offset]) => ({ topic: this.#topic, partition, offset })),
    );
    for (const partition of plan.start.keys()) this.#closeIfDone(partition);
  }

  get isDone(): boolean {
    return this.#open.size === 0;
  }

  /** Makes a `step` that waits return. */
  wake(): void {
    this.#reader.wake();
  }

  close(): void {
    this.#reader.close();
  }

  /** Prints what arrives next. */
  async step(printer: Printer): Promise<void> {
    for (const fetched of await this.#reader.poll(POLL_MS)) {
      const { partition } = fetched;
      const isEmpty = fetched.next === fetched.from;
      if (isEmpty || !this.#open.has(partition) || printer.isDone) continue;
      const next = await printer.print(fetched, this.#stops?.get(partition) ?? Infinity);
      this.#next.set(partition, next);
      this.#printed.set(partition, next);
      this.#closeIfDone(partition);
    }
    await printer.flush();
  }

  /** The offsets to commit for what was printed since the last call. */
  takePrinted(): Map<number, number> {
    const printed = new Map(this.#printed);
    this.#printed.clear();
    return printed;
  }

  #closeIfDone(partition: number): void {
    const stop = this.#stops?.get(partition);
    if (stop === undefined || (this.#next.get(partition) ?? 0) < stop) return;
    this.#open.delete(partition);
    this.#reader.unassign([{ topic: this.#topic, partition }]);
  }
}
