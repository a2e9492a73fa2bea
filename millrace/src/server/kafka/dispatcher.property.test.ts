/**
 * Whatever a request says, as long as it can be read, its handler answers with something that can be written and read
 * again. Handlers run on a simulated machine, so that waits cost nothing.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTopic, openSimBroker, produceValue } from '../../../test/kafka/sim-broker.ts';
import { isPresent, messageArbitrary, type Value } from '../../../test/wire/message-arbitrary.ts';
import type { Broker } from '../../broker/broker.ts';
import { MillraceError } from '../../core/errors.ts';
import { CollectingLogger } from '../../core/log.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import { decodeResponse, encodeRequest } from '../../wire/kafka/frames.ts';
import { encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { apiMessages } from '../../wire/kafka/registry.ts';
import type { Field, Fields } from '../../wire/kafka/schema.ts';
import { dispatch } from './dispatcher.ts';
import { servedApis } from './registry.ts';

/** Words that mean something to the broker, so that requests get beyond the first check. */
const WORDS = [
  'orders',
  'orders',
  'orders',
  'kept',
  '__consumer_offsets',
  'group',
  'member',
  '1',
  'retention.ms',
];
const NUMBERS = [0, 0, -2, -1, 1, 0, 2, 3, 100];

/** Replaces what the picks say by something plausible, in fields that the version has. */
function plausible(fields: Fields, version: number, value: Value, picks: Iterator<number>): Value {
  const change = (field: Field, one: unknown): unknown => {
    const pick = picks.next().value ?? 0;
    if (field.fields !== undefined && typeof one === 'object' && one !== null)
      return plausible(field.fields, version, one as Value, picks);
    if (Buffer.isBuffer(one)) return pick % 2 === 0 ? one : batch(pick);
    if (pick % 11 === 0) return one;
    if (typeof one === 'number') return NUMBERS[pick % NUMBERS.length];
    const isText = field.kind === 'string' || field.element === 'string';
    return isText && typeof one === 'string' ? WORDS[pick % WORDS.length] : one;
  };
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      const field = fields[name];
      if (field === undefined || !isPresent(field, version)) return [name, one];
      return [
        name,
        Array.isArray(one) ? one.map((item) => change(field, item)) : change(field, one),
      ];
    }),
  );
}

function batch(pick: number): Buffer {
  const key = pick % 3 === 0 ? null : 'key';
  return encodeBatch([{ timestamp: pick, key, value: 'value' }], {
    producerId: (pick % 5) - 1,
    producerEpoch: 0,
    baseSequence: pick % 4,
    transactional: pick % 7 === 0,
    compression: pick % 2 === 0 ? 'gzip' : 'none',
  });
}

function* numbers(seeds: readonly number[]): Iterator<number> {
  for (let index = 0; ; index++) yield seeds[index % seeds.length] ?? 0;
}

async function answerTo(
  broker: Broker,
  asked: { readonly apiKey: number; readonly apiVersion: number; readonly body: Value },
): Promise<unknown> {
  const { apiKey, apiVersion, body } = asked;
  const api = apiMessages(apiKey);
  if (api === undefined) throw new Error('its messages are known');
  const frame = encodeRequest(api, { apiVersion, correlationId: 5, clientId: 'test' }, body);
  const answer = await dispatch(frame.subarray(4), {
    broker,
    connection: { id: 1, remoteAddress: '127.0.0.1', advertisedHost: 'here', advertisedPort: 9 },
    signal: new AbortController().signal,
  });
  if (answer === undefined) return undefined;
  const bytes = Buffer.concat(answer.chunks);
  answer.release?.();
  expect(bytes.readInt32BE(0)).toBe(bytes.length - 4);
  return decodeResponse(api, apiVersion, bytes.subarray(4));
}

/** Topics to talk about: earlier requests may have deleted them. */
async function restock(broker: Broker): Promise<void> {
  const config = { 'cleanup.policy': 'compact', 'compression.type': 'zstd' };
  if (broker.topics.get('kept') === undefined) await createTopic(broker, 'kept', { config });
  const orders =
    broker.topics.get('orders') ?? (await createTopic(broker, 'orders', { partitions: 2 }));
  await produceValue(broker, orders, 'value', 0);
}

const VERSIONS = servedApis().flatMap(({ key, name, minVersion, maxVersion }) =>
  Array.from({ length: maxVersion - minVersion + 1 }, (_, index) => ({
    key,
    name,
    apiVersion: minVersion + index,
  })),
);

test('every version of every API answers whatever it is asked', async () => {
  const machine = new SimMachine(5);
  const env = machine.boot();
  const logger = new CollectingLogger();
  const broker = await machine.run(
    openSimBroker(
      env,
      { 'millrace.max.partitions': 60, 'group.max.session.timeout.ms': 10_000 },
      logger,
    ),
  );
  const perVersion = Number(process.env['MILLRACE_FUZZ_RUNS'] ?? 12);
  for (const { key, name, apiVersion } of VERSIONS) {
    const request = apiMessages(key)?.request;
    if (request === undefined) throw new Error(`${name} has a definition`);
    await machine.run(restock(broker));
    await fc.assert(
      fc.asyncProperty(
        messageArbitrary(request, apiVersion),
        fc.array(fc.nat(1_000), { minLength: 5, maxLength: 30 }),
        async (random, seeds) => {
          const body = plausible(request.fields, apiVersion, random, numbers(seeds));
          try {
            await machine.run(answerTo(broker, { apiKey: key, apiVersion, body }));
          } catch (error) {
            // Only what ends a connection on purpose: acks=0 with an error.
            if (!(error instanceof MillraceError) || error.code !== 'ML_REQUEST_REFUSED')
              throw new Error(`${name} v${apiVersion}`, { cause: error });
          }
        },
      ),
      { numRuns: perVersion },
    );
  }
  expect(broker.fetches.bytesInFlight).toBe(0);
  expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  await machine.run(broker.close());
});
