/** The checker of client histories finds what it claims to find, and nothing in an ideal broker's histories. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkKafkaHistory } from './kafka-checker.ts';
import type { KafkaAnomalyName, KafkaEvent, Op } from './kafka-history.ts';

/** Writes a history: each call is one operation, invoked and completed at once. */
class Pen {
  readonly events: KafkaEvent[] = [];
  private nowMs = 0;

  private put(event: Omit<KafkaEvent, 'timeMs'>): void {
    this.events.push({ ...event, timeMs: this.nowMs++ });
  }

  invoke(process: string, ops: readonly Op[], f: KafkaEvent['f'] = 'ops'): void {
    const asked = ops.map((op): Op => (op[0] === 'send' ? ['send', op[1], op[2]] : op));
    this.put({ process, type: 'invoke', f, ops: asked });
  }

  complete(
    process: string,
    ops: readonly Op[],
    type: 'ok' | 'fail' | 'info' = 'ok',
    f: KafkaEvent['f'] = 'ops',
  ): void {
    this.put({ process, type, f, ops });
  }

  ok(process: string, ...ops: Op[]): this {
    this.invoke(process, ops);
    this.complete(process, ops);
    return this;
  }

  txn(process: string, type: 'ok' | 'fail' | 'info', ...ops: Op[]): this {
    this.invoke(process, ops, 'txn');
    this.complete(process, ops, type, 'txn');
    return this;
  }

  f(process: string, f: 'assign' | 'subscribe'): this {
    this.invoke(process, [], f);
    this.complete(process, [], 'ok', f);
    return this;
  }
}

type Records = [number, string][];

/** Three records and a committed transaction over two partitions, and a reader that has read all of it. */
function good(): Pen {
  return new Pen()
    .ok('w', ['send', 'x', 'a', 0])
    .ok('w', ['send', 'x', 'b', 1])
    .txn('t', 'ok', ['send', 'x', 'c', 2], ['send', 'y', 'd', 0])
    .txn('t', 'fail', ['send', 'x', 'aborted', 4])
    .ok('w', ['send', 'x', 'e', 6])
    .f('r', 'assign')
    .ok('r', ['poll', { x: [[0, 'a'] as const, [1, 'b'] as const] }])
    .ok('r', ['poll', { x: [[2, 'c'] as const, [6, 'e'] as const], y: [[0, 'd'] as const] }])
    .ok('g', ['commit', 'group', 'x', 1])
    .ok('g', ['commit', 'group', 'x', 2])
    .ok('g', ['committed', 'group', 'x', 2])
    .ok('m', ['end', 'x', 5])
    .ok('m', ['end', 'x', 7]);
}

