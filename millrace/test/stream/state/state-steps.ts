/** Random lives of a task's state, on any base, against the model. */
import assert from 'node:assert/strict';
import fc from 'fast-check';

import { orderOf } from '../../../src/engine/stream/state/entry-key.ts';
import type {
  ReadableStore,
  Store,
  StoredEntry,
  TaskState,
} from '../../../src/engine/stream/state/store.ts';
import { bytesOf, type ModelEntry, StoreModel } from './state-model.ts';

/** What can be changed in place. */
interface Box {
  due: number;
  items: number[];
}

export type Step =
  | {
      readonly kind: 'put';
      readonly store: number;
      readonly key: unknown;
      readonly pick?: number | undefined;
      readonly sub: number;
      /** Other subs, of the same key, that get the same. */
      readonly more: readonly number[];
      readonly value: unknown;
    }
  | {
      readonly kind: 'change' | 'spoil' | 'get' | 'delete' | 'floor';
      readonly store: number;
      readonly key: unknown;
      readonly pick?: number | undefined;
      readonly sub: number;
    }
  | {
      readonly kind: 'scan';
      readonly store: number;
      readonly key: unknown;
      readonly pick?: number | undefined;
      readonly from: number;
      readonly to: number;
      readonly how: How;
    }
  | {
      readonly kind: 'range';
      readonly store: number;
      readonly from: unknown;
      readonly to: unknown;
      readonly how: How;
    }
  | {
      readonly kind: 'prefix';
      readonly store: number;
      readonly elements: readonly unknown[];
      readonly how: How;
    }
  | { readonly kind: 'due'; readonly store: number; readonly until: number; readonly how: How }
  | {
      readonly kind: 'view';
      readonly store: number;
      readonly from: unknown;
      readonly to: unknown;
      readonly limit: number;
    }
  | { readonly kind: 'flush' | 'commit' | 'abort' | 'reopen' | 'crash' | 'lose' | 'idle' };

type How = 'look' | 'delete' | 'change' | 'stop';

const anyKey = fc.oneof(
  { weight: 8, arbitrary: fc.constant<unknown>('a') },
  {
    weight: 4,
    arbitrary: fc.constantFrom<unknown>('a', 'b', 'ab', '', 'a\0', '\uffff', '\u{10000}', 'é'),
  },
  { weight: 2, arbitrary: fc.constantFrom<unknown>(0, -0, 1, -1.5, Number.NaN, 1e300) },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(null, true, undefined, 7n, new Date(5)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(Buffer.from('a'), Buffer.alloc(0), Buffer.from([0xff, 0])),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(
      [],
      ['a'],
      ['a', 1],
      ['a', 'b'],
      ['ab'],
      [['a']],
      [Number.NaN],
      ['a', 0xff],
    ),
  },
);
const anySub = fc.constantFrom(0, 1, 2, 3, 10, -5, 1_700_000_000_000, 0.5);
const anyBox = fc.record({
  due: fc.constantFrom(5, 10, 20, 30, Number.POSITIVE_INFINITY),
  items: fc.array(fc.nat(9), { maxLength: 3 }),
});
const anyValue = fc.oneof(
  { weight: 3, arbitrary: anyBox },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(0, 1, -1, 2.5, 'text', '', 'é', null, false, true, 12n),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(
      new Date(10),
      Buffer.from('xyz'),
      [1, [2]],
      new Map([[1, { due: 3 }]]),
      new Set(['x']),
    ),
  },
);
const how = fc.constantFrom<How>('look', 'delete', 'change', 'stop');
const store = fc.nat(1);
/** Which of the entries that there are is meant, instead of the key and sub of the step; undefined: none. */
const pick = fc.option(fc.nat(50), { nil: undefined, freq: 4 });

export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      store,
      key: anyKey,
      pick,
      sub: anySub,
      more: fc.array(anySub, { maxLength: 3 }),
      value: anyValue,
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'change' as const,
        'spoil' as const,
        'get' as const,
        'delete' as const,
        'floor' as const,
      ),
      store,
      key: anyKey,
      pick,
      sub: anySub,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('scan' as const),
      store,
      key: anyKey,
      pick,
      from: anySub,
      to: anySub,
      how,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('range' as const),
      store,
      from: anyKey,
      to: anyKey,
      how,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('prefix' as const),
      store,
      elements: fc.constantFrom([], ['a'], ['a', 1], [Number.NaN]),
      how,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('due' as const),
      store,
      until: fc.constantFrom(5, 10, 20, 25, 30),
      how,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('view' as const),
      store,
      from: anyKey,
      to: anyKey,
      limit: fc.nat(6),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'flush' as const,
        'commit' as const,
        'commit' as const,
        'abort' as const,
        'idle' as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('reopen' as const, 'crash' as const, 'lose' as const),
    }),
  },
);

/** A state under test, and how it dies. */
export interface Base {
  open(): Promise<TaskState>;
  /** What was not durable is gone. */
  crash(state: TaskState): Promise<void>;
  /** The disk, if it has one, is lost. */
  lose(): Promise<void>;
}

