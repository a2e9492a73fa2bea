/**
 * Every decoder of this folder on bytes that nobody meant: cut, mutated, spliced, with lengths that lie. Whatever comes in, out comes a result
 * or an AmqpFault; nothing is held beyond the bounds, and what is accepted can be written and read again.
 *
 * MILLRACE_FUZZ_SECONDS=60 runs longer; MILLRACE_SEED=n repeats a run.
 */
import { expect, test } from 'vitest';
import { decodeTable, encodeTable, FieldTimestamp, type FieldTable } from './field-table.ts';
import { FrameAssembler } from './frame-assembler.ts';
import { FrameWriter } from './frame-writer.ts';
import { decodeMethod, encodeMethod } from './method-codec.ts';
import { METHODS, type MethodInput, type MethodName } from './methods.ts';
import { decodeProperties, encodeProperties, readFacts, withProperties } from './properties.ts';
import { AmqpFault } from './reply-codes.ts';

const SECONDS = Number(process.env['MILLRACE_FUZZ_SECONDS'] ?? 2) / 4;
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 2 ** 31);
const NAMES = Object.keys(METHODS) as MethodName[];
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

type Random = (below: number) => number;

/** Mulberry32: small, seeded, and good enough to choose what to break. */
function generator(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function mutate(bytes: Buffer, random: Random): Buffer {
  let damaged: Buffer = Buffer.from(bytes);
  for (let times = 1 + random(4); times > 0 && damaged.length > 0; times--) {
    const at = random(damaged.length);
    switch (random(6)) {
      case 0:
        damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << random(8)), at);
        break;
      case 1:
        damaged.writeUInt8('tbBsuIilLfdDSATFVx'.charCodeAt(random(18)), at);
        break;
      case 2:
        damaged = damaged.subarray(0, at);
        break;
      case 3:
        if (at + 4 <= damaged.length) damaged.writeUInt32BE(EDGES[random(EDGES.length)] ?? 0, at);
        break;
      case 4:
        damaged = Buffer.concat([damaged.subarray(0, at), damaged.subarray(random(at + 1))]);
        break;
      default:
        damaged.fill(random(256), at, Math.min(at + random(20), damaged.length));
    }
  }
  return damaged;
}

/** Runs `once` with fresh random choices until the time is up; a failure names the seed that repeats it. */
function fuzz(once: (random: Random) => void): void {
  const until = performance.now() + SECONDS * 1000;
  let runs = 0;
  do {
    try {
      once(generator(SEED + runs));
    } catch (cause) {
      throw new Error(`MILLRACE_SEED=${SEED + runs} MILLRACE_FUZZ_SECONDS=0.1 repeats this`, {
        cause,
      });
    }
    runs++;
  } while (performance.now() < until);
}

/** The result of `decode`, or undefined when it refused its input as it should. */
function resultOf<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof AmqpFault) return undefined;
    throw error;
  }
}

function table(random: Random, depth = 0): FieldTable {
  const values = [
    () => random(2 ** 32) - 2 ** 31,
    () => 'text '.repeat(random(9)),
    () => new FieldTimestamp(random(2 ** 31)),
    () => Buffer.alloc(random(9)),
    () => null,
    () => random(1000) / 7,
    () => [1, 'two', [true]],
    () => (depth > 5 ? {} : table(random, depth + 1)),
  ];
  return Object.fromEntries(
    Array.from({ length: random(5) }, (_, at) => {
      const name = ['CC', 'x-delay', 'x-key', '__proto__', `n${at}`][random(5)] ?? '';
      return [name, values[random(values.length)]?.() ?? null];
    }),
  );
}

function properties(random: Random): Buffer {
  return encodeProperties({
    ...(random(2) === 0 ? {} : { headers: table(random) }),
    ...(random(2) === 0 ? {} : { contentType: 'a/b', expiration: String(random(99)) }),
    ...(random(2) === 0 ? {} : { deliveryMode: 1 + random(2), timestamp: random(2 ** 31) }),
  });
}

function method(random: Random): MethodInput {
  const name = NAMES[random(NAMES.length)] ?? 'basic.ack';
  const text = 'key.'.repeat(random(30));
  const fields = { queue: text, exchange: text, routingKey: text, arguments: table(random) };
  return {
    name,
    ...fields,
    deliveryTag: random(2 ** 32),
    multiple: random(2) === 0,
  } as MethodInput;
}

test('tables, properties and methods', () => {
  fuzz((random) => {
    const tableBytes = mutate(encodeTable(table(random)), random);
    const read = resultOf(() => decodeTable(tableBytes));
    if (read !== undefined) expect(decodeTable(encodeTable(read))).toEqual(read);
    const propertyBytes = mutate(properties(random), random);
    const facts = resultOf(() => readFacts(propertyBytes));
    const decoded = resultOf(() => decodeProperties(propertyBytes));
    if (decoded !== undefined) {
      expect(facts).toBeDefined();
      expect(withProperties(propertyBytes, {})).toEqual(propertyBytes);
    }
    const methodBytes = mutate(encodeMethod(method(random)), random);
    const received = resultOf(() => decodeMethod(methodBytes));
    if (received !== undefined) expect(decodeMethod(encodeMethod(received))).toEqual(received);
  });
});

/** A stream of frames; some damaged inside and then given a good frame again, as only a malicious client would. */
function stream(random: Random): Buffer {
  const writer = new FrameWriter();
  writer.setFrameMax(4_096);
  const frames: Buffer[] = [];
  const target = {
    write: (chunks: readonly Uint8Array[], done?: () => void): void => {
      frames.push(...split(Buffer.concat(chunks)));
      done?.();
    },
  };
  for (let count = 1 + random(6); count > 0; count--) {
    const channel = random(4);
    if (random(2) === 0) writer.method(channel, method(random));
    else {
      const body = Buffer.alloc(random(3) === 0 ? random(12_000) : random(50), 1);
      const publish = { name: 'basic.publish', routingKey: 'a' } as const;
      writer.content(channel, publish, properties(random), body);
    }
    writer.writeTo(target);
  }
  return Buffer.concat(
    frames.map((frame) => {
      if (random(4) > 0) return frame;
      if (random(3) === 0) return mutate(frame, random);
      const payload = mutate(frame.subarray(7, -1), random);
      const start = Buffer.from(frame.subarray(0, 7));
      start.writeUInt32BE(payload.length, 3);
      return Buffer.concat([start, payload, frame.subarray(-1)]);
    }),
  );
}

function split(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at + 3);
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return frames;
}

test('streams of frames, in any pieces', () => {
  fuzz((random) => {
    const bytes = stream(random);
    let bodyBytes = 0;
    const assembler = new FrameAssembler(
      {
        method: () => {},
        content: (_, __, { properties: flags, body }) => {
          bodyBytes += body.length;
          resultOf(() => readFacts(flags));
        },
        heartbeat: () => {},
        fault: (channel) => {
          if (random(2) === 0) assembler.skipContent(channel);
        },
      },
      { frameBytesMax: 4_096, bodyBytesMax: 11_000 },
    );
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random(random(2) === 0 ? 9 : 5_000);
      const piece = Buffer.from(bytes.subarray(at, at + size));
      assembler.push(piece);
      piece.fill(0xee);
      at += size;
      // Three contents, one frame and what waiting counts with.
      expect(assembler.incompleteBytes).toBeLessThan(3 * 11_000 + 3 * 4_096 + 20_000);
    }
    expect(bodyBytes).toBeLessThanOrEqual(bytes.length);
  });
});
