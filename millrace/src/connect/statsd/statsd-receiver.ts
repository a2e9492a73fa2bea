/**
 * StatsD into a topic: each metric a record of JSON, under its name as the key.
 *
 *     datagram → metrics → queue, bounded → written together, every 100 ms → topic
 *
 * At most once: nobody acknowledges a datagram, so what the network, the system or the queue has no room for is gone, as is what the log
 * refuses, and what waits when the process dies. What is known to be gone is counted.
 *
 * @hot Nothing is awaited per metric.
 */
import { type ByteRecord, GroupedProducer } from '../../client/grouped-producer.ts';
import type { Log } from '../../client/log.ts';
import { Background } from '../../core/background.ts';
import {
  STATSD_FLUSH_MS,
  STATSD_QUEUE_BYTES_MAX,
  STATSD_RECEIVE_BYTES,
  STATSD_RETRY_MS,
  STATSD_TELL_MS,
  STATSD_WRITE_RECORDS,
} from '../../core/direct-limits.ts';
import type { DatagramSocket, Timer } from '../../core/env.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import { refuseOpenBind } from '../../core/open-bind.ts';
import { parseStatsdLine, type StatsdMetric } from './statsd-line.ts';

export interface StatsdOptions {
  /** Where metrics are written; made when it does not exist. */
  readonly topic: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0: the system chooses. Default 8125. */
  readonly port?: number;
  /** Allows to listen beyond this machine, where everybody who reaches the port can write metrics. Default false. */
  readonly insecure?: boolean;
  /** Of metrics that wait to be written: beyond it they are dropped. Default 16 MiB. */
  readonly queueBytesMax?: number;
}

/** All since it was opened. */
export interface StatsdStats {
  readonly datagrams: number;
  /** Metrics that were understood. */
  readonly metrics: number;
  /** Of them, those that are on the disk. */
  readonly written: number;
  /** Metrics for which the queue had no room. */
  readonly droppedFull: number;
  /** Metrics that the log refused. */
  readonly droppedFailed: number;
  /** Lines that are no metrics. */
  readonly malformed: number;
  /** Events and service checks of DogStatsD. */
  readonly unsupported: number;
  /** Datagrams that the system had no room for; undefined where it does not tell (it does on Linux). */
  readonly lostBySystem: number | undefined;
  /** What the system keeps of datagrams while the process is busy: net.core.rmem_max is its bound on Linux. */
  readonly receiveBytes: number;
}

export interface StatsdReceiver {
  readonly host: string;
  readonly port: number;
  readonly topic: string;
  stats(): StatsdStats;
  /** Receives no more, and writes what has come. Idempotent. */
  close(): Promise<void>;
}

const LINE_FEED = '\n';
const NO_HEADERS: ByteRecord['headers'] = [];
/** Room of a record besides its text. */
const RECORD_BYTES = 128;

/** @throws {MillraceError} ML_INSECURE_BIND, ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE, ML_PERMISSION */
export async function openStatsd(
  log: Log,
  options: StatsdOptions,
  logger: Logger = silentLogger,
): Promise<StatsdReceiver> {
  const { host = '127.0.0.1', port = 8125, insecure = false } = options;
  if (!insecure) refuseOpenBind(host);
  const receiver = new TopicStatsd(log, options, logger);
  await receiver.open(host, port);
  return receiver;
}

