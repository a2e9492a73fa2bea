/** Records that somebody deletes from the log of a queue: a Kafka client, or a flow that has taken them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';
import { runs } from '../../../test/runs.ts';

async function deleteBelow(fixture: QueueFixture, offset: number): Promise<void> {
  await fixture.machine.run(fixture.log.deleteRecordsBefore(offset));
  await fixture.idle();
}

test('are in the queue no more, also when it had them in memory', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(10));
  expect(fixture.queue.counts.ready).toBe(10);
  await deleteBelow(fixture, 6);
  expect(fixture.queue.counts).toMatchObject({ ready: 4, dropped: 0 });
  const consumer = fixture.consume();
  await fixture.idle();
  expect(consumer.take()).toEqual(texts(10).slice(6));
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle();
  expect(fixture.queue.counts).toMatchObject({ ready: 0, readyBytes: 0, unacknowledged: 0 });
  await fixture.restart();
  expect(await fixture.getText()).toBeUndefined();
});

test('stay with whoever has them, and are gone when they come back', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(4));
  const consumer = fixture.consume({ prefetch: 2 });
  await fixture.idle();
  const [first, second] = consumer.deliveries.slice();
  await deleteBelow(fixture, 4);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 2 });
  fixture.queue.settle(first === undefined ? [] : [first], 'accept');
  fixture.queue.settle(second === undefined ? [] : [second], 'release');
  await fixture.idle();
  consumer.take();
  await fixture.publish(['next']);
  await fixture.idle();
  expect(consumer.take()).toContain('next');
});

test('let the next message of their key go out, and what is delayed is delayed no more', async () => {
  const fixture = await new QueueFixture({ keyOrdered: true }).open();
  await fixture.publish(texts(3), { key: Buffer.from('k') });
  const consumer = fixture.consume({ prefetch: 10 });
  await fixture.idle();
  expect(consumer.take()).toEqual(texts(1));
  fixture.queue.settle(consumer.deliveries, 'release', { delayMs: 10_000 });
  await fixture.idle();
  expect(fixture.queue.counts).toMatchObject({ delayed: 1 });
  await deleteBelow(fixture, 2);
  expect(consumer.take()).toEqual([texts(3)[2]]);
  expect(fixture.queue.counts).toMatchObject({ delayed: 0, ready: 0, unacknowledged: 1 });
});

test('whatever was done before, what is left is what was not deleted, settled, or with somebody', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.record({
            kind: fc.constant('publish' as const),
            count: fc.integer({ min: 1, max: 5 }),
          }),
          fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 3 }) }),
          fc.record({ kind: fc.constant('accept' as const), at: fc.nat({ max: 5 }) }),
          fc.record({ kind: fc.constant('release' as const), at: fc.nat({ max: 5 }) }),
          fc.record({
            kind: fc.constant('delete' as const),
            share: fc.double({ min: 0, max: 1, noNaN: true }),
          }),
        ),
        { minLength: 1, maxLength: 25 },
      ),
      async (steps) => {
        const fixture = await new QueueFixture().open();
        const { queue } = fixture;
        /** Offsets: what is ready, and what is with somebody. */
        let ready: number[] = [];
        const held = new Map<number, Parameters<typeof queue.settle>[0][number]>();
        let end = 0;
        for (const step of steps) {
          if (step.kind === 'publish') {
            await fixture.publish(Array.from({ length: step.count }, (_, n) => `m${end + n}`));
            for (let n = 0; n < step.count; n++) ready.push(end++);
          } else if (step.kind === 'take') {
            for (let n = 0; n < step.count; n++) {
              const got = await fixture.machine.run(queue.get({ noAck: false }));
              const delivery = got.ok ? got.value : undefined;
              expect(delivery?.offset).toBe(ready[0]);
              if (delivery === undefined) break;
              held.set(delivery.offset, delivery);
              ready.shift();
            }
          } else if (step.kind === 'delete') {
            const below = Math.floor(step.share * end);
            await deleteBelow(fixture, below);
            ready = ready.filter((offset) => offset >= below);
          } else {
            const delivery = [...held.values()][step.at];
            if (delivery === undefined) continue;
            held.delete(delivery.offset);
            queue.settle([delivery], step.kind);
            await fixture.idle();
            const isThere = delivery.offset >= fixture.log.logStartOffset;
            if (step.kind === 'release' && isThere)
              ready = [...ready, delivery.offset].toSorted((a, b) => a - b);
            else if (step.kind === 'release') {
              // It may come once more to whoever is next, out of memory, or not at all.
              const got = await fixture.machine.run(queue.get({ noAck: true }));
              const offset = got.ok ? got.value?.offset : undefined;
              if (offset !== delivery.offset) {
                expect(offset).toBe(ready[0]);
                ready.shift();
              }
            }
          }
          expect(queue.counts.unacknowledged).toBe(held.size);
        }
        await fixture.idle();
        expect(queue.counts.ready).toBe(ready.length);
      },
    ),
    { numRuns: runs(40) },
  );
});
