import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../core/byte-writer.ts';
import type { Env } from '../../core/env.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { MillraceError } from '../../core/errors.ts';
import { readWholeFile, replaceFile } from '../../core/files.ts';
import { encodeKey } from '../../core/key-codec.ts';
import { partitionOfKey } from '../../core/key-partition.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import type { Part } from '../../flow/sink.ts';
import { runs } from '../../../test/runs.ts';
import { buildFilter, hashOf, mayHold } from './table-format.ts';
import type { TableReader } from './table-reader.ts';
import { openTable } from './table-reader.ts';
import { tableSink } from './table-sink.ts';
import { tableSource } from './table-source.ts';

type Entry = readonly [key: unknown, value: unknown];

function onMachine<T>(body: (env: Env) => Promise<T>): Promise<T> {
  const machine = new SimMachine(1);
  machine.faults.shortReadProbability = 0.3;
  machine.faults.shortWriteProbability = 0.3;
  return machine.run(body(machine.boot()), { eventsMax: 50_000_000, withinMs: 1e10 });
}

function encoded(key: unknown): Buffer {
  const writer = new ByteWriter();
  encodeKey(key, writer);
  return writer.buffer.subarray(0, writer.length);
}

const byKey = (a: Entry, b: Entry): number => Buffer.compare(encoded(a[0]), encoded(b[0]));

/** Writes a table as the engine does: `choose` says which partition a key goes to. */
async function writeTable(
  env: Env,
  path: string,
  entries: readonly Entry[],
  partitions = 1,
  choose = (key: Buffer): number => partitionOfKey(key, 0, key.length, partitions),
): Promise<void> {
  const sink = tableSink(path, { partitions });
  const directory = `${path}-made`;
  const parts: Part[] = [];
  env.fs.makeDirectory(directory);
  for (let partition = 0; partition < partitions; partition++) {
    env.fs.makeDirectory(`${directory}/attempt-${partition}`);
    const writer = sink.open({
      env,
      directory: `${directory}/attempt-${partition}`,
      task: partition,
    });
    const own = entries.filter(([key]) => choose(encoded(key)) === partition).toSorted(byKey);
    for (const [key, value] of own) writer.write(value, key);
    const [part] = await writer.finish();
    await writer.abort();
    if (part === undefined) throw new Error('a partition is always a part');
    const name = `${directory}/part-${String(partition).padStart(5, '0')}.table`;
    env.fs.rename(part.path, name);
    await env.fs.removeDirectory(`${directory}/attempt-${partition}`);
    parts.push({ ...part, path: name });
  }
  await sink.complete?.({ env, directory, parts });
  env.fs.rename(directory, path);
}

async function errorOf(work: () => unknown): Promise<MillraceError | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  return undefined;
}

async function codeOf(work: () => unknown): Promise<ErrorCode | undefined> {
  return (await errorOf(work))?.code;
}

const scalar = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.integer({ min: -20, max: 20 }),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt({ min: -300n, max: 300n }),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 4 }),
);
const key = fc.oneof(scalar, fc.array(scalar, { maxLength: 3 }));
const value = fc.oneof(
  fc.jsonValue(),
  fc.constant(undefined),
  fc.nat(4).map((count) => 'a long value '.repeat(count * 200)),
);
const entriesOf = fc.array(fc.tuple(key, value), { maxLength: 50, size: 'max' });

/** The latest value per key, in the order of the keys. */
function oracleOf(entries: readonly Entry[]): Entry[] {
  const latest = new Map(entries.map((entry) => [encoded(entry[0]).toString('hex'), entry]));
  return [...latest.values()].toSorted(byKey);
}

/** As a key comes back: -0 is 0, bytes are plain. */
function plain(entries: Iterable<{ key: unknown; value: unknown }>): [string, unknown][] {
  return [...entries].map((entry) => [encoded(entry.key).toString('hex'), entry.value]);
}

const plainOf = (entries: readonly Entry[]): [string, unknown][] =>
  plain(entries.map(([found, kept]) => ({ key: found, value: kept })));

