/** What a writer puts into frames an assembler takes out again, in whichever pieces it comes; and nothing else is let in. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AMQP_INCOMPLETE_BYTES_MAX } from '../../core/queue-limits.ts';
import { FrameAssembler, type FrameAssemblerOptions } from './frame-assembler.ts';
import { FrameWriter } from './frame-writer.ts';
import type { AmqpMethod, ContentMethodName, MethodInput } from './methods.ts';
import { encodeProperties } from './properties.ts';
import { AmqpFault } from './reply-codes.ts';

const require = createRequire(import.meta.url);
const defs = require(join(dirname(require.resolve('amqplib')), 'lib/defs.js')) as {
  encodeMethod(id: number, channel: number, fields: unknown): Buffer;
  encodeProperties(id: number, channel: number, bodySize: number, fields: unknown): Buffer;
  readonly BasicPublish: number;
  readonly BasicProperties: number;
};

type Event =
  | { readonly kind: 'method'; readonly channel: number; readonly method: AmqpMethod }
  | {
      readonly kind: 'content';
      readonly channel: number;
      readonly method: AmqpMethod;
      /** As text, which compares faster. */
      readonly properties: string;
      readonly body: string;
    }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'fault'; readonly channel: number; readonly fault: AmqpFault };

/** An assembler that remembers what it was given, with copies of what is valid only during the call. */
function recording(options: FrameAssemblerOptions = {}): {
  readonly assembler: FrameAssembler;
  readonly events: Event[];
} {
  const events: Event[] = [];
  const assembler = new FrameAssembler(
    {
      method: (channel, method) => events.push({ kind: 'method', channel, method }),
      content: (channel, method, { properties, body }) => {
        events.push(contentEvent(channel, method, properties, body));
      },
      heartbeat: () => events.push({ kind: 'heartbeat' }),
      fault: (channel, fault) => events.push({ kind: 'fault', channel, fault }),
    },
    options,
  );
  return { assembler, events };
}

function contentEvent(
  channel: number,
  method: AmqpMethod,
  properties: Buffer,
  body: Buffer,
): Event {
  const texts = { properties: properties.toString('latin1'), body: body.toString('latin1') };
  return { kind: 'content', channel, method, ...texts };
}

/** As a socket delivers: each piece in memory that is overwritten afterwards. */
function deliver(assembler: FrameAssembler, bytes: Buffer, sizes: readonly number[]): void {
  let position = 0;
  for (let index = 0; position < bytes.length; index++) {
    const size = Math.max(1, sizes[index % sizes.length] ?? bytes.length);
    const piece = Buffer.from(bytes.subarray(position, position + size));
    assembler.push(piece);
    piece.fill(0xee);
    position += size;
  }
}

function written(frameMax: number, fill: (writer: FrameWriter) => void): Buffer {
  const writer = new FrameWriter();
  writer.setFrameMax(frameMax);
  const chunks: Buffer[] = [];
  fill(writer);
  const { bytes } = writer;
  writer.writeTo({
    write: (parts, done) => {
      for (const part of parts) chunks.push(Buffer.from(part));
      done?.();
    },
  });
  expect(writer.bytes).toBe(0);
  const all = Buffer.concat(chunks);
  expect(all.length).toBe(bytes);
  return all;
}

interface Sent {
  readonly channel: number;
  readonly method: MethodInput<ContentMethodName>;
  readonly properties: Buffer;
  readonly body: Buffer;
}

