/** What stores are made of, each against the plainest thing that does the same. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { BigMap } from '../../../src/engine/stream/state/big-map.ts';
import { DueQueue } from '../../../src/engine/stream/state/due-queue.ts';
import {
  compareEntryKeys,
  decodeEntryKey,
  encodeEntryKey,
  keyOfOrder,
  orderBehind,
  orderOf,
  orderOfPrefix,
} from '../../../src/engine/stream/state/entry-key.ts';
import { openMemoryState } from '../../../src/engine/stream/state/task-state.ts';
import { SortedStrings } from '../../../src/engine/stream/state/sorted-strings.ts';

test('a big map is a map, whatever one Map may hold', () => {
  const step = fc.tuple(fc.constantFrom('set', 'delete', 'get'), fc.nat(20));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const map = new BigMap<number, number>(3);
      const model = new Map<number, number>();
      for (const [index, [what, key]] of steps.entries()) {
        if (what === 'set') {
          map.set(key, index);
          model.set(key, index);
        } else if (what === 'delete') {
          map.delete(key);
          model.delete(key);
        }
        expect(map.get(key)).toBe(model.get(key));
        expect(map.size).toBe(model.size);
      }
      const seen = new Map<number, number>();
      map.forEach((value, key) => seen.set(key, value));
      expect(seen).toEqual(model);
    }),
  );
});

test('sorted strings are walked in order from anywhere, also while they change', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\xff', '\0'), maxLength: 12 });
  fc.assert(
    fc.property(
      fc.uniqueArray(text, { maxLength: 30 }),
      fc.integer({ min: 0, max: 2_000 }),
      text,
      (texts, more, from) => {
        const all = new Set([...texts, ...Array.from({ length: more }, (_, index) => `n${index}`)]);
        const sorted = new SortedStrings(texts);
        for (const one of all) sorted.add(one);
        const seen: string[] = [];
        sorted.walk(from, (one) => {
          seen.push(one);
          if (seen.length % 2 === 0) sorted.delete(one);
        });
        const expected = [...all].filter((one) => one >= from).sort();
        expect(seen).toEqual(expected);
        const left: string[] = [];
        sorted.walk('', (one) => void left.push(one));
        const deleted = new Set(expected.filter((_, index) => index % 2 === 1));
        expect(left).toEqual([...all].filter((one) => !deleted.has(one)).sort());
      },
    ),
    { numRuns: 60 },
  );
});

test('a queue of what is due gives the earliest first', () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.integer({ min: -50, max: 50 })), { maxLength: 200 }),
      (steps) => {
        const queue = new DueQueue<number>();
        const model: number[] = [];
        for (const due of steps) {
          if (due !== null) {
            queue.push(due, due);
            model.push(due);
          } else if (model.length > 0) {
            model.sort((a, b) => a - b);
            expect(queue.next).toBe(model[0]);
            expect(queue.pop()).toBe(model.shift());
          }
          expect(queue.size).toBe(model.length);
        }
      },
    ),
  );
});

const { key: anyKey } = fc.letrec<{ key: unknown }>((tie) => ({
  key: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc
      .array(fc.integer({ min: 0xd7ff, max: 0xe001 }), { maxLength: 3 })
      .map((units) => String.fromCharCode(...units)),
    fc.double(),
    fc.constantFrom(null, undefined, true, -0, Number.NaN),
    fc.bigInt({ min: -300n, max: 300n }),
    fc.uint8Array({ maxLength: 4 }),
    fc.array(tie('key'), { maxLength: 3 }),
  ),
}));

test('entry keys come back, and are in the order that keys are compared in', () => {
  fc.assert(
    fc.property(anyKey, anyKey, fc.double({ noNaN: true }), (a, b, sub) => {
      const writer = new ByteWriter();
      encodeEntryKey(a, sub, writer);
      const decoded = decodeEntryKey(writer.buffer, 0, writer.length);
      expect(orderOf(decoded.key)).toBe(orderOf(a));
      expect(decoded.sub).toBe(sub + 0);
      expect(orderOf(keyOfOrder(orderOf(a)))).toBe(orderOf(a));
      const [x, y] = [orderOf(a), orderOf(b)];
      expect(Math.sign(compareEntryKeys(a, b))).toBe(x < y ? -1 : x > y ? 1 : 0);
      const prefix = orderOfPrefix([a]);
      const isIn = (key: unknown): boolean =>
        orderOf(key) >= prefix && orderOf(key) < (orderBehind(prefix) ?? '\u{ffff}');
      expect(isIn([a, b])).toBe(true);
      expect(isIn([a])).toBe(true);
      expect(isIn(a)).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test('whatever a changelog holds, it is restored or refused by a named error', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 30 }),
      fc.uint8Array({ maxLength: 30 }),
      (key, value) => {
        const state = openMemoryState();
        const store = state.store({ name: 's', dueOf: () => 1 });
        try {
          state.restore('s', Buffer.from(key), Buffer.from(value));
          store.range(undefined, undefined, () => undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(MillraceError);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('a value that cannot be stored is refused with the store and the key, and an abort goes on from there', () => {
  const state = openMemoryState();
  const store = state.store<unknown>({ name: 'carts' });
  store.put('anna', 0, 1, 1);
  store.put('bert', 0, { total: () => 1 }, 1);
  expect(() => state.flush(() => undefined)).toThrow(
    'the state of carts for key "bert" cannot be stored: .total is a function',
  );
  state.abort();
  expect(store.size).toBe(0);
  store.put('anna', 0, 2, 1);
  const keys: number[] = [];
  state.flush((_store, key) => void keys.push(key.length));
  state.committed(new Map());
  expect(keys).toHaveLength(1);
  expect(store.get('anna', 0)).toBe(2);
});

test('what is put, flushed, and deleted before the commit is deleted in the changelog, too', () => {
  const state = openMemoryState();
  const store = state.store<number>({ name: 's' });
  const log: (string | null)[] = [];
  const flush = (): void =>
    state.flush((_store, _key, value) => void log.push(value === null ? null : 'value'));
  store.put('a', 0, 1, 1);
  flush();
  store.put('a', 0, undefined, 2);
  flush();
  store.put('b', 0, 1, 1);
  store.put('b', 0, undefined, 2);
  flush();
  state.committed(new Map());
  expect(log).toEqual(['value', null]);
});
