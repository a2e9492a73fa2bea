/** Messages about as large as a segment, published in chunks: what fits is appended, in order, whatever it came with. */
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';
import { CollectingLogger } from '../../core/log.ts';
import { QUEUE_LARGE_TOLD_MS } from '../../core/queue-limits.ts';
import type { AppendResult } from '../../log/types.ts';
import { encodeProperties } from '../../wire/amqp/properties.ts';
import { encodeMessages } from './message-record.ts';
import type { QueueMessage } from './message.ts';

const SEGMENT = 16 * 1024;
/** As many bytes as AMQP takes, in a third of as many characters. */
const WIDE = '€'.repeat(85);

interface Draft {
  readonly bytes: number;
  readonly names: string;
}

const draft: fc.Arbitrary<Draft> = fc.record({
  bytes: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 8, max: 40 }) },
    { weight: 2, arbitrary: fc.integer({ min: 8, max: SEGMENT / 2 }) },
    { weight: 2, arbitrary: fc.integer({ min: SEGMENT - 800, max: SEGMENT + 20 }) },
    { weight: 1, arbitrary: fc.integer({ min: SEGMENT, max: 3 * SEGMENT }) },
  ),
  names: fc.constantFrom('', 'q', WIDE, WIDE),
});

const chunks = fc.array(fc.array(draft, { minLength: 1, maxLength: 60 }), {
  minLength: 1,
  maxLength: 4,
});

test.each(['classic', 'stream'] as const)(
  'a %s queue refuses what no segment can hold, and nothing else',
  async (type) => {
    await fc.assert(
      fc.asyncProperty(chunks, async (given) => {
        const settings = { type, consumerTimeoutMs: undefined };
        const fixture = await new QueueFixture(settings, {
          config: { segmentBytes: SEGMENT },
        }).open();
        const first = { kind: 'first' } as const;
        const consumer = fixture.consume({ prefetch: 1000, streamOffset: first });
        const expected: string[] = [];
        let refusals = 0;
        for (const [number, drafts] of given.entries()) {
          const messages = drafts.map((each, index) =>
            messageOf(fixture, `${number}/${index}`, each),
          );
          const tooLarge = indexesOf(messages, isTooLarge);
          const { refused, reason, durable } = fixture.queue.append(messages);
          expect(refused).toEqual(tooLarge);
          expect(reason).toBe(tooLarge.length > 0 ? 'full' : undefined);
          refusals += refused.length;
          for (const message of messages) if (!isTooLarge(message)) expected.push(nameOf(message));
          await fixture.machine.run(durable ?? Promise.resolve());
        }
        await fixture.idle(1000);
        expect(consumer.texts.map((text) => text.slice(0, text.indexOf('.')))).toEqual(expected);
        expect(fixture.queue.counts).toMatchObject({
          published: expected.length,
          dropped: refusals,
        });
        await fixture.machine.run(fixture.queue.close());
      }),
      { numRuns: 40 },
    );
  },
);

test('names that take more bytes than they have characters make no batch too large', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: SEGMENT } }).open();
  const consumer = fixture.consume();
  const names = { exchange: WIDE, routingKey: WIDE };
  const appended = vi.spyOn(fixture.log, 'append');
  expect(await fixture.publish(texts(100), names)).toEqual([]);
  expect(consumer.texts).toEqual(texts(100));
  expect(appended.mock.results.some(({ value }) => !(value as AppendResult).ok)).toBe(true);
});

test('a log that takes nothing more behind a message that is too large refuses the rest with it', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: SEGMENT } }).open();
  const { log, queue } = fixture;
  const append = log.append.bind(log);
  const full = { ok: false, error: 'KAFKA_STORAGE_ERROR', message: 'the disk is full' } as const;
  let calls = 0;
  vi.spyOn(log, 'append').mockImplementation((...given) =>
    calls++ === 3 ? full : append(...given),
  );
  const [half, large] = ['y'.repeat(SEGMENT - 1000), 'x'.repeat(SEGMENT)];
  const chunk = ['first', large, half, half, large, 'last'].map((text) => fixture.message(text));
  expect(queue.append(chunk)).toMatchObject({ refused: [1, 3, 4, 5], reason: 'disk-full' });
  expect(queue.counts).toMatchObject({ published: 2, dropped: 1 });
});

test('whoever publishes without confirms can read that messages were too large, and not a line for each', async () => {
  const logger = new CollectingLogger();
  const options = { config: { segmentBytes: SEGMENT }, logger };
  const fixture = await new QueueFixture({ type: 'stream' }, options).open();
  const large = fixture.message('x'.repeat(SEGMENT));
  for (let round = 0; round < 5; round++) fixture.queue.append([large, large]);
  const line = {
    level: 'warn',
    message: 'Messages are larger than the segments of their queue and are refused',
  };
  const where = { vhost: '/', queue: 'work', segmentBytes: SEGMENT };
  expect(logger.lines).toEqual([{ ...line, fields: { ...where, messages: 2 } }]);
  await fixture.idle(QUEUE_LARGE_TOLD_MS);
  fixture.queue.append([large]);
  expect(logger.lines[1]).toEqual({ ...line, fields: { ...where, messages: 9 } });
  expect(fixture.queue.counts.dropped).toBe(11);
});

test('a copy of a message that is too large is refused with it', async () => {
  const options = { config: { segmentBytes: SEGMENT } };
  const fixture = await new QueueFixture({ dedupeWindowMs: 60_000 }, options).open();
  const headers = { 'x-dedupe-key': 'k' };
  const large = fixture.message('x'.repeat(SEGMENT), { properties: encodeProperties({ headers }) });
  const chunk = [fixture.message('a'), large, fixture.message('b'), large];
  expect(fixture.queue.append(chunk)).toMatchObject({ refused: [1, 3], reason: 'full' });
  expect(fixture.queue.counts).toMatchObject({ published: 2 });
});

function messageOf(fixture: QueueFixture, name: string, { bytes, names }: Draft): QueueMessage {
  const body = `${name}.`.padEnd(bytes, '.');
  return fixture.message(body, { exchange: names, routingKey: names });
}

function nameOf({ body }: QueueMessage): string {
  return body.toString('latin1', 0, body.indexOf('.'));
}

function isTooLarge(message: QueueMessage): boolean {
  return encodeMessages([message]).length > SEGMENT;
}

function indexesOf<Value>(values: readonly Value[], is: (value: Value) => boolean): number[] {
  return values.flatMap((value, index) => (is(value) ? [index] : []));
}