const content: fc.Arbitrary<Sent> = fc.record({
  channel: fc.integer({ min: 1, max: 5 }),
  method: fc.oneof(
    fc.record({
      name: fc.constant('basic.publish' as const),
      exchange: fc.string({ maxLength: 8 }),
      routingKey: fc.string({ maxLength: 70 }),
      mandatory: fc.boolean(),
      immediate: fc.constant(false),
    }),
    fc.record({
      name: fc.constant('basic.deliver' as const),
      consumerTag: fc.string({ maxLength: 8 }),
      deliveryTag: fc.maxSafeNat(),
      redelivered: fc.boolean(),
      exchange: fc.string({ maxLength: 8 }),
      routingKey: fc.string({ maxLength: 8 }),
    }),
  ),
  properties: fc
    .record({ contentType: fc.string({ maxLength: 9 }), priority: fc.nat(9) }, { requiredKeys: [] })
    .map(encodeProperties),
  body: fc
    .oneof(fc.constant(0), fc.nat(300), fc.nat(30_000))
    .chain((size) => fc.nat(255).map((byte) => Buffer.alloc(size, byte))),
});
const frameMax = fc.constantFrom(4_096, 4_099, 8_192, 131_072);
const sizes = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9_000 })),
  {
    minLength: 1,
    maxLength: 6,
  },
);

test('contents come out as they went in, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(content, { maxLength: 8 }), frameMax, sizes, (sent, max, cuts) => {
      const bytes = written(max, (writer) => {
        for (const { channel, method, properties, body } of sent) {
          writer.content(channel, method, properties, body);
          writer.method(channel, { name: 'basic.ack', deliveryTag: 1, multiple: true });
          writer.heartbeat();
        }
      });
      const { assembler, events } = recording({ frameBytesMax: max });
      deliver(assembler, bytes, cuts);
      const expected = sent.flatMap(({ channel, method, properties, body }): Event[] => [
        contentEvent(channel, method as AmqpMethod, properties, body),
        { kind: 'method', channel, method: { name: 'basic.ack', deliveryTag: 1, multiple: true } },
        { kind: 'heartbeat' },
      ]);
      expect(events).toEqual(expected);
      expect(assembler.incompleteBytes).toBeLessThanOrEqual(16 * 1024);
    }),
    { numRuns: 80 },
  );
});

test('contents of several channels may come between one another', () => {
  fc.assert(
    fc.property(
      fc.array(content, { minLength: 2, maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 60 }),
      sizes,
      (sent, choices, cuts) => {
        // Each content on a channel of its own; frames are dealt from them in any order.
        const hands = sent.map(({ method, properties, body }, index) =>
          framesOf(written(4_096, (writer) => writer.content(index + 1, method, properties, body))),
        );
        const dealt: Buffer[] = [];
        for (let turn = 0; hands.some((hand) => hand.length > 0); turn++) {
          const left = hands.filter((hand) => hand.length > 0);
          const next = left[(choices[turn] ?? 0) % left.length]?.shift();
          if (next !== undefined) dealt.push(next);
        }
        const { assembler, events } = recording({ frameBytesMax: 4_096 });
        deliver(assembler, Buffer.concat(dealt), cuts);
        const byChannel = [...events].sort((a, b) => channelOf(a) - channelOf(b));
        expect(byChannel).toEqual(
          sent.map(({ method, properties, body }, index) =>
            contentEvent(index + 1, method as AmqpMethod, properties, body),
          ),
        );
        expect(assembler.incompleteBytes).toBeLessThanOrEqual(16 * 1024);
      },
    ),
    { numRuns: 60 },
  );
});

function channelOf(event: Event): number {
  return event.kind === 'heartbeat' ? 0 : event.channel;
}

function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at + 3);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

test('the bytes are those that another implementation writes', () => {
  const fields = { exchange: 'x', routingKey: 'a.b', mandatory: true };
  const body = Buffer.alloc(10_000, 1);
  const bytes = written(4_096, (writer) => {
    const method = { name: 'basic.publish', ...fields } as const;
    writer.content(7, method, encodeProperties({ deliveryMode: 2 }), body);
  });
  const frames = framesOf(bytes);
  expect(frames[0]).toEqual(defs.encodeMethod(defs.BasicPublish, 7, fields));
  const header = defs.encodeProperties(defs.BasicProperties, 7, 10_000, { deliveryMode: 2 });
  expect(frames[1]).toEqual(header);
  expect(frames.slice(2).map((frame) => frame.length - 8)).toEqual([4_088, 4_088, 1_824]);
});

