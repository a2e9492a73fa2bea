/** Puts a flow under test. */
import { MillraceError } from '../core/errors.ts';
import { TOPIC_PARTITIONS_MAX } from '../core/limits.ts';
import { realEnv } from '../core/real-env.ts';
import { STREAM_WORKERS_MAX } from '../core/stream-limits.ts';
import type { Flow } from '../flow/flow-types.ts';
import { parameterTexts, type ParameterValues } from '../flow/parameters.ts';
import type { Plan } from '../flow/plan.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryCluster } from './memory-cluster.ts';
import { Patience } from './patience.ts';
import { FlowDriver, type TestDriver } from './test-driver.ts';
import { portsOf, sourcePorts } from './test-topics.ts';

export interface TestFlowOptions {
  /** Partitions of topics, by name. Default: what the topic says with `create`, else 1. */
  readonly topics?: Readonly<Record<string, number>>;
  /** Partitions of the topics between the stages of the flow. Default: as many as their input has. */
  readonly partitions?: number;
  /** The tasks of the flow are dealt out to so many workers, each with transactions of its own. Default 1. */
  readonly workers?: number;
  /** Values of parameters of the flow, by name: what `f.param` gives. */
  readonly parameters?: ParameterValues;
  /** The wall clock at the beginning: milliseconds since 1970, or a Date. Default 0. */
  readonly now?: number | Date;
}

/**
 * Runs a flow over topics in this process, for a test: no broker, no ports, no disk, and a clock that moves when it is told to. It is the
 * engine that runs flows without end, with its stages, state, changelogs and transactions; only the log is in memory. Any test runner will do.
 * @throws {MillraceError} ML_FLOW_INVALID, ML_PARAMETER_INVALID; ML_USAGE for options that cannot be
 * @example
 * const orders = topic('orders', { key: string(), value: json<Order>(), time: { of: (order) => order.placedAt } });
 * const totals = topic('totals', { key: json<Windowed<string>>(), value: json<number>() });
 * const perMinute = flow('totals', (f) => {
 *   f.readKeyed(orders)
 *     .window(tumbling('1 minute'))
 *     .aggregate('sum', { init: () => 0, add: (sum, order) => sum + order.total })
 *     .write(totals);
 * });
 *
 * await using driver = await testFlow(perMinute, { topics: { orders: 2 } });
 * await driver.send(orders, { key: 'ann', value: order });
 * await driver.advanceTime(order.placedAt + 60_000);
 * await driver.redeliver();
 * const [first] = driver.outputs(totals);
 */
export async function testFlow(flow: Flow, options: TestFlowOptions = {}): Promise<TestDriver> {
  const { workers = 1, partitions, parameters, now = 0 } = options;
  requireCount('workers', workers, STREAM_WORKERS_MAX);
  if (partitions !== undefined) requireCount('partitions', partitions, TOPIC_PARTITIONS_MAX);
  const plan = flow.plan(parameterTexts(parameters));
  const cluster = await MemoryCluster.open({
    plan,
    topics: topicsOf(plan, options.topics ?? {}),
    workers,
    clock: new ManualClock(typeof now === 'number' ? now : now.getTime()),
    ...(partitions === undefined ? {} : { partitions }),
  });
  let next = 0;
  await cluster.deal((count) => next++ % count);
  return new FlowDriver(cluster, new Patience(realEnv()));
}

/** @throws {MillraceError} ML_USAGE for a name that the flow does not know, and for what is no number of partitions */
function topicsOf(plan: Plan, given: Readonly<Record<string, number>>): Record<string, number> {
  const known = portsOf(plan);
  for (const [name, partitions] of Object.entries(given)) {
    requireCount(`topics.${name}`, partitions, TOPIC_PARTITIONS_MAX);
    if (known.has(name)) continue;
    throw new MillraceError('ML_USAGE', `flow '${plan.name}' has no topic ${name}`, {
      hint: `It reads and writes ${[...known.keys()].join(', ')}`,
    });
  }
  const topics: Record<string, number> = { ...given };
  for (const { name, create } of sourcePorts(plan)) topics[name] ??= create.partitions ?? 1;
  return topics;
}

function requireCount(what: string, count: number, max: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= max) return;
  throw new MillraceError('ML_USAGE', `${what} is a whole number from 1 to ${max}, not ${count}`);
}
