/** However the messages between the parts of a join by foreign key are delayed, the result is what SQL would say of the two tables. */
import fc from 'fast-check';
import { test } from 'vitest';
import { ForeignJoinWorld } from '../../../../test/stream/foreign-join-world.ts';
import { foreignJoin } from '../../../../test/stream/join-tables.ts';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';

interface LeftRow {
  readonly fk: number | null;
  readonly n: number;
}

type Step =
  | { readonly kind: 'left'; readonly key: string; readonly fk: number | null | 'deleted' }
  | { readonly kind: 'right'; readonly key: number; readonly value: string | undefined }
  /** Hands over the first message of one of the queues. */
  | { readonly kind: 'deliver'; readonly queue: number }
  | { readonly kind: 'restart' };

const foreign = fc.integer({ min: 0, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('left' as const),
      key: fc.constantFrom('a', 'b', 'c'),
      fk: fc.oneof(
        { weight: 6, arbitrary: foreign },
        { weight: 1, arbitrary: fc.constant(null) },
        { weight: 2, arbitrary: fc.constant('deleted' as const) },
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('right' as const),
      key: foreign,
      value: fc.option(fc.constantFrom('x', 'y', 'z'), { nil: undefined }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('deliver' as const), queue: fc.nat({ max: 20 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' } as const) },
);

class Oracle {
  private readonly left = new Map<string, LeftRow>();
  private readonly right = new Map<number, string>();

  setLeft(key: string, row: LeftRow | undefined): void {
    if (row === undefined) this.left.delete(key);
    else this.left.set(key, row);
  }

  setRight(key: number, value: string | undefined): void {
    if (value === undefined) this.right.delete(key);
    else this.right.set(key, value);
  }

  join(type: 'inner' | 'left'): Map<string, string> {
    const result = new Map<string, string>();
    for (const [key, { fk, n }] of this.left) {
      const right = fk === null ? undefined : this.right.get(fk);
      if (right !== undefined || type === 'left') result.set(key, `${n}/${right ?? ''}`);
    }
    return result;
  }
}

for (const type of ['inner', 'left'] as const) {
  test(`a ${type} join by foreign key is the join of the two tables, whatever is delayed`, () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(undefined, memoryStores),
        (steps, partitions, stores) => {
          const node = foreignJoin(
            type,
            (row) => (row as LeftRow).fk,
            (left, right) => `${(left as LeftRow).n}/${(right as string | undefined) ?? ''}`,
          );
          const world = new ForeignJoinWorld(node, partitions, stores);
          const oracle = new Oracle();
          steps.forEach((each, n) => run(world, oracle, each, n));
          world.settle();
          const expected = sorted(oracle.join(type));
          const actual = sorted(world.result());
          if (actual !== expected) throw new Error(`${actual} is not ${expected}`);
          for (const key of ['a', 'b', 'c'])
            if (world.get(key) !== oracle.join(type).get(key))
              throw new Error(`the table says ${String(world.get(key))} of ${key}`);
        },
      ),
      { numRuns: 300 },
    );
  });
}

function run(world: ForeignJoinWorld, oracle: Oracle, step: Step, n: number): void {
  switch (step.kind) {
    case 'left': {
      const row = step.fk === 'deleted' ? undefined : { fk: step.fk, n };
      oracle.setLeft(step.key, row);
      world.setLeft(step.key, row, n);
      return;
    }
    case 'right':
      oracle.setRight(step.key, step.value);
      world.setRight(step.key, step.value, n);
      return;
    case 'deliver': {
      const { waiting } = world;
      const name = waiting[step.queue % Math.max(1, waiting.length)];
      if (name !== undefined) world.deliver(name);
      return;
    }
    case 'restart':
      world.restart();
  }
}

function sorted(map: ReadonlyMap<unknown, unknown>): string {
  return JSON.stringify([...map].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
}
