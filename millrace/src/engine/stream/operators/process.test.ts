import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';
import { processNode } from '../../../../test/stream/nodes.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { ProcessContext, ProcessNode } from '../../../flow/stream-nodes.ts';
import { createOperator } from './create-operator.ts';

type Context = ProcessContext<unknown, unknown>;

function open(fields: Partial<ProcessNode> & Pick<ProcessNode, 'onRecord'>): OperatorHarness {
  return new OperatorHarness(processNode(fields), createOperator, { stores: memoryStores() });
}

function told(harness: OperatorHarness): unknown[] {
  return harness.take().map(({ key, value, time }) => [key, value, time]);
}

describe('process', () => {
  test('has state per key, and puts out records with their key and time', () => {
    const harness = open({
      onRecord: (value, context) => {
        context.state = ((context.state as number | undefined) ?? 0) + (value as number);
        context.emit(context.state);
        context.emit('later', context.time + 100);
      },
    });
    harness.send('a', 1, 1).send('b', 10, 2).send('a', 2, 3);
    expect(told(harness)).toEqual([
      ['a', 1, 1],
      ['a', 'later', 101],
      ['b', 10, 2],
      ['b', 'later', 102],
      ['a', 3, 3],
      ['a', 'later', 103],
    ]);
  });

  test('a call that throws has done nothing, also not to state that it changed in place', () => {
    const harness = open({
      onRecord: (value, context) => {
        const state = (context.state as string[] | undefined) ?? [];
        state.push(value as string);
        context.state = state;
        context.emit([...state]);
        context.setTimer(context.time + 1);
        if (value === 'bad') throw new Error('bad');
      },
      onTimer: (context) => context.emit('timer'),
    });
    harness.send('a', 'one', 1).send('a', 'bad', 10).advanceTo(100).send('a', 'two', 101);
    expect(told(harness)).toEqual([
      ['a', ['one'], 1],
      ['a', 'timer', 2],
      ['a', ['one', 'two'], 101],
    ]);
    expect(harness.failures).toEqual([{ error: new Error('bad'), record: 'bad', key: 'a' }]);
  });

  test('state is kept only when it is set', () => {
    const harness = open({
      onRecord: (value, context) => {
        const state = (context.state as string[] | undefined) ?? [];
        state.push(value as string);
        if (value !== 'not kept') context.state = state;
        context.emit(state.length);
      },
    });
    harness.send('a', 'one', 1).send('a', 'not kept', 2).send('a', 'two', 3);
    expect(told(harness)).toEqual([
      ['a', 1, 1],
      ['a', 2, 2],
      ['a', 2, 3],
    ]);
  });

  test('a timer fires once when T has come to it, however often it was set', () => {
    const harness = open({
      onRecord: (_value, context) => {
        context.setTimer(10);
        context.setTimer(10);
        context.setTimer(20);
      },
      onTimer: (context, _key, timer) => context.emit(timer),
    });
    harness.send('a', 1, 1).send('a', 2, 9);
    expect(told(harness)).toEqual([]);
    harness.advanceTo(10);
    expect(told(harness)).toEqual([['a', 'event', 10]]);
    harness.advanceTo(19).advanceTo(1_000);
    expect(told(harness)).toEqual([['a', 'event', 20]]);
  });

  test('one that is set for the past fires behind its record; one that is cleared does not', () => {
    const harness = open({
      onRecord: (value, context) => {
        context.emit(value);
        if (value === 'clear') context.clearTimer(50);
        else context.setTimer(value === 'past' ? context.time - 5 : 50);
      },
      onTimer: (context) => context.emit('timer'),
    });
    harness.send('a', 'past', 10).send('a', 'set', 11).send('a', 'clear', 12).advanceTo(100);
    expect(told(harness)).toEqual([
      ['a', 'past', 10],
      ['a', 'timer', 5],
      ['a', 'set', 11],
      ['a', 'clear', 12],
    ]);
  });

  test('timers set timers: each in its turn, the same time never again', () => {
    const harness = open({
      onRecord: (_value, context) => context.setTimer(10),
      onTimer: (context) => {
        context.emit('tick');
        context.setTimer(context.time);
        context.setTimer(context.time + 10);
      },
    });
    harness.send('a', 1, 5).advanceTo(35);
    expect(told(harness)).toEqual([
      ['a', 'tick', 10],
      ['a', 'tick', 20],
      ['a', 'tick', 30],
    ]);
    // At the end of all time what waits fires, and what it sets does not.
    harness.advanceTo(Number.POSITIVE_INFINITY);
    expect(told(harness)).toEqual([['a', 'tick', 40]]);
  });

  test('wall timers go by the wall clock', () => {
    const harness = open({
      onRecord: (_value, context) => context.setWallTimer(context.now + 500),
      onTimer: (context, _key, timer) => context.emit([timer, context.now]),
    });
    harness.tick(1_000).send('a', 1, 5);
    expect(harness.operator.nextTick).toBe(1_500);
    harness.advanceTo(1e12).tick(1_499);
    expect(told(harness)).toEqual([]);
    harness.tick(1_600);
    expect(told(harness)).toEqual([['a', ['wall', 1_600], 1_500]]);
    expect(harness.operator.nextTick).toBe(Number.POSITIVE_INFINITY);
  });

  test('a timer of one clock may set one of the other, whatever that shows', () => {
    const harness = open({
      onRecord: (_value, context) => context.setWallTimer(2_000_000),
      onTimer: (context, _key, timer) => {
        context.emit(timer);
        if (timer === 'wall') context.setTimer(7);
      },
    });
    harness.send('a', 1, 5).tick(2_000_000).advanceTo(10);
    expect(told(harness)).toEqual([
      ['a', 'wall', 2_000_000],
      ['a', 'event', 7],
    ]);
  });

  test('state that is not touched for ttl is forgotten', () => {
    const harness = open({
      ttlMs: 10,
      onRecord: (value, context) => {
        context.emit(context.state);
        if (value !== 'look') context.state = value;
      },
    });
    harness.send('a', 1, 0).send('a', 'look', 9).send('a', 'look', 18).send('a', 'look', 28);
    expect(told(harness).map((row) => (row as unknown[])[1])).toEqual([undefined, 1, 1, undefined]);
    harness.send('a', 2, 30).advanceTo(39);
    expect(harness.operator.nextDue).toBe(40);
    harness.advanceTo(40);
    expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  });

  test('a timer finds the state of its time, however far T has gone on at once', () => {
    for (const steps of [[500], [50, 110, 500], [60, 500]]) {
      const harness = open({
        ttlMs: 100,
        onRecord: (value, context) => {
          context.state = value;
          context.setTimer(50);
          context.setTimer(149);
          context.setTimer(260);
        },
        onTimer: (context) => context.emit(context.state ?? 'gone'),
      });
      harness.send('a', 'here', 10);
      for (const step of steps) harness.advanceTo(step);
      // Each timer touches the state: it is there from 10 to 110, to 150, to 249.
      expect(told(harness)).toEqual([
        ['a', 'here', 50],
        ['a', 'here', 149],
        ['a', 'gone', 260],
      ]);
    }
  });

  test('it must not be async, and its context is of no use afterwards', async () => {
    let kept: Context | undefined;
    const onRecord: (value: unknown, context: Context) => unknown = async (_value, context) => {
      kept = context;
      await Promise.resolve();
      context.emit('too late');
    };
    const harness = open({ onRecord });
    harness.send('a', 1, 1);
    await Promise.resolve();
    await Promise.resolve();
    expect(harness.take()).toEqual([]);
    expect(harness.failures.map(({ error }) => (error as Error).message)).toEqual([
      'a function of process returned a promise',
    ]);
    expect(() => kept?.emit(1)).toThrow('the context of a call is used after it');
  });

  test('times have to be numbers', () => {
    const harness = open({
      onRecord: (_value, context) => context.setTimer('soon' as unknown as number),
    });
    harness.send('a', 1, 1);
    expect(harness.failures.map(({ error }) => (error as Error).message)).toEqual([
      'setTimer needs a time in milliseconds, not soon',
    ]);
  });

  test('timers fire by time, each once, through commits and crashes', () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b'),
      at: fc.integer({ min: 0, max: 40 }),
      step: fc.integer({ min: 0, max: 8 }),
      fault: fc.constantFrom('none', 'none', 'commit', 'crash'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const node = processNode({
          onRecord: (value, context) => {
            context.state = ((context.state as number | undefined) ?? 0) + 1;
            context.setTimer(value as number);
          },
          onTimer: (context, key) => context.emit([key, context.time, context.state]),
        });
        const harness = new OperatorHarness(node, createOperator, { stores: memoryStores() });
        harness.commit();
        const outputs: unknown[] = [];
        let committed = 0;
        let clock = 0;
        const clocks = steps.map((each) => (clock += each.step));
        const faults = steps.map(({ fault }) => fault);
        for (let index = 0; index < steps.length; index++) {
          const { key, at } = steps[index] as (typeof steps)[number];
          harness.send(key, at, clocks[index] as number);
          const fault = faults[index];
          faults[index] = 'none';
          if (fault === 'commit') {
            harness.commit();
            outputs.push(...harness.take().map(({ value }) => value));
            committed = index + 1;
          } else if (fault === 'crash') {
            harness.crash().take();
            index = committed - 1;
          }
        }
        harness.advanceTo(1_000);
        outputs.push(...harness.take().map(({ value }) => value));
        expect(outputs).toEqual(expectedFirings(steps, clocks));
      }),
    );
  });
});

function expectedFirings(
  steps: readonly { readonly key: string; readonly at: number }[],
  clocks: readonly number[],
): unknown[] {
  const fired: unknown[] = [];
  const counts = new Map<string, number>();
  let waiting: { readonly key: string; readonly at: number }[] = [];
  const fire = (until: number): void => {
    const due = waiting.filter(({ at }) => at <= until);
    waiting = waiting.filter(({ at }) => at > until);
    due.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1));
    for (const { key, at } of due) fired.push([key, at, counts.get(key)]);
  };
  for (const [index, { key, at }] of steps.entries()) {
    counts.set(key, (counts.get(key) ?? 0) + 1);
    if (!waiting.some((timer) => timer.key === key && timer.at === at)) waiting.push({ key, at });
    fire(clocks[index] as number);
  }
  fire(1_000);
  return fired;
}