/** Every read takes a millisecond: after the first one they are made beside the event loop. */
function withSlowReads(env: Env): Env {
  let nowMs = 0;
  return { ...env, clock: { ...env.clock, monotonicMs: () => nowMs++ } };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test('any table answers as a map of the latest value per key', async () => {
  const partitions = fc.constantFrom(1, 2, 3, 8);
  await fc.assert(
    fc.asyncProperty(
      entriesOf,
      fc.array(key),
      partitions,
      fc.boolean(),
      (entries, others, count, slow) =>
        onMachine(async (env) => {
          await writeTable(env, '/data/t', entries, count);
          const options = { env: slow ? withSlowReads(env) : env, cacheBytes: 20_000 };
          await using table = await openTable('/data/t', options);
          const oracle = oracleOf(entries);
          expect(table.size).toBe(oracle.length);
          const held = new Map(plainOf(oracle));
          const asked = [...entries.map(([found]) => found), ...others];
          for (const one of asked) {
            const name = encoded(one).toString('hex');
            expect(await table.get(one)).toEqual(held.get(name));
            expect(await table.has(one)).toBe(held.has(name));
          }
          const many = await table.getMany(asked);
          expect(many).toEqual(asked.map((one) => held.get(encoded(one).toString('hex'))));
          expect(plain(await all(table.range()))).toEqual(plainOf(oracle));
        }),
    ),
    { numRuns: runs(30) },
  );
}, 60_000);

test('any range gives the keys inside its bounds, in both directions', async () => {
  const bound = fc.option(key, { nil: undefined });
  const limit = fc.option(fc.nat(20), { nil: undefined });
  await fc.assert(
    fc.asyncProperty(
      entriesOf,
      fc.record({ from: bound, to: bound, limit, reverse: fc.boolean() }),
      fc.constantFrom(1, 3),
      (entries, options, count) =>
        onMachine(async (env) => {
          await writeTable(env, '/data/t', entries, count);
          await using table = await openTable('/data/t', { env });
          const { from, limit: most = Number.MAX_SAFE_INTEGER, reverse, to } = options;
          const inside = oracleOf(entries).filter(
            ([found]) =>
              (from === undefined || Buffer.compare(encoded(found), encoded(from)) >= 0) &&
              (to === undefined || Buffer.compare(encoded(found), encoded(to)) < 0),
          );
          const expected = plainOf(reverse ? inside.toReversed() : inside).slice(0, most);
          const asked = {
            reverse,
            ...(from === undefined ? {} : { from }),
            ...(to === undefined ? {} : { to }),
            ...(options.limit === undefined ? {} : { limit: options.limit }),
          };
          expect(plain(await table.entries(asked))).toEqual(expected);
          expect(plain((await all(table.batches(asked))).flat())).toEqual(expected);
        }),
    ),
    { numRuns: runs(50) },
  );
}, 60_000);

test('a prefix is the beginning of a string, of bytes, or the first elements of an array', () =>
  onMachine(async (env) => {
    const keys = [
      '',
      'a',
      'ab',
      'abc',
      'b',
      'a\uffff',
      'é',
      ['a'],
      ['a', 1],
      ['a', 2, 'x'],
      ['ab'],
      ['b', 1],
    ];
    keys.push(
      new Uint8Array([1]) as never,
      new Uint8Array([1, 255]) as never,
      new Uint8Array([2]) as never,
    );
    await writeTable(
      env,
      '/data/t',
      keys.map((one, index) => [one, index]),
      2,
    );
    await using table = await openTable('/data/t', { env });
    const found = async (prefix: unknown): Promise<unknown[]> =>
      (await table.entries({ prefix })).map((entry) => entry.key);
    expect(await found('a')).toEqual(['a', 'ab', 'abc', 'a\uffff']);
    expect(await found('')).toHaveLength(7);
    expect(await found('ab')).toEqual(['ab', 'abc']);
    expect(await found(['a'])).toEqual([['a'], ['a', 1], ['a', 2, 'x']]);
    expect(await found(['a', 2])).toEqual([['a', 2, 'x']]);
    expect(await found([])).toHaveLength(5);
    expect(await found(new Uint8Array([1]))).toHaveLength(2);
    expect(
      (await table.entries({ prefix: 'a', from: 'ab', to: 'abd' })).map((entry) => entry.key),
    ).toEqual(['ab', 'abc']);
    expect((await table.entries({ prefix: 'a', reverse: true, limit: 1 }))[0]?.key).toBe('a\uffff');
    expect(await codeOf(() => found(5))).toBe('ML_KEY_INVALID');
  }));

test('parts that are no partitions by hash are still one table, and the last one wins', () =>
  onMachine(async (env) => {
    const entries = Array.from({ length: 200 }, (_, index): Entry => [index, { index }]);
    await writeTable(env, '/data/t', entries, 4, (found) => Math.floor((found[1] ?? 0) / 2) % 4);
    await using table = await openTable<number>('/data/t', { env });
    for (const [found, kept] of entries) expect(await table.get(found as number)).toEqual(kept);
    expect(await table.get(200)).toBeUndefined();
    expect((await table.entries({})).map((entry) => entry.key)).toEqual(
      entries.map(([found]) => found),
    );
    // The same keys in every part.
    const sink = tableSink('/data/u');
    const parts: Part[] = [];
    env.fs.makeDirectory('/data/u');
    for (const part of [0, 1, 2]) {
      env.fs.makeDirectory(`/data/attempt-${part}`);
      const writer = sink.open({ env, directory: `/data/attempt-${part}`, task: part });
      for (let index = 0; index < 20; index++) writer.write(`${index} of ${part}`, index);
      const [made] = await writer.finish();
      if (made === undefined) throw new Error('none');
      env.fs.rename(made.path, `/data/u/${part}`);
      parts.push({ ...made, path: `/data/u/${part}` });
    }
    await sink.complete?.({ env, directory: '/data/u', parts });
    await using same = await openTable<number, string>('/data/u', { env });
    expect(await same.get(7)).toBe('7 of 2');
    const values = (await same.entries({})).map((entry) => entry.value);
    expect(values).toEqual(Array.from({ length: 20 }, (_, index) => `${index} of 2`));
    expect((await same.entries({ reverse: true })).map((entry) => entry.value)).toEqual(
      values.toReversed(),
    );
  }));

test('whichever part a key is in, it is found', async () => {
  const layout = fc.record({
    count: fc.constantFrom(2, 3, 4),
    turned: fc.nat(3),
    strays: fc.constantFrom(0, 0, 1, 20),
  });
  await fc.assert(
    fc.asyncProperty(entriesOf, layout, (entries, { count, strays, turned }) =>
      onMachine(async (env) => {
        // Partitions by hash, in another order, with a few keys that are not where they belong.
        let left = strays;
        const moved = new Map<string, number>();
        const choose = (one: Buffer): number => {
          const name = one.toString('hex');
          if (!moved.has(name)) moved.set(name, left-- > 0 ? 1 : 0);
          return (
            (partitionOfKey(one, 0, one.length, count) + turned + (moved.get(name) ?? 0)) % count
          );
        };
        await writeTable(env, '/data/t', entries, count, choose);
        await using table = await openTable('/data/t', { env });
        for (const [found, kept] of oracleOf(entries)) expect(await table.get(found)).toEqual(kept);
        expect(plain(await table.entries({}))).toEqual(plainOf(oracleOf(entries)));
      }),
    ),
    { numRuns: runs(30) },
  );
}, 60_000);

test('records out of order are a mistake of the engine, and found', () =>
  onMachine(async (env) => {
    const writer = tableSink('/data/t').open({ env, directory: '/data', task: 0 });
    writer.write(1, 'b');
    writer.write(2, 'b');
    expect(await codeOf(() => writer.write(3, 'a'))).toBe('ML_ASSERT');
    await writer.abort();
  }));

test('a source reads all entries once, in order, however it is cut', async () => {
  const entries = Array.from(
    { length: 3_000 },
    (_, index): Entry => [`key ${index}`, { index, text: 'x'.repeat(index % 50) }],
  );
  for (const splitBytes of [1, 20_000, 1e9])
    await onMachine(async (env) => {
      await writeTable(env, '/data/t', entries, 3);
      const source = tableSource('t');
      const context = { env, directory: '/data', brokers: undefined, malformed: () => {} };
      const plan = await source.plan({ env, directory: '/data', splitBytes, brokers: undefined });
      expect(plan.files).toHaveLength(3);
      expect(plan.splits.map((split) => split.index)).toEqual([...plan.splits.keys()]);
      const found: Entry[] = [];
      for (const split of plan.splits) {
        const reader = source.open(JSON.parse(JSON.stringify(split)) as typeof split, context);
        let pauses = 0;
        let mark = 0;
        while (
          !(await reader.read((kept, one) => {
            found.push([one, kept]);
            if (pauses === 1) mark = reader.mark();
            return ++pauses % 7 !== 0;
          }))
        );
        expect(reader.consumedBytes).toBe(split.bytes);
        if (pauses > 2) expect(reader.locate(mark)).toMatch(/part-0000\d\.table@\d+, entry \d/);
        expect(reader.position()).toContain('.table@');
        await reader.close();
      }
      const partition = ([one]: Entry): number =>
        partitionOfKey(encoded(one), 0, encoded(one).length, 3);
      expect(found).toEqual(entries.toSorted((a, b) => partition(a) - partition(b) || byKey(a, b)));
    });
});

test('about one absent key in a hundred passes a filter, and every key that is there', () => {
  const hashes = Uint32Array.from({ length: 20_000 }, (_, index) => {
    const bytes = encoded(`key ${index}`);
    return hashOf(bytes, 0, bytes.length);
  });
  // As in partition 3 of 16: the lowest bits of all hashes are the same.
  for (const kept of [hashes, hashes.filter((hash) => hash % 16 === 3)]) {
    const filter = buildFilter(kept).subarray(0, -4);
    expect(kept.every((hash) => mayHold(filter, hash))).toBe(true);
    let passed = 0;
    for (let index = 0; index < 20_000; index++) {
      const bytes = encoded(`absent ${index}`);
      if (mayHold(filter, hashOf(bytes, 0, bytes.length))) passed++;
    }
    expect(passed / 20_000).toBeGreaterThan(0.001);
    expect(passed / 20_000).toBeLessThan(0.02);
  }
});

test('what is no table, a closed one, and wrong options are told', () =>
  onMachine(async (env) => {
    const missing = await errorOf(() => openTable('/data/none', { env }));
    expect(missing?.code).toBe('ML_FILE_NOT_FOUND');
    expect(missing?.message).toBe('there is no table at /data/none');
    await writeTable(env, '/data/t', [['a', 1]]);
    expect(await codeOf(() => openTable('/data/t', { env, cacheBytes: -1 }))).toBe(
      'ML_CONFIG_INVALID',
    );
    const table = await openTable('/data/t', { env });
    expect(await codeOf(() => table.get({ no: 'key' }))).toBe('ML_KEY_INVALID');
    expect(await codeOf(() => table.entries({ limit: -1 }))).toBe('ML_CONFIG_INVALID');
    await table.close();
    await table.close();
    for (const call of [
      () => table.get('a'),
      () => table.has('a'),
      () => table.size,
      () => table.entries({}),
      () => table.reload(),
    ])
      expect(await codeOf(call)).toBe('ML_FILE_CLOSED');
    for (const [path, options] of [
      ['-', {}],
      ['', {}],
      ['a', { partitions: 0 }],
      ['a', { partitions: 1.5 }],
    ] as const)
      expect(await codeOf(() => tableSink(path, options))).toBe('ML_FLOW_INVALID');
    expect(tableSink('a', { partitions: 7 })).toMatchObject({
      partitions: 7,
      arrangement: 'by-key',
    });
  }));

/** Everything that a table can be asked. Throws when an answer is not that of the oracle. */
async function askAll(table: TableReader, oracle: readonly Entry[]): Promise<void> {
  expect(table.size).toBe(oracle.length);
  for (const [found, kept] of oracle) expect(await table.get(found)).toEqual(kept);
  expect(await table.get('certainly not there')).toBeUndefined();
  expect(plain(await table.entries({}))).toEqual(plainOf(oracle));
}

test('bit flips and truncations of any file give the right answer or an error, never another answer', async () => {
  const entries = Array.from(
    { length: 120 },
    (_, index): Entry => [`k${index}`, { index, text: 'v'.repeat(index * 3) }],
  );
  const oracle = oracleOf(entries);
  await onMachine(async (env) => {
    await writeTable(env, '/data/t', entries, 2);
    const names = env.fs.list('/data/t');
    expect(names).toEqual(['_table.json', 'part-00000.table', 'part-00001.table']);
    const originals = new Map(
      names.map((name) => [name, readWholeFile(env.fs, `/data/t/${name}`)]),
    );
    let damages = 0;
    const check = async (name: string, bytes: Buffer): Promise<void> => {
      await replaceFile(env.fs, `/data/t/${name}`, bytes);
      const error = await errorOf(async () => {
        await using table = await openTable('/data/t', { env });
        await askAll(table, oracle);
      });
      if (error !== undefined) {
        expect(error.code, error.message).toBe('ML_TABLE_DAMAGED');
        expect(error.message).toContain(`/data/t/`);
        expect(error.fields).toMatchObject({
          path: expect.any(String),
          position: expect.any(Number),
        });
        damages++;
      }
      await replaceFile(env.fs, `/data/t/${name}`, originals.get(name) ?? Buffer.alloc(0));
    };
    let state = 12_345;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let checks = 0;
    for (const [name, bytes] of originals) {
      // Every bit near the end, where everything is found from, and many others.
      const tail = Array.from({ length: 100 * 8 }, (_, index) => bytes.length * 8 - 1 - index);
      const bits = [
        ...tail.filter((_, index) => index % 5 === 0),
        ...Array.from({ length: 150 }, () => random(bytes.length * 8)),
      ];
      for (const bit of bits) {
        if (bit < 0) continue;
        const flipped = Buffer.from(bytes);
        flipped[bit >>> 3] = (flipped[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
        await check(name, flipped);
        checks++;
      }
      for (const length of [
        0,
        1,
        8,
        63,
        64,
        65,
        bytes.length - 1,
        random(bytes.length),
        random(bytes.length),
      ]) {
        await check(name, bytes.subarray(0, length));
        checks++;
      }
      await check(name, Buffer.concat([bytes, Buffer.alloc(64)]));
      checks++;
    }
    // Nothing is in these files that no answer depends on.
    expect(damages).toBe(checks);
    const [, first, second] = names;
    await check(first ?? '', originals.get(second ?? '') ?? Buffer.alloc(0));
  });
}, 60_000);
