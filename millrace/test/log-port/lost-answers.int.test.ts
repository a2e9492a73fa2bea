/**
 * Connections that are lost with a request, or with its answer: what was asked for happens once all the same. The oracle is a list of
 * what was committed.
 */
import fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster } from '../../src/client/kafka/cluster.ts';
import type { Address } from '../../src/client/kafka/connection.ts';
import { connectLog } from '../../src/client/kafka/kafka-log.ts';
import { RecordSender } from '../../src/client/kafka/record-sender.ts';
import type { Log } from '../../src/client/log.ts';
import type { Connection, ConnectionHandlers } from '../../src/core/env.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../src/embedded-log.ts';
import { API_KEYS, type ApiName } from '../../src/wire/kafka/api-keys.ts';
import { newTopic, pollUntil, readAll, uniqueName, values } from './ways.ts';

type Lost = 'request' | 'answer';

/** Which request is to be lost next, and how; one of each API. */
class Losses {
  readonly #planned = new Map<number, Lost>();

  plan(api: ApiName, lost: Lost): void {
    this.#planned.set(API_KEYS[api], lost);
  }

  take(apiKey: number): Lost | undefined {
    const lost = this.#planned.get(apiKey);
    this.#planned.delete(apiKey);
    return lost;
  }

  get left(): number {
    return this.#planned.size;
  }

  clear(): void {
    this.#planned.clear();
  }
}

/** A connection to the broker that breaks as planned. */
function breaking(inner: Connection, losses: Losses): Connection {
  let isLosingAnswer = false;
  return {
    localAddress: inner.localAddress,
    remoteAddress: inner.remoteAddress,
    remotePort: inner.remotePort,
    get bufferedBytes() {
      return inner.bufferedBytes;
    },
    start: (handlers: ConnectionHandlers) => {
      inner.start({
        ...handlers,
        drained: () => handlers.drained(),
        closed: (error) => handlers.closed(error),
        data: (chunk) => {
          if (isLosingAnswer) inner.destroy();
          else handlers.data(chunk);
        },
      });
    },
    write: (chunks, done) => {
      const [frame] = chunks;
      const lost = frame === undefined ? undefined : losses.take(Buffer.from(frame).readInt16BE(4));
      if (lost === 'request') inner.destroy();
      isLosingAnswer ||= lost === 'answer';
      inner.write(chunks, done);
    },
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    end: () => inner.end(),
    destroy: () => inner.destroy(),
  };
}

const env = realEnv();
const losses = new Losses();
const dir = mkdtempSync(join(tmpdir(), 'millrace-log-'));
let embedded: EmbeddedLog | undefined;
let log: Log;
let bootstrap: readonly Address[];
const connect = async (address: Address): Promise<Connection> =>
  breaking(await env.net.connect(address), losses);

beforeAll(async () => {
  embedded = await openEmbedded(env, { dataDir: dir, kafka: { host: '127.0.0.1', port: 0 } });
  const { host, port } = embedded.broker.address ?? { host: '', port: 0 };
  bootstrap = [{ host, port }];
  log = await connectLog(env, { label: 'breaking', bootstrap, connect });
});

afterAll(async () => {
  losses.clear();
  await log.close();
  await embedded?.close();
  rmSync(dir, { recursive: true, force: true });
});

const ofTransactions: readonly ApiName[] = [
  'InitProducerId',
  'AddPartitionsToTxn',
  'Produce',
  'AddOffsetsToTxn',
  'TxnOffsetCommit',
  'EndTxn',
];

describe.each(['request', 'answer'] as const)('a lost %s', (lost) => {
  test.each(ofTransactions)('of %s: the transaction counts once', async (api) => {
    const topic = await newTopic(log, 2);
    const group = uniqueName('group');
    losses.plan(api, lost);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    for (const round of [1, 2]) {
      producer.append(topic, 0, 1, null, `a${round}`);
      producer.append(topic, 1, 1, null, `b${round}`);
      await producer.commit({
        group: { group, generation: -1, memberId: '', instanceId: undefined },
        offsets: [{ topic, partition: 0, offset: round, metadata: '' }],
      });
    }
    expect(losses.left).toBe(0);
    const seen = await readAll(log, [topic]);
    const of = (partition: number) => values(seen.filter((each) => each.partition === partition));
    expect([of(0), of(1)]).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ]);
    const [committed] = await log.committed(group, [{ topic, partition: 0 }]);
    expect(committed?.offset).toBe(2);
    await producer.close();
  });

  test.each<ApiName>(['Metadata', 'InitProducerId', 'DescribeConfigs', 'Produce'])(
    'of %s: what a sender is given is there once',
    async (api) => {
      const topic = await newTopic(log);
      const cluster = await Cluster.connect(env, bootstrap, { connect });
      losses.plan(api, lost);
      const sender = await RecordSender.open(cluster, { topic, compression: 'none', acks: -1 });
      for (const value of ['a', 'b']) {
        const of = { partition: 0, key: null, headers: [], timestamp: 1 };
        sender.append({ ...of, value: Buffer.from(value) });
        await sender.settled(0);
      }
      expect(losses.left).toBe(0);
      expect(values(await readAll(log, [topic]))).toEqual(['a', 'b']);
      await cluster.close();
    },
  );

  test('of Fetch: no record is left out or comes twice', async () => {
    const topic = await newTopic(log);
    const producer = await log.producer({});
    const reader = log.reader({ uncommitted: false });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const seen: (string | null)[] = [];
    for (let round = 0; round < 3; round++) {
      losses.plan('Fetch', lost);
      producer.append(topic, 0, 1, null, `r${round}`);
      await producer.flush();
      seen.push(...values(await pollUntil(reader, 1)));
    }
    expect(seen).toEqual(['r0', 'r1', 'r2']);
    reader.close();
    await producer.close();
  });
});

type Step =
  | { readonly kind: 'append'; readonly partition: number; readonly large: boolean }
  | { readonly kind: 'flush' | 'commit' | 'abort' }
  | { readonly kind: 'lose'; readonly api: ApiName; readonly lost: Lost };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      partition: fc.nat(2),
      large: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('flush', 'commit', 'commit', 'abort') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      api: fc.constantFrom(...ofTransactions),
      lost: fc.constantFrom<Lost>('request', 'answer'),
    }),
  },
);

test('whatever is lost, readers see what was committed, in its order, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      losses.clear();
      const topic = await newTopic(log, 3);
      const producer = await log.producer({ transactionalId: uniqueName('id') });
      const committed: string[][] = [[], [], []];
      let open: string[][] = [[], [], []];
      let count = 0;
      for (const each of steps) {
        if (each.kind === 'append') {
          const value = `${count++}${each.large ? '.'.repeat(200_000) : ''}`;
          producer.append(topic, each.partition, 1, null, value);
          open[each.partition]?.push(value);
        } else if (each.kind === 'lose') losses.plan(each.api, each.lost);
        else await producer[each.kind]();
        if (each.kind !== 'commit' && each.kind !== 'abort') continue;
        if (each.kind === 'commit')
          for (const [partition, some] of open.entries()) committed[partition]?.push(...some);
        open = [[], [], []];
      }
      losses.clear();
      const seen = await readAll(log, [topic]);
      const found = [0, 1, 2].map((partition) =>
        values(seen.filter((record) => record.partition === partition)),
      );
      expect(found).toEqual(committed);
      await producer.close();
    }),
    { numRuns: 15 },
  );
});