const PLANTED: Readonly<Record<KafkaAnomalyName, (pen: Pen) => Pen>> = {
  'inconsistent-offsets': (pen) => pen.ok('r2', ['poll', { x: [[1, 'e']] }]),
  duplicate: (pen) => pen.ok('w', ['send', 'x', 'f', 7]).ok('r2', ['poll', { x: [[9, 'f']] }]),
  'lost-write': (pen) =>
    pen
      .ok('w', ['send', 'x', 'f', 7])
      .ok('w', ['send', 'x', 'g', 8])
      .ok('r2', ['poll', { x: [[8, 'g']] }]),
  unseen: (pen) => pen.ok('w', ['send', 'x', 'f', 7]),
  G1a: (pen) => pen.ok('r2', ['poll', { x: [[4, 'aborted']] }]),
  phantom: (pen) => pen.ok('r2', ['poll', { x: [[7, 'never']] }]),
  'precommitted-read': (pen) =>
    pen.txn('t', 'ok', ['send', 'y', 'f', 1], ['poll', { y: [[1, 'f']] }]),
  'int-poll-skip': (pen) =>
    pen.ok('r2', [
      'poll',
      {
        x: [
          [0, 'a'],
          [2, 'c'],
        ],
      },
    ]),
  'int-nonmonotonic-poll': (pen) =>
    pen.ok('r2', [
      'poll',
      {
        x: [
          [1, 'b'],
          [0, 'a'],
        ],
      },
    ]),
  'poll-skip': (pen) =>
    pen
      .f('r2', 'assign')
      .ok('r2', ['poll', { x: [[0, 'a']] }])
      .ok('r2', ['poll', { x: [[2, 'c']] }]),
  'nonmonotonic-poll': (pen) =>
    pen
      .f('r2', 'assign')
      .ok('r2', ['poll', { x: [[1, 'b']] }])
      .ok('r2', ['poll', { x: [[1, 'b']] }]),
  'nonmonotonic-send': (pen) => pen.ok('v', ['send', 'y', 'g', 5]).ok('v', ['send', 'y', 'f', 4]),
  'int-nonmonotonic-send': (pen) => pen.ok('v', ['send', 'y', 'f', 2], ['send', 'y', 'g', 1]),
  'int-send-skip': (pen) => pen.ok('v', ['send', 'x', 'f', 5], ['send', 'x', 'g', 7]),
  realtime: (pen) => pen.ok('v', ['send', 'x', 'f', 5]),
  'torn-txn': (pen) =>
    pen
      .txn('t', 'info', ['send', 'x', 'f'], ['send', 'y', 'g'])
      .ok('r2', ['poll', { x: [[7, 'f']] }]),
  'commit-regression': (pen) => pen.ok('g', ['committed', 'group', 'x', 1]),
  'commit-phantom': (pen) => pen.ok('g', ['committed', 'group', 'x', 9]),
  'end-went-back': (pen) => pen.ok('m', ['end', 'x', 6]),
  'eos-double-count': (pen) =>
    pen
      .txn('t', 'ok', ['consumed', 'group', 'x', [0, 1]])
      .txn('u', 'ok', ['consumed', 'group', 'x', [1, 2]]),
  G0: (pen) => {
    const first: Op[] = [
      ['send', 'p', '1', 0],
      ['send', 'q', '2', 1],
    ];
    const second: Op[] = [
      ['send', 'p', '3', 1],
      ['send', 'q', '4', 0],
    ];
    pen.invoke('t', first, 'txn');
    pen.invoke('u', second, 'txn');
    pen.complete('t', first, 'ok', 'txn');
    pen.complete('u', second, 'ok', 'txn');
    return pen;
  },
  G1c: (pen) => {
    const first: Op[] = [
      ['send', 'p', '1', 0],
      ['poll', { q: [[0, '2']] }],
    ];
    const second: Op[] = [
      ['send', 'q', '2', 0],
      ['poll', { p: [[0, '1']] }],
    ];
    pen.invoke('t', first, 'txn');
    pen.invoke('u', second, 'txn');
    pen.complete('t', first, 'ok', 'txn');
    pen.complete('u', second, 'ok', 'txn');
    return pen;
  },
  'G1c-ww': (pen) => {
    const first: Op[] = [
      ['send', 'p', '1', 0],
      ['poll', { q: [[0, '2']] }],
    ];
    const second: Op[] = [
      ['send', 'p', '3', 1],
      ['send', 'q', '2', 0],
    ];
    pen.invoke('t', first, 'txn');
    pen.invoke('u', second, 'txn');
    pen.complete('t', first, 'ok', 'txn');
    pen.complete('u', second, 'ok', 'txn');
    return pen;
  },
  'G-single': (pen) => {
    pen.ok('z', ['send', 'p', '0', 0]);
    const reader: Op[] = [['poll', { p: [[0, '0']], q: [[0, '2']] }]];
    const writer: Op[] = [
      ['send', 'p', '1', 1],
      ['send', 'q', '2', 0],
    ];
    pen.invoke('t', writer, 'txn');
    pen.invoke('u', reader);
    pen.complete('u', reader);
    pen.complete('t', writer, 'ok', 'txn');
    return pen;
  },
  G2: (pen) => {
    pen.ok('z', ['send', 'p', '0', 0], ['send', 'q', '1', 0]);
    const first: Op[] = [
      ['poll', { q: [[0, '1']] }],
      ['send', 'p', '2', 1],
    ];
    const second: Op[] = [
      ['poll', { p: [[0, '0']] }],
      ['send', 'q', '3', 1],
    ];
    pen.invoke('t', first, 'txn');
    pen.invoke('u', second, 'txn');
    pen.complete('t', first, 'ok', 'txn');
    pen.complete('u', second, 'ok', 'txn');
    return pen;
  },
};

function names(events: readonly KafkaEvent[], drained: boolean): Set<KafkaAnomalyName> {
  const report = checkKafkaHistory(events, { drained });
  return new Set([...report.bad, ...report.allowed].map((anomaly) => anomaly.name));
}

test('an ordinary history is clean', () => {
  const report = checkKafkaHistory(good().events, { drained: true });
  expect(report.bad).toEqual([]);
  expect(report.allowed).toEqual([]);
  expect(report.counts).toMatchObject({ acknowledged: 5, polled: 5 });
});

