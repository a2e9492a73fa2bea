/**
 * Hostile bytes into every decoder: only a result or ML_WIRE_MALFORMED comes out, in bounded time and memory, and what
 * is accepted can be encoded again. MILLRACE_FUZZ_SECONDS=60 runs longer; MILLRACE_SEED=n repeats a run.
 */
import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { ALL_APIS, ALL_MESSAGES, versionsOf } from '../../../test/wire/all-messages.ts';
import { distinctMessage } from '../../../test/wire/distinct-values.ts';
import type { Value } from '../../../test/wire/message-arbitrary.ts';
import { MillraceError } from '../../core/errors.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { decodeFetchRequest } from './fetch-codec.ts';
import { FrameSplitter, decodeRequestHeader, decodeResponse, encodeResponse } from './frames.ts';
import { decodeProduceRequest } from './produce-codec.ts';
import { metadataRequest } from './messages/03-metadata.ts';
import { apiMessages } from './registry.ts';
import type { Message } from './schema.ts';
import { decodeVersioned } from './versioned.ts';

const SECONDS = Number(process.env['MILLRACE_FUZZ_SECONDS'] ?? 2);
/** Also on a machine that has no time. */
const RUNS_MIN = 1_000;
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000_007);
/** One message of at most a few kilobytes: generous for a machine under load, small against a hang. */
const DECODE_MS_MAX = 2_000;

interface Target {
  readonly name: string;
  /** Bytes that are right, to mutate. */
  readonly seed: Buffer;
  run(bytes: Buffer): void;
}

/** mulberry32: small, seeded, good enough to choose bytes. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function messageTarget(message: Message, version: number): Target {
  return {
    name: `${message.name} v${version}`,
    seed: encodeMessage(message, version, distinctMessage(message, version)),
    run: (bytes) => {
      const value = decodeMessage(message, version, bytes) as Value;
      const again = encodeMessage(message, version, value);
      // Not the same bytes: varints and unknown tags have more than one form. But the same value.
      expect(decodeMessage(message, version, again)).toEqual(value);
    },
  };
}

function frameTargets(): readonly Target[] {
  const fast = ALL_APIS.flatMap((api): Target[] =>
    versionsOf(api.request)
      .filter((version) => (api.key === 0 && version >= 3) || api.key === 1)
      .map((version) => ({
        name: `fast ${api.name} v${version}`,
        seed: encodeMessage(api.request, version, distinctMessage(api.request, version)),
        run: (bytes) => {
          if (api.key === 0) decodeProduceRequest(bytes, version, 0);
          else decodeFetchRequest(bytes, version, 0);
        },
      })),
  );
  const responses = ALL_APIS.map((api): Target => {
    const version = api.response.maxVersion;
    const header = { apiVersion: version, correlationId: 7 };
    return {
      name: `${api.name} response frame`,
      seed: encodeResponse(api, header, distinctMessage(api.response, version)).subarray(4),
      run: (bytes) => decodeResponse(api, version, bytes),
    };
  });
  const versioned = ALL_MESSAGES.map(
    (message): Target => ({
      name: `versioned ${message.name}`,
      seed: Buffer.concat([
        Buffer.from([0, message.maxVersion]),
        encodeMessage(message, message.maxVersion, distinctMessage(message, message.maxVersion)),
      ]),
      run: (bytes) => decodeVersioned(message, bytes),
    }),
  );
  return [
    ...fast,
    ...responses,
    ...versioned,
    {
      name: 'request header',
      seed: Buffer.from('00030009000000050002616201070 2abcd'.replaceAll(' ', ''), 'hex'),
      run: (bytes) => decodeRequestHeader(bytes, apiMessages),
    },
    {
      name: 'frames',
      seed: Buffer.from('00000003616263000000026465', 'hex'),
      run: (bytes) => {
        const splitter = new FrameSplitter(1024);
        for (let at = 0; at < bytes.length; at += 3) {
          splitter.push(Buffer.from(bytes.subarray(at, at + 3)), () => undefined);
          if (splitter.bufferedBytes > 1028) throw new Error('too much is kept');
        }
      },
    },
  ];
}

const TARGETS: readonly Target[] = [
  ...ALL_MESSAGES.flatMap((message) =>
    versionsOf(message).map((version) => messageTarget(message, version)),
  ),
  ...frameTargets(),
];

const EDGES = [0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff] as const;

function below(random: () => number, max: number): number {
  return Math.floor(random() * max);
}

/** Right bytes with a few edits, or bytes of no meaning at all. */
function hostile(random: () => number, seed: Buffer): Buffer {
  if (random() < 0.1) {
    return Buffer.from(Array.from({ length: below(random, 64) }, () => below(random, 256)));
  }
  let bytes = Buffer.from(seed);
  for (let edits = 1 + below(random, 4); edits > 0; edits--) {
    const at = below(random, bytes.length + 1);
    const byte = random() < 0.6 ? (EDGES[below(random, EDGES.length)] ?? 0) : below(random, 256);
    switch (below(random, 5)) {
      case 0:
        bytes = bytes.subarray(0, at);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([byte]), bytes.subarray(at)]);
        break;
      case 2:
        // A length or count as large as it gets.
        bytes.fill(0xff, at, Math.min(bytes.length, at + 4));
        break;
      default:
        if (at < bytes.length) bytes[at] = byte;
    }
  }
  return bytes;
}

/** @returns whether the bytes were accepted */
function accepts(target: Target, bytes: Buffer): boolean {
  const started = performance.now();
  try {
    target.run(bytes);
    return true;
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_WIRE_MALFORMED') return false;
    throw error;
  } finally {
    expect(performance.now() - started).toBeLessThan(DECODE_MS_MAX);
  }
}

test('accepts every message before it is damaged', () => {
  expect(TARGETS.length).toBeGreaterThan(600);
  for (const target of TARGETS) {
    expect({ name: target.name, accepted: accepts(target, target.seed) }).toEqual({
      name: target.name,
      accepted: true,
    });
  }
});

test(
  'gives a result or ML_WIRE_MALFORMED for any bytes',
  () => {
    const until = performance.now() + SECONDS * 1000;
    let runs = 0;
    let accepted = 0;
    while (runs < RUNS_MIN || performance.now() < until) {
      const random = randomFrom(SEED + runs);
      const target = TARGETS[below(random, TARGETS.length)];
      if (target === undefined) break;
      const bytes = hostile(random, target.seed);
      try {
        if (accepts(target, bytes)) accepted++;
      } catch (error) {
        throw new Error(
          `MILLRACE_SEED=${SEED + runs} MILLRACE_FUZZ_SECONDS=0.1 repeats this: ${target.name} with ${bytes.toString('hex')}`,
          { cause: error },
        );
      }
      runs++;
    }
    // Both outcomes, and often, or the damage teaches nothing.
    expect(accepted / runs).toBeGreaterThan(0.05);
    expect(accepted / runs).toBeLessThan(0.95);
  },
  (SECONDS + 60) * 1000,
);

test('a message of the smallest elements takes no more memory than the element budget allows', () => {
  // 8 MiB in which 4 million topics fit, an empty name and no tags each.
  const bytes = Buffer.alloc(8 << 20);
  bytes.set(Buffer.from('8192f401', 'hex'));
  for (let at = 4; at < bytes.length; at += 2) bytes[at] = 1;
  const before = process.memoryUsage().heapUsed;
  expect(() => decodeMessage(metadataRequest, 9, bytes)).toThrow('too many');
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 << 20);
});
