/** The harness run against a broker of a few lines, so that it works when it is needed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ANSWER_BODY_AT } from '../clients/wire-connection.ts';
import { WireReader, WireWriter } from '../clients/wire-codec.ts';
import { type BrokerOptions, parseOptions, type ScenarioName } from '../options.ts';
import type { PeerVariant, RunningPeer } from '../peers/peer.ts';
import { withSession } from '../session.ts';
import { makePasses, type Findings } from './passes.ts';

interface Batch {
  readonly baseOffset: number;
  readonly bytes: Buffer;
}

interface Partition {
  readonly batches: Batch[];
  endOffset: number;
}

const ANSWER_MS = 10;

/** Keeps batches in memory; `garble` makes it hand out other bytes than it was given. */
class MemoryBroker {
  readonly #topics = new Map<string, Map<number, Partition>>();
  readonly #garble: boolean;

  constructor(garble = false) {
    this.#garble = garble;
  }

  answer(key: number, body: WireReader): Buffer {
    const writer = new WireWriter();
    if (key === 18) return writer.int16(0).int32(0).finish();
    if (key === 19 || key === 20) return this.#admin(key, body, writer);
    if (key === 0) return this.#produce(body, writer);
    if (key === 2) return this.#listOffsets(body, writer);
    return this.#fetch(body, writer);
  }

  #partition(topic: string | null, index: number): Partition {
    const partitions = this.#topics.get(topic ?? '') ?? new Map<number, Partition>();
    this.#topics.set(topic ?? '', partitions);
    const partition = partitions.get(index) ?? { batches: [], endOffset: 0 };
    partitions.set(index, partition);
    return partition;
  }

  #admin(key: number, body: WireReader, writer: WireWriter): Buffer {
    body.int32();
    const name = body.string();
    if (key === 20) this.#topics.delete(name ?? '');
    writer.int32(0).int32(1).string(name).int16(0);
    if (key === 19) writer.string(null);
    return writer.finish();
  }

  #produce(body: WireReader, writer: WireWriter): Buffer {
    body.string();
    body.int16();
    body.int32();
    body.array(() => {
      const topic = body.string();
      const stored = body.array(() => {
        const index = body.int32();
        const bytes = Buffer.from(body.raw(body.int32()));
        const partition = this.#partition(topic, index);
        const baseOffset = partition.endOffset;
        bytes.writeBigInt64BE(BigInt(baseOffset), 0);
        if (this.#garble) bytes[bytes.length - 2] = (bytes.at(-2) ?? 0) ^ 1;
        partition.batches.push({ baseOffset, bytes });
        partition.endOffset += bytes.readInt32BE(57);
        return { index, baseOffset };
      });
      writer.int32(1).string(topic);
      writer.array(stored, ({ index, baseOffset }) =>
        writer.int32(index).int16(0).int64(baseOffset).int64(-1).int64(0),
      );
    });
    return writer.int32(0).finish();
  }

  #listOffsets(body: WireReader, writer: WireWriter): Buffer {
    body.int32();
    body.array(() => {
      const topic = body.string();
      const asked = body.array(() => ({ index: body.int32(), time: body.int64() }));
      writer.int32(1).string(topic);
      writer.array(asked, ({ index, time }) => {
        const offset = time === -1 ? this.#partition(topic, index).endOffset : 0;
        writer.int32(index).int16(0).int64(-1).int64(offset);
      });
    });
    return writer.finish();
  }

  #fetch(body: WireReader, writer: WireWriter): Buffer {
    body.position += 4 + 4 + 4 + 4 + 1;
    writer.int32(0);
    body.array(() => {
      const topic = body.string();
      const asked = body.array(() => ({
        index: body.int32(),
        offset: body.int64(),
        bytes: body.int32(),
      }));
      writer.int32(1).string(topic);
      writer.array(asked, ({ index, offset }) => {
        const partition = this.#partition(topic, index);
        const wanted = partition.batches.filter(
          ({ baseOffset, bytes }) => baseOffset + bytes.readInt32BE(57) > offset,
        );
        const end = partition.endOffset;
        const bytes = Buffer.concat(wanted.slice(0, 50).map((batch) => batch.bytes));
        writer.int32(index).int16(0).int64(end).int64(end).int32(-1).int32(bytes.length).raw(bytes);
      });
    });
    return writer.finish();
  }
}

/** A side of the benchmark that runs in this process. */
function memoryVariant(name: string, garble = false): PeerVariant {
  return {
    name,
    durability: 'none',
    topicConfig: {},
    version: '0',
    start: () => listen(new MemoryBroker(garble)),
  };
}

async function listen(broker: MemoryBroker): Promise<RunningPeer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let buffered = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        const answer = answerFrame(broker, buffered);
        // In order, and slow enough that a second of load stays small.
        setTimeout(() => socket.write(answer), ANSWER_MS);
        buffered = buffered.subarray(4 + buffered.readInt32BE(0));
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    pid: process.pid,
    startMs: 1,
    logFile: '',
    usage: () => ({ residentBytes: 1e6, ownBytes: 1e6, cpuSeconds: performance.now() / 1000 }),
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function answerFrame(broker: MemoryBroker, request: Buffer): Buffer {
  const reader = new WireReader(request, 4);
  const key = reader.int16();
  reader.int16();
  const correlationId = reader.int32();
  reader.string();
  const body = broker.answer(key, reader);
  const head = Buffer.alloc(ANSWER_BODY_AT);
  head.writeInt32BE(4 + body.length, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, body]);
}

const SMALL = ['broker', '--quick', '--seconds', '1', '--partitions', '3', '--sizes', '2000'];

/** Runs the passes of one scenario on one side. */
async function runScenario(scenario: ScenarioName, variant: PeerVariant): Promise<Findings> {
  const options = parseOptions([...SMALL, '--clients', 'wire', '--rates', '100']);
  if (options.kind !== 'broker') throw new Error('not the broker command');
  const small: BrokerOptions = { ...options, scenarios: [scenario], consumeBytes: 1e6 };
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-test-'));
  try {
    const place = { folder, patienceMs: 0, settle: () => Promise.resolve() };
    const [pass] = makePasses(small);
    if (pass === undefined) throw new Error(`no pass for ${scenario}`);
    const findings: Findings = { samples: [], contents: [] };
    await withSession(variant, place, (session) => pass.run(session, findings));
    return findings;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function metricsOf(result: Findings): string[] {
  return result.samples.filter(({ value }) => value > 0).map(({ metric }) => metric);
}

test.concurrent('produce, consume and latency give their figures, and say what was consumed', async () => {
  const [produced, consumed, latency] = await Promise.all([
    runScenario('produce', memoryVariant('a')),
    runScenario('consume', memoryVariant('a')),
    runScenario('latency', memoryVariant('a')),
  ]);
  expect(metricsOf(produced)).toEqual(['produceMBs', 'produceRecords', 'produceCpu']);
  expect(metricsOf(consumed)).toEqual(['consumeMBs', 'consumeRecords', 'consumeCpu']);
  expect(metricsOf(latency)).toEqual(['latencyP50Ms', 'latencyP99Ms']);
  const [seen] = consumed.contents;
  expect(seen?.content.recordCount).toBeGreaterThanOrEqual(500);
  expect(seen?.content.valueBytes).toBe(2000 * (seen?.content.recordCount ?? 0));
});

test.concurrent('a broker that hands out other bytes than it was given is caught', async () => {
  await expect(runScenario('consume', memoryVariant('a', true))).rejects.toThrow('wrong CRC');
});
