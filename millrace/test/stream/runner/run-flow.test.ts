/** Flows from start to end, and what stops them, on a broker on a simulated machine. */
import { expect, test } from 'vitest';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { type EmbeddedLog, openEmbedded } from '../../../src/embedded-log.ts';
import { planFlow } from '../../../src/engine/stream/runner/prepare-flow.ts';
import { resetFlow } from '../../../src/engine/stream/runner/reset-flow.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import type {
  FlowEvent,
  RunFlowOptions,
  RunningFlow,
} from '../../../src/engine/stream/runner/flow-types.ts';
import { type Flow, flow, json, topic, tumbling } from '../../../src/index.ts';
import { ShopReader } from '../exactly-once/shop-audit.ts';

const PARTITIONS = 2;

/** Hits per page. */
const hits = flow('hits', (f) => {
  f.read(topic('views', { value: json<{ page: string }>() }))
    .keyBy(({ page }) => page)
    .count('per-page')
    .write(topic('hits', { value: json<number>(), create: { partitions: PARTITIONS } }));
});

/** The same name, other state. */
const windowed = flow('hits', (f) => {
  f.read(topic('views', { value: json<{ page: string }>() }))
    .keyBy(({ page }) => page)
    .window(tumbling('1 minute'))
    .count('per-page')
    .write(topic('hits', { value: json<number>(), create: { partitions: PARTITIONS } }));
});

interface World {
  readonly log: EmbeddedLog;
  readonly machine: SimMachine;
  readonly start: (program: Flow, options?: Partial<RunFlowOptions>) => RunningFlow;
  /** Appends views of pages, and returns when the log has them. */
  readonly view: (pages: readonly string[]) => Promise<void>;
  /** All lines of the output, as soon as there are so many. */
  readonly output: (count: number) => Promise<string[]>;
  readonly events: FlowEvent[];
}

function onBroker<Result>(program: (world: World) => Promise<Result>): Promise<Result> {
  const machine = new SimMachine(1);
  const all = async (env: Env): Promise<Result> => {
    const log = await openEmbedded(env, { dataDir: '/data' });
    const events: FlowEvent[] = [];
    const reader = new ShopReader(log);
    const result = await program({
      log,
      machine,
      events,
      start: (given, options = {}) =>
        runFlow({
          log,
          plan: given.plan(),
          dataDirectory: '/data',
          state: 'memory',
          onEvent: (event) => events.push(event),
          ...options,
        }),
      view: async (pages) => {
        const producer = await log.producer({});
        for (const [index, page] of pages.entries())
          producer.append('views', index % PARTITIONS, 1_000, null, JSON.stringify({ page }));
        await producer.flush();
        await producer.close();
      },
      output: async (count) => {
        for (;;) {
          const lines = (await reader.read('hits')) ?? [];
          if (lines.length >= count)
            return lines.map(({ key, value }) => `${key} ${String(value)}`).toSorted();
          await env.timers.sleep(50);
        }
      },
    });
    await log.close();
    return result;
  };
  return machine.run(all(machine.boot()));
}

function createViews(log: EmbeddedLog, partitions = PARTITIONS): Promise<void> {
  return log.createTopics([{ name: 'views', partitions, configs: {} }]);
}

async function errorOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return error instanceof MillraceError ? `${error.code} ${error.message}` : String(error);
  }
}

test('a flow waits for its topic with a word, counts, and goes on after a restart', async () => {
  await onBroker(async ({ log, start, view, output, events }) => {
    const first = start(hits);
    await log.env.timers.sleep(1_000);
    expect(events).toEqual([{ kind: 'waiting', topics: ['views'] }]);
    await createViews(log);
    await first.ready;
    await view(['a', 'b', 'a']);
    expect(await output(3)).toEqual(['a 1', 'a 2', 'b 1']);
    expect(first.metrics().lagRecords).toBe(0);
    expect(first.assignment()?.members).toHaveLength(1);
    await first.stop();
    const second = start(hits);
    await view(['a']);
    expect(await output(4)).toEqual(['a 1', 'a 2', 'a 3', 'b 1']);
    await second.stop();
    await second.done;
  });
});

