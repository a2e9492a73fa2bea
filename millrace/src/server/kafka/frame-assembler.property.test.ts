import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { REQUEST_FIRST_BYTES } from '../../core/limits.ts';
import { FrameAssembler, type RequestFrame } from './frame-assembler.ts';
import { FramePool } from './frame-pool.ts';
import { RequestMemory } from './request-memory.ts';

interface Sent {
  readonly apiKey: number;
  readonly body: Buffer;
}

function encode({ apiKey, body }: Sent): Buffer {
  const frame = Buffer.alloc(12 + body.length);
  frame.writeInt32BE(8 + body.length, 0);
  frame.writeInt16BE(apiKey, 4);
  body.copy(frame, 12);
  return frame;
}

function digest(apiKey: number, body: Buffer): string {
  return `${apiKey} ${body.length} ${createHash('sha1').update(body).digest('hex')}`;
}

const frames = fc.array(
  fc.record({
    apiKey: fc.constantFrom(0, 3),
    body: fc
      .oneof(fc.integer({ min: 2, max: 300 }), fc.constant(70_000), fc.constant(1_300_000))
      .chain((length) =>
        fc.integer({ min: 0, max: 255 }).map((byte) => Buffer.alloc(length, byte)),
      ),
  }),
  { minLength: 1, maxLength: 8 },
);

/** Splits bytes at arbitrary places. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
  const edges = [0, ...places, bytes.length];
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
}

test('any split of the stream gives the same frames, and all memory comes back', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (sent, cuts) => {
      const memory = new RequestMemory(64 * 1024 * 1024);
      const got: string[] = [];
      const held: RequestFrame[] = [];
      const assembler = new FrameAssembler({
        memory,
        pool: new FramePool(),
        admit: () => undefined,
        onFrame: (frame) => {
          got.push(digest(frame.apiKey, frame.bytes.subarray(8)));
          held.push(frame);
        },
        onReady: () => {},
      });
      for (const chunk of chunksOf(Buffer.concat(sent.map(encode)), cuts)) {
        const given = Buffer.from(chunk);
        expect(assembler.push(given)).toBeUndefined();
        given.fill(0xee); // The memory of a chunk is only ours during the call.
      }
      expect(got).toEqual(sent.map(({ apiKey, body }) => digest(apiKey, body)));
      expect(assembler.receiving).toBe(0);
      for (const frame of held) frame.release();
      expect(memory.used).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test('a size prefix alone allocates nothing, and the rest no more than twice what has arrived', () => {
  const memory = new RequestMemory(1024 * 1024 * 1024);
  const assembler = new FrameAssembler({
    memory,
    pool: new FramePool(),
    admit: () => undefined,
    onFrame: () => {},
    onReady: () => {},
  });
  const start = Buffer.alloc(8);
  start.writeInt32BE(100 * 1024 * 1024, 0);
  assembler.push(start);
  expect(memory.used).toBe(0);
  let arrived = 4;
  const chunk = Buffer.alloc(300_000);
  for (let round = 0; round < 20; round++) {
    assembler.push(chunk);
    arrived += chunk.length;
    expect(memory.used).toBeLessThanOrEqual(Math.max(REQUEST_FIRST_BYTES, 2 * arrived));
  }
  assembler.close();
  expect(memory.used).toBe(0);
});

test('sizes are judged when only the size is there', () => {
  for (const size of [-1, 0, 9, 1 << 30]) {
    const assembler = new FrameAssembler({
      memory: new RequestMemory(1024),
      pool: new FramePool(),
      admit: (bytes) => (bytes > 1000 ? 'too large' : undefined),
      onFrame: () => {},
      onReady: () => {},
    });
    const start = Buffer.alloc(4);
    start.writeInt32BE(size, 0);
    expect([size, typeof assembler.push(start)]).toEqual([size, 'string']);
  }
});

test('connections that together want more than there is take turns, and all get through', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 10, max: 3_000_000 }), { minLength: 2, maxLength: 6 }),
      fc.array(fc.nat(), { minLength: 10, maxLength: 200 }),
      (sizes, order) => {
        const memory = new RequestMemory(1_500_000);
        const done = new Set<number>();
        const working: RequestFrame[] = [];
        const senders = sizes.map((size, index) => {
          const bytes = encode({ apiKey: 3, body: Buffer.alloc(size) });
          const sender = {
            bytes,
            at: 0,
            assembler: new FrameAssembler({
              memory,
              pool: new FramePool(),
              admit: () => undefined,
              onFrame: (frame) => {
                done.add(index);
                working.push(frame);
              },
              onReady: (held) => {
                sender.assembler.push(held);
              },
            }),
          };
          return sender;
        });
        const step = (pick: number): void => {
          const sender = senders[pick % senders.length];
          if (sender === undefined || sender.assembler.isWaiting) return;
          const end = Math.min(sender.bytes.length, sender.at + 65_536);
          if (end === sender.at) return;
          const chunk = sender.bytes.subarray(sender.at, end);
          sender.at = end;
          sender.assembler.push(chunk);
        };
        for (const pick of order) step(pick);
        // Everybody goes on, and what is complete is answered: nobody may be stuck.
        for (let round = 0; round < 2_000 && done.size < sizes.length; round++) {
          for (let pick = 0; pick < senders.length; pick++) step(pick);
          working.shift()?.release();
        }
        expect(done.size).toBe(sizes.length);
        for (const frame of working) frame.release();
        expect(memory.used).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});
