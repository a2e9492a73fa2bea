/** Against a plain map of tags. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Delivery } from '../../broker/queues/queue.ts';
import { UnackedDeliveries } from './unacked-deliveries.ts';

type Step =
  | { readonly kind: 'add'; readonly gap: number }
  | { readonly kind: 'take' | 'upTo'; readonly pick: number }
  | { readonly kind: 'rollback'; readonly pick: number };

const pick = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('add' as const), gap: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('upTo' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const), pick }) },
);

/** Only its identity matters. */
function delivery(offset: number): Delivery {
  return { offset } as Delivery;
}

/** What is compared, in the order in which it came. */
interface Seen {
  readonly got: unknown;
  readonly wanted: unknown;
}

class World {
  readonly seen: Seen[] = [];
  readonly unacked = new UnackedDeliveries();
  readonly model = new Map<number, Delivery>();
  private tag = 0;

  run(each: Step): void {
    if (each.kind === 'add') {
      this.tag += 1 + each.gap;
      const added = delivery(this.tag);
      this.unacked.add(this.tag, added);
      this.model.set(this.tag, added);
      return;
    }
    // One that may be there, or not.
    const tag = 1 + Math.floor(each.pick * (this.tag + 1));
    if (each.kind === 'take') {
      this.seen.push({ got: this.unacked.has(tag), wanted: this.model.has(tag) });
      this.seen.push({ got: this.unacked.take(tag), wanted: this.model.get(tag) });
      this.model.delete(tag);
      return;
    }
    const tags = [...this.model.keys()].filter((known) => known <= tag);
    this.seen.push({ got: this.unacked.tagsUpTo(tag), wanted: tags });
    const taken = this.unacked.takeUpTo(tag);
    this.seen.push({ got: taken, wanted: tags.map((known) => this.model.get(known)) });
    if (each.kind === 'rollback') this.unacked.restore(tags, taken);
    else for (const known of tags) this.model.delete(known);
  }
}

test('holds what was added and not taken, in the order of tags', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const world = new World();
      for (const each of steps) {
        world.run(each);
        expect(world.unacked.size).toBe(world.model.size);
      }
      for (const { got, wanted } of world.seen) expect(got).toEqual(wanted);
      expect(world.unacked.takeAll()).toEqual([...world.model.values()]);
    }),
  );
});

test('one that stays holds nothing else: memory follows what is held', () => {
  const unacked = new UnackedDeliveries();
  unacked.add(1, delivery(1));
  for (let tag = 2; tag < 100_000; tag++) {
    unacked.add(tag, delivery(tag));
    if (unacked.take(tag)?.offset !== tag) throw new Error(`tag ${tag} is not there`);
  }
  const { tags } = unacked as unknown as { readonly tags: readonly number[] };
  expect(tags.length).toBeLessThan(200);
  expect(unacked.takeAll().map(({ offset }) => offset)).toEqual([1]);
});
