/**
 * End to end: from the moment a bid is due to be sent to the moment a reader of committed records has it, through a pass-through that
 * commits at its interval. Open loop: the schedule does not wait for a slow side.
 */
import { crc32c } from '@node-rs/crc32';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../clients/receiving-socket.ts';
import { WireConnection } from '../clients/wire-connection.ts';
import { fetchRecords, listOffsets, produce, produceBody } from '../clients/wire-requests.ts';
import { BenchFailure } from '../failure.ts';
import { tail, watchCores } from '../process.ts';
import { CommittedRows } from './committed-content.ts';
import { OUTPUT, type RunningSide, type SideContext, startSide } from './sides.ts';
import type { SideName } from './side-names.ts';
import { StreamBatch } from './stream-batch.ts';
import { PARTITIONS } from './topics-data.ts';
import { whenReachable } from './watch-run.ts';

export interface LatencyFigures {
  readonly side: SideName;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly records: number;
  readonly othersCores: number;
}

export interface LatencyOptions {
  /** Bids per second. */
  readonly rate: number;
  readonly seconds: number;
  readonly commitMs: number;
  readonly state: 'disk' | 'memory';
}

const TURN_MS = 2;
/** The JVM compiles meanwhile, and groups settle. */
const WARM_UP_MS = 8_000;
const DRAIN_MS = 20_000;
const BATCH_BYTES = 256 * 1024;
const FETCH_WAIT_MS = 500;
const FETCH_BYTES = 8 << 20;
const EXTRA = 'x'.repeat(68);

export async function measureLatency(
  name: SideName,
  context: SideContext,
  options: LatencyOptions,
): Promise<LatencyFigures> {
  const side = await startSide(name, context, {
    query: 'pass-through',
    state: options.state,
    commitIntervalMs: options.commitMs,
  });
  try {
    await whenReachable(side);
    const fromMs = Date.now() + WARM_UP_MS;
    const toMs = fromMs + options.seconds * 1000;
    const cores = watchCores();
    const due = Math.floor((options.rate * (toMs - fromMs)) / 1000);
    const reading = readLatencies(side, { fromMs, toMs, count: due });
    await send(side.address, options.rate, toMs);
    const latencies = (await reading).sort((left, right) => left - right);
    return {
      side: name,
      p50Ms: latencies[Math.floor(latencies.length / 2)] ?? Number.NaN,
      p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN,
      records: latencies.length,
      othersCores: cores().others,
    };
  } finally {
    await side.stop();
  }
}

/** Sends what is due until `toMs`. */
async function send(address: Address, rate: number, toMs: number): Promise<void> {
  const connection = await WireConnection.open(address);
  const batch = new StreamBatch(BATCH_BYTES);
  try {
    const startMs = Date.now();
    let sent = 0;
    let turn = 0;
    const sending: Promise<void>[] = [];
    for (;;) {
      const nowMs = Math.min(Date.now(), toMs);
      for (; startMs + (sent * 1000) / rate <= nowMs; sent++) {
        const dateTime = Math.floor(startMs + (sent * 1000) / rate);
        const bid = { auction: sent, bidder: sent, price: 1, dateTime, extra: EXTRA };
        batch.add(null, JSON.stringify(bid), dateTime);
      }
      if (batch.count > 0) {
        const partition = turn++ % PARTITIONS;
        sending.push(
          produce(connection, produceBody('bids', [{ partition, batch: batch.finish(crc32c) }])),
        );
      }
      if (nowMs >= toMs) break;
      await sleep(TURN_MS);
    }
    await Promise.all(sending);
  } finally {
    connection.close();
  }
}

/** Of the bids that were due in the time that is measured; it ends with the last of them. */
async function readLatencies(
  side: RunningSide,
  range: { readonly fromMs: number; readonly toMs: number; readonly count: number },
): Promise<number[]> {
  const connection = await WireConnection.open(side.address);
  try {
    const latencies: number[] = [];
    let nowMs = 0;
    const ends = await listOffsets(connection, OUTPUT, 'end');
    const partitions = ends.map((end) => {
      const rows = new CommittedRows((value) => {
        const { dateTime } = JSON.parse(value.toString('latin1')) as { readonly dateTime: number };
        if (dateTime >= range.fromMs && dateTime < range.toMs) latencies.push(nowMs - dateTime);
      });
      rows.offset = end;
      return rows;
    });
    while (latencies.length < range.count * 0.999) {
      const fetched = await fetchRecords(connection, {
        topic: OUTPUT.name,
        partitions: partitions.map(({ offset }, partition) => ({ partition, offset })),
        waitMs: FETCH_WAIT_MS,
        minBytes: 1,
        maxBytes: FETCH_BYTES,
        partitionMaxBytes: FETCH_BYTES,
        committed: true,
      });
      nowMs = Date.now();
      for (const { partition, records } of fetched) partitions[partition]?.take(records);
      if (nowMs > range.toMs + DRAIN_MS)
        throw new BenchFailure(
          `${latencies.length} of ${range.count} bids arrived; last words:\n${tail(side.engine.logFile)}`,
        );
    }
    return latencies;
  } finally {
    connection.close();
  }
}