interface LogRecord {
  readonly store: string;
  readonly key: Buffer;
  readonly value: Buffer | null;
}

const NAMES = ['plain', 'timed'];

function isBox(value: unknown): value is Box {
  return typeof value === 'object' && value !== null && 'due' in value && 'items' in value;
}

function dueOf(value: unknown): number {
  return isBox(value) ? value.due : Number.POSITIVE_INFINITY;
}

/** One life. */
export class Life {
  private readonly base: Base;
  private readonly models = [new StoreModel(), new StoreModel()];
  private state: TaskState;
  private stores: Store[] = [];
  /** What is committed in the changelogs, and what is appended. */
  private log: LogRecord[] = [];
  private open: LogRecord[] = [];

  private constructor(base: Base, state: TaskState) {
    this.base = base;
    this.state = state;
    this.openStores();
  }

  static async begin(base: Base): Promise<Life> {
    return new Life(base, await base.open());
  }

  async end(): Promise<void> {
    await this.state.close();
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'flush':
        return this.flush();
      case 'commit':
        return this.commit();
      case 'abort':
        return this.abort();
      case 'idle':
        return this.state.settled();
      case 'reopen':
        this.commit();
        await this.state.close();
        return this.restart();
      case 'crash':
        await this.base.crash(this.state);
        return this.restart();
      case 'lose':
        await this.base.crash(this.state);
        await this.base.lose();
        return this.restart();
      case 'put':
      case 'get':
      case 'delete':
      case 'change':
      case 'spoil':
      case 'floor':
      case 'scan':
      case 'range':
      case 'prefix':
      case 'due':
      case 'view':
        return this.touch(step);
    }
  }

  /** Everything there is, compared. */
  check(): void {
    for (const [index, model] of this.models.entries()) {
      const store = this.stores[index] as Store;
      const seen: ModelEntry[] = [];
      store.range(undefined, undefined, (key, sub, value) => void seen.push({ key, sub, value }));
      same(seen, model.now);
      assert.equal(store.size, model.now.length);
      const view = this.state.committedView(NAMES[index] ?? '');
      same([...(view?.range(undefined, undefined, 1e9) ?? [])], model.committed);
      // Pages, each behind the last entry of the one before, are the same.
      for (const limit of [1, 3])
        same(view === undefined ? [] : pagesOf(view, limit), model.committed);
      for (const { key } of model.committed.slice(0, 3))
        same(
          [...(view?.ofKey(key) ?? [])],
          model.committed.filter((entry) => bytesOf(entry.key).equals(bytesOf(key))),
        );
      assert.equal(view?.size, model.committed.length);
      const due =
        index === 0 ? Infinity : Math.min(Infinity, ...model.now.map(({ value }) => dueOf(value)));
      assert.ok(store.nextDue <= due);
    }
  }

  private touch(
    given: Exclude<
      Step,
      { readonly kind: 'flush' | 'commit' | 'abort' | 'reopen' | 'crash' | 'lose' | 'idle' }
    >,
  ): void {
    const step = this.aimed(given);
    const store = this.stores[step.store] as Store;
    const model = this.models[step.store] as StoreModel;
    switch (step.kind) {
      case 'put':
        for (const sub of [step.sub, ...step.more]) {
          store.put(step.key, sub, structuredClone(step.value), 1);
          model.put(step.key, sub, step.value);
        }
        return;
      case 'get':
        same(store.get(step.key, step.sub), model.get(step.key, step.sub));
        return;
      case 'delete':
        store.put(step.key, step.sub, undefined, 2);
        model.put(step.key, step.sub, undefined);
        return;
      case 'change': {
        const value = store.get(step.key, step.sub);
        same(value, model.get(step.key, step.sub));
        const changed = inPlace(value);
        store.put(step.key, step.sub, changed, 3);
        model.put(step.key, step.sub, changed);
        return;
      }
      case 'spoil': {
        // As by a function that throws in the middle: changed, not put, and then the transaction is given up.
        inPlace(store.get(step.key, step.sub));
        this.abort();
        return;
      }
      case 'floor': {
        const expected = model.of(step.key).findLast((entry) => entry.sub <= step.sub);
        same(
          store.floor(step.key, step.sub),
          expected && { sub: expected.sub, value: expected.value },
        );
        return;
      }
      case 'scan': {
        const expected = model.of(step.key).filter(({ sub }) => sub >= step.from && sub <= step.to);
        this.walk(store, model, expected, step.how, (visit) =>
          store.scan(step.key, step.from, step.to, (sub, value) => visit(step.key, sub, value)),
        );
        return;
      }
      case 'range':
        this.walk(store, model, model.range(step.from, step.to), step.how, (visit) =>
          store.range(step.from, step.to, visit),
        );
        return;
      case 'prefix':
        this.walk(store, model, model.prefix(step.elements), step.how, (visit) =>
          store.prefix(step.elements, visit),
        );
        return;
      case 'due':
        this.due(store, model, step.until, step.how, step.store === 1);
        return;
      case 'view': {
        const view = this.state.committedView(NAMES[step.store] ?? '');
        const expected = model.range(step.from, step.to, model.committed);
        const got = view?.range(step.from, step.to, step.limit) ?? [];
        same([...got], expected.slice(0, step.limit));
        // What a reader does with it is his own affair.
        for (const { key, sub, value } of got) {
          inPlace(value);
          same(
            view?.get(key, sub),
            expected.find((entry) => entry.sub === sub && bytesOf(entry.key).equals(bytesOf(key)))
              ?.value,
          );
        }
      }
    }
  }

  /** The step, at an entry that there is. */
  private aimed<S extends Step>(step: S): S {
    if (!('pick' in step) || step.pick === undefined) return step;
    const { now } = this.models[step.store] as StoreModel;
    const entry = now[step.pick % now.length];
    return entry === undefined ? step : { ...step, key: entry.key, sub: entry.sub };
  }

  private walk(
    store: Store,
    model: StoreModel,
    all: readonly ModelEntry[],
    how: How,
    run: (visit: (key: unknown, sub: number, value: unknown) => boolean | void) => void,
  ): void {
    const expected = how === 'stop' ? all.slice(0, 1) : all;
    const seen: ModelEntry[] = [];
    run((key, sub, value) => {
      seen.push({ key, sub, value: structuredClone(value) });
      if (how === 'delete') store.put(key, sub, undefined, 4);
      if (how === 'change') store.put(key, sub, inPlace(value), 5);
      return how === 'stop' ? false : undefined;
    });
    same(seen, expected);
    for (const { key, sub, value } of expected) {
      if (how === 'delete') model.put(key, sub, undefined);
      if (how === 'change') model.put(key, sub, inPlace(structuredClone(value)));
    }
  }

  private due(store: Store, model: StoreModel, until: number, how: How, isTimed: boolean): void {
    const expected = isTimed
      ? model.now
          .map((entry, index) => ({ entry, index, due: dueOf(entry.value) }))
          .filter(({ due }) => due <= until)
          .sort((a, b) => a.due - b.due || a.index - b.index)
          .map(({ entry }) => entry)
      : [];
    const seen: ModelEntry[] = [];
    store.due(until, (key, sub, value) => {
      seen.push({ key, sub, value: structuredClone(value) });
      if (how === 'change' || how === 'look') (value as Box).due = until + 5;
      store.put(key, sub, how === 'change' || how === 'look' ? value : undefined, 6);
    });
    same(seen, expected);
    for (const { key, sub, value } of expected)
      model.put(
        key,
        sub,
        how === 'change' || how === 'look' ? { ...(value as Box), due: until + 5 } : undefined,
      );
  }

  private flush(): void {
    const keys = new Set<string>();
    this.state.flush((name, key, value) => {
      const id = `${name} ${Buffer.from(key).toString('hex')}`;
      assert.ok(!keys.has(id), 'each entry once');
      keys.add(id);
      this.open.push({
        store: name,
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
      });
    });
  }

  private commit(): void {
    this.flush();
    const touched = new Set(this.open.map((record) => record.store));
    this.log.push(...this.open);
    this.open = [];
    this.state.committed(new Map([...touched].map((name) => [name, this.log.length])));
    for (const model of this.models) model.commit();
  }

  private abort(): void {
    this.open = [];
    this.state.abort();
    for (const model of this.models) model.abort();
  }

  private async restart(): Promise<void> {
    this.state = await this.base.open();
    this.openStores();
    this.open = [];
    for (const name of NAMES) {
      const from = this.state.checkpoint(name) ?? 0;
      for (const record of this.log.slice(from))
        if (record.store === name) this.state.restore(name, record.key, record.value);
      await this.state.restored(name, this.log.length);
      assert.equal(this.state.checkpoint(name), this.log.length);
    }
    for (const model of this.models) model.abort();
  }

  private openStores(): void {
    this.stores = [this.state.store({ name: 'plain' }), this.state.store({ name: 'timed', dueOf })];
  }
}

/** Changes what can be changed, and returns it, or something else of the same kind. */
function inPlace(value: unknown): unknown {
  if (isBox(value)) {
    value.items.push(value.items.length);
    value.due = value.due === 30 ? 10 : 30;
  } else if (value instanceof Map) value.set('more', value.size);
  else if (Array.isArray(value)) value.push(7);
  else if (value instanceof Uint8Array) value.fill(33);
  else if (value instanceof Date) value.setTime(77);
  else if (typeof value === 'number') return value + 1;
  return value;
}

function same(got: unknown, expected: unknown): void {
  assert.deepEqual(plain(got), plain(expected));
}

/** -0 is 0 in keys; bytes are bytes, whatever their class. */
function plain(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (value instanceof Map) return { map: [...value].map(plain) };
  if (value instanceof Set) return { set: [...value].map(plain) };
  if (value instanceof Date) return { date: value.getTime() };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
  return value;
}

function pagesOf(view: ReadableStore, limit: number): StoredEntry[] {
  const all: StoredEntry[] = [];
  let from = '';
  let after = Number.NEGATIVE_INFINITY;
  for (;;) {
    const page = view.page(from, after, undefined, limit);
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < limit) return all;
    from = orderOf(last.key);
    after = last.sub;
  }
}