test('two processes share a flow, and each task can be asked where it runs', async () => {
  await onBroker(async ({ log, start, view, output }) => {
    await createViews(log);
    const flows = [
      start(hits, { dataDirectory: '/data/one', address: 'one:1' }),
      start(hits, { dataDirectory: '/data/two', address: 'two:2' }),
    ];
    await Promise.all(flows.map(({ ready }) => ready));
    await view(['a', 'b', 'c', 'd', 'a']);
    expect(await output(5)).toEqual(['a 1', 'a 2', 'b 1', 'c 1', 'd 1']);
    const members = flows[0]?.assignment()?.members ?? [];
    expect(members.map(({ address }) => String(address)).toSorted()).toEqual(['one:1', 'two:2']);
    const found: string[] = [];
    for (const partition of [0, 1]) {
      const task = { stage: 1, partition };
      for (const each of flows) {
        const question = {
          kind: 'range',
          store: 'per-page',
          from: undefined,
          to: undefined,
          limit: 9,
        } as const;
        try {
          const { entries } = await each.ask(task, question);
          found.push(...entries.map(({ key, value }) => `${String(key)} ${JSON.stringify(value)}`));
        } catch (error) {
          expect((error as MillraceError).code).toBe('ML_TASK_ELSEWHERE');
        }
      }
    }
    expect(found.map((line) => line.slice(0, 1)).toSorted()).toEqual(['a', 'b', 'c', 'd']);
    for (const each of flows) await each.stop();
  });
});

test('state of another version is refused until it is reset, and then the flow begins anew', async () => {
  await onBroker(async ({ log, start, view, output }) => {
    await createViews(log);
    await view(['a', 'a']);
    const first = start(hits);
    await output(2);
    const topology = planFlow(
      hits.plan(),
      new Map([
        ['views', PARTITIONS],
        ['hits', PARTITIONS],
      ]),
      undefined,
    );
    expect(await errorOf(resetFlow(log, topology, '/data'))).toContain(
      "ML_FLOW_BUSY flow 'hits' is running",
    );
    await first.stop();
    const refused = await errorOf(start(windowed).done);
    expect(refused).toContain(
      "ML_FLOW_CHANGED the state that is saved for flow 'hits' does not fit",
    );
    expect(refused).toContain("'per-page' has changed");
    const { topics } = await resetFlow(log, topology, '/data');
    expect(topics.toSorted()).toEqual([
      'hits-per-page-changelog',
      'hits-per-page-repartition',
      'hits-state',
    ]);
    expect(log.env.fs.list('/data/flows')).toEqual([]);
    const again = start(hits);
    expect(await output(4)).toEqual(['a 1', 'a 1', 'a 2', 'a 2']);
    await again.stop();
    await resetFlow(log, topology, '/data', { to: 'end' });
    const last = start(hits);
    await last.ready;
    await view(['b']);
    expect(await output(5)).toEqual(['a 1', 'a 1', 'a 2', 'a 2', 'b 1']);
    await last.stop();
  });
});

test('a topic that goes, or grows, under a running flow stops it with its name', async () => {
  await onBroker(async ({ log, start }) => {
    await createViews(log);
    const first = start(hits);
    await first.ready;
    await log.deleteTopics(['views']);
    expect(await errorOf(first.done)).toMatch(/^ML_TOPIC_MISSING .*views/);
  });
});

test('a topic that is made anew under a running flow stops it, too', async () => {
  await onBroker(async ({ log, start }) => {
    await createViews(log);
    const first = start(hits);
    await first.ready;
    await log.deleteTopics(['views']);
    await createViews(log);
    expect(await errorOf(first.done)).toMatch(
      /^ML_TOPIC_(?:CHANGED|MISSING) .*views|^ML_OFFSET_OUT_OF_RANGE .*views/,
    );
  });
});

