/** Confirms in any order, one by one and many at once, against a list of what is open. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { Confirms, type OpenMessage, type PublishOutcome } from './confirms.ts';

type Step =
  | { readonly kind: 'send'; readonly isWaited: boolean; readonly key: number }
  | {
      readonly kind: 'settle';
      readonly pick: number;
      readonly multiple: boolean;
      readonly ack: boolean;
    }
  | { readonly kind: 'return'; readonly pick: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      isWaited: fc.boolean(),
      key: fc.nat(2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      pick: fc.nat(),
      multiple: fc.boolean(),
      ack: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('return' as const), pick: fc.nat() }) },
);

interface Modelled {
  readonly tag: number;
  readonly key: number;
  readonly isWaited: boolean;
  isReturned: boolean;
}

const NONE = Buffer.alloc(0);

class Run {
  readonly confirms = new Confirms('channel 1');
  open: Modelled[] = [];
  readonly outcomes = new Map<number, PublishOutcome>();
  readonly expected = new Map<number, PublishOutcome>();
  next = 1;

  run(given: Step): void {
    if (given.kind === 'send') this.send(given.isWaited, given.key);
    else if (given.kind === 'settle') this.settle(given);
    else this.comesBack(given.pick);
  }

  /** Messages from the first that is open. */
  get span(): number {
    return this.next - (this.open[0]?.tag ?? this.next);
  }

  send(isWaited: boolean, key: number): void {
    const tag = this.next++;
    const message: OpenMessage = {
      exchange: '',
      routingKey: String(key),
      isMandatory: true,
      properties: NONE,
      bodyBytes: 0,
      resolve: (outcome) => this.outcomes.set(tag, outcome),
      reject: undefined,
      returned: undefined,
    };
    this.confirms.add(isWaited ? message : undefined);
    this.open.push({ tag, key, isWaited, isReturned: false });
  }

  settle({ pick, multiple, ack }: Extract<Step, { readonly kind: 'settle' }>): void {
    const chosen = this.open[pick % Math.max(1, this.open.length)];
    if (chosen === undefined) return;
    const settled = this.open.filter(({ tag }) =>
      multiple ? tag <= chosen.tag : tag === chosen.tag,
    );
    for (const each of settled) {
      if (!each.isWaited) continue;
      const outcome = each.isReturned ? 'returned' : 'confirmed';
      this.expected.set(each.tag, ack ? outcome : 'refused');
    }
    this.open = this.open.filter((each) => !settled.includes(each));
    this.confirms.settle(chosen.tag, multiple, ack);
  }

  /** The oldest one of a routing key that may come back. */
  comesBack(pick: number): void {
    const chosen = this.open.find(
      ({ isWaited, isReturned, key }) => isWaited && !isReturned && key === pick % 3,
    );
    if (chosen === undefined) return;
    chosen.isReturned = true;
    const method = {
      name: 'basic.return',
      replyCode: 312,
      replyText: 'NO_ROUTE',
      exchange: '',
      routingKey: String(chosen.key),
    } as const;
    this.confirms.comesBack(method, { properties: NONE, body: NONE, isOwned: true });
  }
}

test('every message that is waited for has the outcome that the broker said', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const run = new Run();
      for (const each of steps) {
        run.run(each);
        expect(run.confirms.openMessages).toBe(run.span);
        expect(run.outcomes).toEqual(run.expected);
      }
    }),
    { numRuns: 300 },
  );
});

test('what is settled is given up, and tags that are none change nothing', () => {
  const confirms = new Confirms('channel 1');
  for (let tag = 1; tag <= 50_000; tag++) {
    confirms.add(undefined);
    if (tag > 10) confirms.settle(tag - 10, false, true);
    confirms.settle(tag - 10, true, false);
    confirms.settle(tag + 1, true, false);
  }
  expect(confirms.openMessages).toBe(10);
});

test('a failure rejects what waits', async () => {
  const confirms = new Confirms('channel 1');
  confirms.add(undefined);
  const confirmed = confirms.confirmed();
  confirms.fail(new MillraceError('ML_CONNECTION_LOST', 'gone'));
  await expect(confirmed).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
});