test.each(Object.entries(PLANTED))('names %s', (name, plant) => {
  expect(names(plant(good()).events, true)).toContain(name);
});

test('a reader that subscribes may jump', () => {
  const pen = good()
    .f('r2', 'subscribe')
    .ok('r2', ['poll', { x: [[0, 'a']] }])
    .ok('r2', ['poll', { x: [[2, 'c']] }])
    .ok('r2', ['poll', { x: [[0, 'a']] }]);
  expect(names(pen.events, true)).toEqual(new Set());
});

test('an operation that timed out may have happened, or not', () => {
  const seen = good()
    .txn('t', 'info', ['send', 'x', 'f'])
    .ok('r2', ['poll', { x: [[7, 'f']] }]);
  expect(names(seen.events, true)).toEqual(new Set());
  const unseen = good().txn('t', 'info', ['send', 'x', 'f']);
  expect(names(unseen.events, true)).toEqual(new Set());
});

test('a commit that timed out may show up later, and so may the one before it', () => {
  const pen = good();
  pen.invoke('h', [['commit', 'group', 'x', 3]]);
  pen.complete('h', [['commit', 'group', 'x', 3]], 'info');
  pen.ok('g', ['committed', 'group', 'x', 2]).ok('g', ['committed', 'group', 'x', 3]);
  expect(names(pen.events, true)).toEqual(new Set());
});

/** A broker without faults: one list per partition, transactions that become visible at their commit. */
function ideal(choices: readonly number[]): KafkaEvent[] {
  const pen = new Pen();
  const log = new Map<string, { value: string; visible: boolean }[]>([
    ['x', []],
    ['y', []],
  ]);
  const position = new Map<string, number>();
  let value = 0;
  const send = (partition: string, visible: boolean): Op => {
    const list = log.get(partition) ?? [];
    list.push({ value: `v${value++}`, visible });
    return ['send', partition, `v${value - 1}`, list.length - 1];
  };
  const poll = (process: string, max: number): Op => {
    const polled: Record<string, Records> = {};
    for (const [partition, list] of log) {
      const from = position.get(process + partition) ?? 0;
      const to = Math.min(list.length, from + max);
      position.set(process + partition, to);
      polled[partition] = list
        .slice(from, to)
        .flatMap((entry, at): Records => (entry.visible ? [[from + at, entry.value]] : []));
    }
    return ['poll', polled];
  };
  pen.f('r0', 'assign').f('r1', 'assign').f('drain', 'assign');
  for (const choice of choices) {
    const partition = choice % 2 === 0 ? 'x' : 'y';
    switch (choice % 5) {
      case 0:
      case 1:
        pen.ok(`w${choice % 3}`, send(partition, true), send(partition, true));
        break;
      case 2: {
        const commit = choice % 3 !== 0;
        const type = commit ? (choice % 7 === 0 ? 'info' : 'ok') : 'fail';
        pen.txn(`t${choice % 2}`, type, send('x', commit), send('y', commit), send('x', commit));
        break;
      }
      default:
        pen.ok(`r${choice % 2}`, poll(`r${choice % 2}`, choice % 4));
    }
  }
  pen.ok('drain', poll('drain', 1_000_000));
  return pen.events;
}

test('histories of a broker without faults are clean', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { maxLength: 60 }), (choices) => {
      expect(checkKafkaHistory(ideal(choices), { drained: true }).bad).toEqual([]);
    }),
  );
});

test('an acknowledged value that nobody can read any more is always found', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1000), { minLength: 5, maxLength: 40 }),
      fc.nat(),
      (choices, pick) => {
        const events = ideal(choices);
        const sent = events.flatMap((event) =>
          event.type === 'ok' ? event.ops.filter((op) => op[0] === 'send') : [],
        );
        const victim = sent[pick % Math.max(1, sent.length)]?.[2];
        fc.pre(victim !== undefined);
        const without = events.map((event) => ({
          ...event,
          ops: event.ops.map((op): Op => {
            if (op[0] !== 'poll') return op;
            const kept = Object.entries(op[1]).map(([partition, records]) => [
              partition,
              records.filter(([, value]) => value !== victim),
            ]);
            return ['poll', Object.fromEntries(kept)];
          }),
        }));
        expect(checkKafkaHistory(without, { drained: true }).bad.length).toBeGreaterThan(0);
      },
    ),
  );
});