test('records of repartition topics are deleted when they were read', async () => {
  await onBroker(async ({ log, start, view, output }) => {
    await createViews(log);
    const running = start(hits);
    await view(['a', 'b', 'c', 'd']);
    await output(4);
    const repartition = [0, 1].map((partition) => ({
      topic: 'hits-per-page-repartition',
      partition,
    }));
    expect(await log.offsets(repartition, 'beginning')).toEqual([0, 0]);
    await log.env.timers.sleep(40_000);
    await view(['a', 'b', 'c', 'd']);
    await output(8);
    await log.env.timers.sleep(1_000);
    for (const beginning of await log.offsets(repartition, 'beginning'))
      expect(beginning).toBeGreaterThan(0);
    await running.stop();
    const again = start(hits);
    await view(['a', 'b', 'c', 'd']);
    expect(await output(12)).toContain('d 3');
    await again.stop();
  });
});

test('commits wait for the calls of the program, in order', async () => {
  await onBroker(async ({ log, start, view, output }) => {
    const asking = flow('hits', (f) => {
      f.read(topic('views', { value: json<{ page: string }>() }))
        .mapAsync(
          'ask',
          async (seen) => {
            await log.env.timers.sleep(seen.page === 'slow' ? 700 : 30);
            return seen.page;
          },
          { concurrency: 4 },
        )
        .keyBy((page) => page)
        .count('per-page')
        .write(topic('hits', { value: json<number>(), create: { partitions: PARTITIONS } }));
    });
    await createViews(log);
    const running = start(asking);
    await view(['a', 'slow', 'a', 'b', 'slow', 'a', 'b', 'b']);
    expect(await output(8)).toEqual(['a 1', 'a 2', 'a 3', 'b 1', 'b 2', 'b 3', 'slow 1', 'slow 2']);
    await running.stop();
    await running.done;
  });
});

test('a call that never comes back stops the flow, and says which', async () => {
  const waiting = flow('hits', (f) => {
    f.read(topic('views', { value: json<{ page: string }>() }))
      .map((seen) =>
        seen.page === 'never' ? new Promise<string>(() => {}) : Promise.resolve(seen.page),
      )
      .write(topic('hits', { value: json<string>(), create: { partitions: PARTITIONS } }));
  });
  await onBroker(async ({ log, start, view }) => {
    await createViews(log);
    const running = start(waiting);
    await view(['a', 'b', 'never', 'c']);
    expect(await errorOf(running.done)).toMatch(/^ML_USER_FUNCTION .*have not come back/);
  });
});

test('records that are gone before they were read stop the flow, and say how to go on', async () => {
  await onBroker(async ({ log, start, view, output }) => {
    await createViews(log);
    const first = start(hits);
    await view(['a', 'b']);
    await output(2);
    await first.stop();
    await view(['c', 'c', 'c', 'c']);
    await log.deleteRecords([{ topic: 'views', partition: 0, offset: 3 }]);
    const gone = await errorOf(start(hits).done);
    expect(gone).toContain(
      "ML_OFFSET_OUT_OF_RANGE flow 'hits' has read topic views partition 0 up to offset 1, but records 1 to 2 were deleted",
    );
  });
});

test('a function that throws stops the flow with its place, and nothing of its transaction counts', async () => {
  const failing = flow('hits', (f) => {
    f.read(topic('views', { value: json<{ page: string }>() }))
      .map((view) => {
        if (view.page === 'bad') throw new Error('what is this');
        return view;
      })
      .keyBy(({ page }) => page)
      .count('per-page')
      .write(topic('hits', { value: json<number>(), create: { partitions: PARTITIONS } }));
  });
  await onBroker(async ({ log, start, view }) => {
    await createViews(log);
    await view(['a', 'a', 'bad']);
    const running = start(failing);
    const error = await errorOf(running.done);
    expect(error).toContain('ML_USER_FUNCTION');
    expect(error).toContain('offset 1');
  });
});
