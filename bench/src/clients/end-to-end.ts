/**
 * End-to-end latency at a fixed rate: from the moment a record was due to be sent to the moment a consumer that waits
 * for it has it. Open loop: when the broker is slow the schedule does not wait for it, so that the wait is counted.
 *
 * One connection produces (acks=all, records due since the last turn in one batch, as a client with a linger of a
 * millisecond would), another one fetches with long polls. Both sides run in this process, on one clock.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchFailure } from '../failure.ts';
import { encodeBatch, forEachValue, skipBatches } from './record-batch.ts';
import type { Address } from './receiving-socket.ts';
import { WireConnection } from './wire-connection.ts';
import { fetchRecords, produce, produceBody } from './wire-requests.ts';

export interface EndToEndOptions {
  readonly address: Address;
  /** An empty topic; partition 0 is used. */
  readonly topic: string;
  readonly recordsPerSecond: number;
  /** At least 8: the record carries the time it was due. */
  readonly recordBytes: number;
  readonly warmupMs: number;
  readonly measureMs: number;
}

const TURN_MS = 1;
/** As `max.in.flight.requests.per.connection`: beyond it, due records wait and go together in the next batch. */
const IN_FLIGHT_MAX = 5;
const FETCH_WAIT_MS = 500;
const FETCH_BYTES = 4 << 20;
/** How long to wait for the last records once all were sent. */
const DRAIN_TIMEOUT_MS = 20_000;

/**
 * Latencies in milliseconds of every record that was due in the measured time, in the order they were consumed.
 * @throws {BenchFailure} when records do not arrive
 */
export async function endToEndLatencies(options: EndToEndOptions): Promise<number[]> {
  const producer = await WireConnection.open(options.address);
  const consumer = await WireConnection.open(options.address);
  try {
    const startMs = performance.now() + 100;
    const total = Math.floor(
      (options.recordsPerSecond * (options.warmupMs + options.measureMs)) / 1000,
    );
    const warm = Math.floor((options.recordsPerSecond * options.warmupMs) / 1000);
    const consuming = consume(consumer, options.topic, total);
    const producing = sendOnSchedule(producer, options, { startMs, total });
    const [latencies] = await Promise.all([consuming, producing]);
    return latencies.slice(warm);
  } finally {
    producer.close();
    consumer.close();
  }
}

async function sendOnSchedule(
  connection: WireConnection,
  options: EndToEndOptions,
  plan: { readonly startMs: number; readonly total: number },
): Promise<void> {
  const gapMs = 1000 / options.recordsPerSecond;
  const inFlight = new Set<Promise<void>>();
  let sent = 0;
  while (sent < plan.total) {
    const nowMs = performance.now();
    const values: Buffer[] = [];
    for (; sent < plan.total && plan.startMs + sent * gapMs <= nowMs; sent++) {
      const value = Buffer.alloc(options.recordBytes);
      value.writeDoubleBE(plan.startMs + sent * gapMs, 0);
      values.push(value);
    }
    if (values.length > 0) {
      const batch = encodeBatch(values, Date.now());
      const ack = produce(connection, produceBody(options.topic, [{ partition: 0, batch }]));
      inFlight.add(ack);
      // A failure is seen by the race or by the wait for all below.
      ack.then(() => inFlight.delete(ack)).catch(() => undefined);
    }
    if (inFlight.size < IN_FLIGHT_MAX) await sleep(TURN_MS);
    else await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
}

async function consume(
  connection: WireConnection,
  topic: string,
  total: number,
): Promise<number[]> {
  const latencies: number[] = [];
  let offset = 0;
  let lastArrivalMs = performance.now();
  while (latencies.length < total) {
    const [fetched] = await fetchRecords(connection, {
      topic,
      partitions: [{ partition: 0, offset }],
      waitMs: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      partitionMaxBytes: FETCH_BYTES,
    });
    const arrivedMs = performance.now();
    const records = fetched?.records ?? Buffer.alloc(0);
    if (records.length > 0) {
      forEachValue(records, offset, (value) => {
        latencies.push(arrivedMs - value.readDoubleBE(0));
      });
      offset = skipBatches(records, offset);
      lastArrivalMs = arrivedMs;
    } else if (arrivedMs - lastArrivalMs > DRAIN_TIMEOUT_MS) {
      throw new BenchFailure(`only ${latencies.length} of ${total} records arrived`);
    }
  }
  return latencies;
}