/** One frame, of whatever is said to be in it. */
function frame(type: number, channel: number, payload: Buffer, end = 0xce): Buffer {
  const start = Buffer.alloc(7);
  start[0] = type;
  start.writeUInt16BE(channel, 1);
  start.writeUInt32BE(payload.length, 3);
  return Buffer.concat([start, payload, Buffer.from([end])]);
}

function header(bodyBytes: number, classId = 60, weight = 0): Buffer {
  const payload = Buffer.alloc(14);
  payload.writeUInt16BE(classId, 0);
  payload.writeUInt16BE(weight, 2);
  payload.writeBigUInt64BE(BigInt(bodyBytes), 4);
  return payload;
}

const PUBLISH = Buffer.from([0, 60, 0, 40, 0, 0, 0, 0, 0]);
const ACK = Buffer.from([0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
const publish = frame(1, 1, PUBLISH);

function faults(events: readonly Event[]): (string | number)[][] {
  return events.flatMap((event) =>
    event.kind === 'fault'
      ? [[event.fault.reply, event.channel, event.fault.classId, event.fault.methodId]]
      : [],
  );
}

test.each([
  ['a wrong end', [frame(1, 1, ACK, 0)], ['FRAME_ERROR', 0, 0, 0]],
  ['an unknown type', [frame(4, 1, ACK)], ['FRAME_ERROR', 0, 0, 0]],
  ['a protocol header in the middle', [Buffer.from('AMQP\0\0\x09\x01')], ['FRAME_ERROR', 0, 0, 0]],
  ['a frame that is too large', [frame(3, 1, Buffer.alloc(131_073))], ['FRAME_ERROR', 0, 0, 0]],
  ['a method without its ids', [frame(1, 1, Buffer.alloc(3))], ['FRAME_ERROR', 1, 0, 0]],
  ['an unknown method', [frame(1, 1, Buffer.from([0, 60, 0, 9]))], ['NOT_IMPLEMENTED', 1, 60, 9]],
  ['a method that ends too early', [frame(1, 1, ACK.subarray(0, 9))], ['SYNTAX_ERROR', 1, 60, 80]],
  ['bytes after a method', [frame(1, 1, Buffer.concat([ACK, ACK]))], ['SYNTAX_ERROR', 1, 60, 80]],
  ['a heartbeat on a channel', [frame(8, 1, Buffer.alloc(0))], ['UNEXPECTED_FRAME', 1, 0, 0]],
  ['a heartbeat with content', [frame(8, 0, Buffer.alloc(1))], ['FRAME_ERROR', 0, 0, 0]],
  ['a header without a method', [frame(2, 1, header(0))], ['UNEXPECTED_FRAME', 1, 0, 0]],
  ['a body without a method', [frame(3, 1, Buffer.alloc(1))], ['UNEXPECTED_FRAME', 1, 0, 0]],
  ['a content on channel 0', [frame(1, 0, PUBLISH)], ['UNEXPECTED_FRAME', 0, 0, 0]],
  ['a method instead of a header', [publish, frame(1, 1, ACK)], ['UNEXPECTED_FRAME', 1, 60, 40]],
  ['a body instead of a header', [publish, frame(3, 1, ACK)], ['UNEXPECTED_FRAME', 1, 60, 40]],
  [
    'a header of another class',
    [publish, frame(2, 1, header(0, 50))],
    ['UNEXPECTED_FRAME', 1, 60, 40],
  ],
  [
    'a header with a weight',
    [publish, frame(2, 1, header(0, 60, 1))],
    ['UNEXPECTED_FRAME', 1, 60, 40],
  ],
  ['a header that is cut', [publish, frame(2, 1, Buffer.alloc(11))], ['FRAME_ERROR', 1, 60, 40]],
  [
    'a method instead of a body',
    [publish, frame(2, 1, header(2)), frame(1, 1, ACK)],
    ['UNEXPECTED_FRAME', 1, 60, 40],
  ],
  [
    'a second header',
    [publish, frame(2, 1, header(2)), frame(2, 1, header(2))],
    ['UNEXPECTED_FRAME', 1, 60, 40],
  ],
  [
    'a body longer than announced',
    [publish, frame(2, 1, header(2)), frame(3, 1, Buffer.alloc(3))],
    ['FRAME_ERROR', 1, 60, 40],
  ],
  [
    'a body longer than announced, in two',
    [publish, frame(2, 1, header(4)), frame(3, 1, Buffer.alloc(3)), frame(3, 1, Buffer.alloc(2))],
    ['FRAME_ERROR', 1, 60, 40],
  ],
])('%s is a fault', (_, frames, expected) => {
  for (const cuts of [[1_000_000], [1], [7, 3]]) {
    const { assembler, events } = recording();
    deliver(assembler, Buffer.concat(frames), cuts);
    expect(faults(events)[0]).toEqual(expected);
    expect(events.filter(({ kind }) => kind === 'content')).toEqual([]);
  }
});

test('after a fault that ends no stream the next frames are read', () => {
  const { assembler, events } = recording();
  assembler.push(Buffer.concat([frame(8, 1, Buffer.alloc(0)), frame(1, 1, ACK)]));
  expect(events.map(({ kind }) => kind)).toEqual(['fault', 'method']);
  assembler.push(Buffer.concat([frame(1, 1, ACK, 0), frame(1, 1, ACK)]));
  expect(events.map(({ kind }) => kind)).toEqual(['fault', 'method', 'fault']);
});

test('a message that is too large is refused by its header, and its bodies are passed over', () => {
  for (const cuts of [[1_000_000], [5]]) {
    const { assembler, events } = recording({ bodyBytesMax: 100 });
    const bytes = [
      publish,
      frame(2, 1, header(150)),
      frame(3, 1, Buffer.alloc(100)),
      frame(3, 1, Buffer.alloc(50)),
      publish,
      frame(2, 1, header(100)),
      frame(3, 1, Buffer.alloc(100)),
    ];
    deliver(assembler, Buffer.concat(bytes), cuts);
    expect(events.map(({ kind }) => kind)).toEqual(['fault', 'content']);
    expect(faults(events)).toEqual([['PRECONDITION_FAILED', 1, 60, 40]]);
    expect(events[0]).toMatchObject({ fault: { isHard: false } });
  }
});

test('what a closing channel still brings is passed over, also when the rest never comes', () => {
  const { assembler, events } = recording();
  assembler.push(Buffer.concat([publish, frame(2, 1, header(10)), frame(3, 1, Buffer.alloc(4))]));
  assembler.skipContent(1);
  assembler.push(frame(3, 1, Buffer.alloc(4)));
  assembler.push(Buffer.concat([frame(1, 1, ACK), publish, frame(2, 1, header(0))]));
  expect(events.map(({ kind }) => kind)).toEqual(['method', 'content']);
});

test('a fault that a handler throws comes back with the ids of the method', () => {
  const seen: AmqpFault[] = [];
  const assembler = new FrameAssembler({
    method: () => {
      throw new AmqpFault('NOT_FOUND', 'no');
    },
    content: () => {
      throw new AmqpFault('ACCESS_REFUSED', 'no');
    },
    heartbeat: () => {},
    fault: (_, fault) => seen.push(fault),
  });
  assembler.push(Buffer.concat([frame(1, 1, ACK), publish, frame(2, 1, header(0))]));
  expect(seen).toMatchObject([
    { code: 404, classId: 60, methodId: 80 },
    { code: 403, classId: 60, methodId: 40 },
  ]);
});

test('announced sizes take no memory, and what is held is bounded', () => {
  const { assembler, events } = recording();
  const size = 16 * 1024 * 1024;
  for (let channel = 1; channel <= 2_000; channel++) {
    assembler.push(frame(1, channel, PUBLISH));
    assembler.push(frame(2, channel, header(size)));
  }
  expect(assembler.incompleteBytes).toBeGreaterThan(1_900 * 1024);
  expect(assembler.incompleteBytes).toBeLessThan(4 * 1024 * 1024);
  const body = Buffer.alloc(100_000);
  let channel = 1;
  for (; channel <= 2_000 && events.length === 0; channel++) {
    assembler.push(frame(3, channel, body));
    expect(assembler.incompleteBytes).toBeLessThanOrEqual(AMQP_INCOMPLETE_BYTES_MAX + 131_072);
  }
  expect(faults(events)).toEqual([['RESOURCE_ERROR', channel - 1, 60, 40]]);
});

test('a large frame that never comes takes no more memory than has come', () => {
  const { assembler } = recording();
  const start = frame(3, 1, Buffer.alloc(131_000)).subarray(0, 2_000);
  assembler.push(start);
  expect(assembler.incompleteBytes).toBeLessThanOrEqual(8_000);
});

test('random frames are events or faults, and what is held is bounded', () => {
  const type = fc.constantFrom(1, 1, 1, 2, 2, 3, 3, 8);
  const payload = fc.oneof(
    fc.constantFrom(PUBLISH, ACK, header(0), header(3), header(600), Buffer.alloc(3)),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  );
  const anyFrame = fc
    .tuple(type, fc.nat(3), payload)
    .map(([kind, channel, bytes]) => frame(kind, channel, bytes));
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 40 }), sizes, (frames, cuts) => {
      const { assembler, events } = recording();
      deliver(assembler, Buffer.concat(frames), cuts);
      expect(events.length).toBeLessThanOrEqual(frames.length);
      expect(assembler.incompleteBytes).toBeLessThan(1_000_000);
    }),
    { numRuns: 150 },
  );
});