class TopicStatsd implements StatsdReceiver {
  readonly topic: string;
  readonly #log: Log;
  readonly #logger: Logger;
  readonly #queueBytesMax: number;
  readonly #producer: GroupedProducer;
  readonly #background = new Background(() => {});
  readonly #emit = (metric: StatsdMetric): void => this.#take(metric);
  readonly #counts = {
    datagrams: 0,
    metrics: 0,
    written: 0,
    droppedFull: 0,
    droppedFailed: 0,
    malformed: 0,
    unsupported: 0,
  };
  #socket: DatagramSocket | undefined;
  #queue: ByteRecord[] = [];
  #queueBytes = 0;
  /** Of the topic, as far as it is known. */
  #partitions = 1;
  #isWriting = false;
  #flush: Timer | undefined;
  #tell: Timer | undefined;
  #told = 0;
  /** Why the log has refused some, since it was told last. */
  #error: unknown;
  #lost: number | undefined;
  #nowMs = 0;
  #closing: Promise<void> | undefined;

  constructor(log: Log, { topic, queueBytesMax }: StatsdOptions, logger: Logger) {
    this.topic = topic;
    this.#log = log;
    this.#logger = logger;
    this.#queueBytesMax = queueBytesMax ?? STATSD_QUEUE_BYTES_MAX;
    this.#producer = new GroupedProducer(log);
  }

  get host(): string {
    return this.#socket?.host ?? '';
  }

  get port(): number {
    return this.#socket?.port ?? 0;
  }

  async open(host: string, port: number): Promise<void> {
    this.#partitions = await this.#askPartitions();
    const options = { host, port, receiveBytes: STATSD_RECEIVE_BYTES };
    this.#socket = await this.#log.env.net.datagrams(options, (datagram) =>
      this.#receive(datagram),
    );
    this.#tellLater();
  }

  stats(): StatsdStats {
    // A socket that is closed has no counters any more.
    if (this.#closing === undefined) this.#lost = this.#socket?.lost();
    return {
      ...this.#counts,
      lostBySystem: this.#lost,
      receiveBytes: this.#socket?.receiveBytes ?? 0,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#lost = this.#socket?.lost();
    this.#flush?.cancel();
    this.#tell?.cancel();
    await this.#socket?.close();
    this.#writeQueue();
    await this.#background.settled();
    await this.#producer.close();
    this.#tellDrops();
  }

  #receive(datagram: Buffer): void {
    this.#counts.datagrams++;
    this.#nowMs = this.#log.env.clock.nowMs();
    const text = datagram.toString('utf8');
    let from = 0;
    while (from < text.length) {
      let end = text.indexOf(LINE_FEED, from);
      if (end < 0) end = text.length;
      const last = text.charCodeAt(end - 1) === 0x0d ? end - 1 : end;
      if (last > from) this.#line(text.slice(from, last));
      from = end + 1;
    }
    if (this.#queue.length > 0 && !this.#isWriting)
      this.#flush ??= this.#log.env.timers.after(STATSD_FLUSH_MS, () => this.#writeQueue());
  }

  #line(line: string): void {
    const result = parseStatsdLine(line, this.#emit);
    if (result !== 'metrics') this.#counts[result]++;
  }

  #take(metric: StatsdMetric): void {
    this.#counts.metrics++;
    const { timestamp: saidMs = this.#nowMs, ...rest } = metric;
    // The log refuses what is far ahead of its clock, and all that is written with it.
    const timestamp = Math.min(saidMs, this.#nowMs);
    const value = JSON.stringify(rest);
    const bytes = RECORD_BYTES + value.length;
    if (this.#queueBytes + bytes > this.#queueBytesMax) {
      this.#counts.droppedFull++;
      return;
    }
    this.#queueBytes += bytes;
    const { name: key } = metric;
    const partition = this.#producer.partitionFor(key, this.#partitions);
    this.#queue.push({ partition, timestamp, key, value, headers: NO_HEADERS });
  }

  #writeQueue(): void {
    this.#flush = undefined;
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#background.run('write metrics', this.#write());
  }

  async #write(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const records = this.#queue.slice(0, STATSD_WRITE_RECORDS);
        const isWritten = await this.#append(records);
        this.#queue = this.#queue.slice(records.length);
        for (const { value } of records) this.#queueBytes -= RECORD_BYTES + (value?.length ?? 0);
        if (isWritten) continue;
        if (this.#closing !== undefined) return;
        await this.#log.env.timers.sleep(STATSD_RETRY_MS);
      }
    } finally {
      this.#isWriting = false;
    }
  }

  /** Never rejects. */
  async #append(records: readonly ByteRecord[]): Promise<boolean> {
    try {
      this.#partitions = await this.#askPartitions();
      await this.#producer.append(this.topic, records);
      this.#counts.written += records.length;
      return true;
    } catch (error) {
      this.#counts.droppedFailed += records.length;
      this.#error = error;
      return false;
    }
  }

  #askPartitions(): Promise<number> {
    return this.#producer.partitionsOf({ name: this.topic, partitions: undefined, configs: {} });
  }

  #tellLater(): void {
    this.#tell = this.#log.env.timers.after(STATSD_TELL_MS, () => {
      this.#tellDrops();
      this.#tellLater();
    });
  }

  #tellDrops(): void {
    const stats = this.stats();
    const { droppedFull, droppedFailed, malformed, lostBySystem } = stats;
    const gone = droppedFull + droppedFailed + malformed + (lostBySystem ?? 0);
    if (gone === this.#told) return;
    this.#told = gone;
    this.#logger.warn('metrics were dropped', {
      topic: this.topic,
      droppedFull,
      droppedFailed,
      malformed,
      lostBySystem,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    });
    this.#error = undefined;
  }
}