test('mutated streams are events or faults', () => {
  fc.assert(
    fc.property(
      fc.array(content, { minLength: 1, maxLength: 3 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      sizes,
      (sent, edits, cuts) => {
        const bytes = written(4_096, (writer) => {
          for (const { channel, method, properties, body } of sent) {
            writer.content(channel, method, properties, body);
          }
        });
        for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
        const { assembler } = recording({ frameBytesMax: 4_096 });
        deliver(assembler, bytes, cuts);
        expect(assembler.incompleteBytes).toBeLessThan(4_000_000);
      },
    ),
    { numRuns: 60 },
  );
});

test('blocks are used again only when the connection is done with them', () => {
  const writer = new FrameWriter();
  const held: {
    readonly chunks: readonly Uint8Array[];
    readonly done: (() => void) | undefined;
  }[] = [];
  const body = Buffer.alloc(8_000, 1);
  const method = { name: 'basic.publish', routingKey: 'a' } as const;
  const round = (): Buffer => {
    for (let count = 0; count < 20; count++) writer.content(1, method, Buffer.alloc(2), body);
    writer.writeTo({ write: (chunks, done) => held.push({ chunks, done }) });
    return Buffer.concat(held.at(-1)?.chunks ?? []);
  };
  const first = round();
  body.fill(2);
  round();
  expect(Buffer.concat(held[0]?.chunks ?? []).equals(first)).toBe(true);
  for (const { done } of held) done?.();
  body.fill(1);
  expect(round().equals(first)).toBe(true);
});

test('what does not fit into a frame is refused, and nothing of it is written', () => {
  const writer = new FrameWriter();
  writer.setFrameMax(4_096);
  const large = { a: 'x'.repeat(5_000) };
  expect(() => writer.method(1, { name: 'queue.declare', arguments: large })).toThrow(
    /does not fit/,
  );
  const properties = encodeProperties({ headers: large });
  expect(() => writer.content(1, { name: 'basic.publish' }, properties, Buffer.alloc(1))).toThrow(
    /does not fit/,
  );
  expect(writer.bytes).toBe(0);
});
