/** `node threads-process.ts PROGRAM DIRECTORY`: a log in this process and a flow in two threads of it, which is fed, asked and audited. */
import { fileURLToPath } from 'node:url';
import { MillraceError } from '../../../src/core/errors.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { openEmbedded } from '../../../src/embedded-log.ts';
import { buildPlan, loadProgram } from '../../../src/engine/batch/program/load-program.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import { TASKS_PROTOCOL } from '../../../src/engine/stream/worker/member-data.ts';
import { audit, openShop, sendOrders, ShopReader } from '../exactly-once/shop-audit.ts';

const ORDERS = 1_000;
const [path = '', directory = ''] = process.argv.slice(2);
const env = realEnv();
const program = { path, settings: {} };
const { flow } = await loadProgram(program, env.fs);
const log = await openEmbedded(env, { dataDir: `${directory}/threads` });
await openShop(log, 'shop');
const running = runFlow({
  log,
  plan: buildPlan(flow, {}),
  program,
  dataDirectory: `${directory}/threads-state`,
  workers: 2,
  connection: { kind: 'port', port: () => log.port() },
});
await running.ready;
const reader = new ShopReader(log);
await sendOrders(log, 'shop', 0, ORDERS);
for (const name of ['enriched', 'counts', 'revenue'])
  while (((await reader.read(`shop-${name}`))?.length ?? 0) < ORDERS) await env.timers.sleep(20);

async function customers(): Promise<number> {
  let count = 0;
  for (const { task } of running.metrics().workers.flatMap((worker) => worker.tasks)) {
    try {
      const { entries } = await running.ask(task, {
        kind: 'range',
        store: 'orders-per-customer',
        from: undefined,
        to: undefined,
        limit: 1_000,
      });
      count += entries.length;
    } catch (error) {
      if (!(error instanceof MillraceError && error.code === 'ML_USAGE')) throw error;
    }
  }
  return count;
}

/** What stops a flow in a thread is told with its class, its code and its place. */
async function failure(): Promise<string> {
  const failing = { path: fileURLToPath(new URL('./failing.ts', import.meta.url)), settings: {} };
  const loaded = await loadProgram(failing, env.fs);
  const flow = runFlow({
    log,
    plan: buildPlan(loaded.flow, {}),
    program: failing,
    dataDirectory: `${directory}/threads-state`,
    workers: 2,
    connection: { kind: 'port', port: () => log.port() },
  });
  try {
    await flow.ready;
    await sendOrders(log, 'shop', ORDERS, ORDERS + 10);
    await flow.done;
    return 'nothing';
  } catch (error) {
    return error instanceof MillraceError ? `${error.code} ${error.message}` : String(error);
  }
}

/** Threads that wait for a group, whose other member does not come back, end when they are told to. */
async function stopped(): Promise<string> {
  const waiting = { path: fileURLToPath(new URL('./waiting.ts', import.meta.url)), settings: {} };
  const loaded = await loadProgram(waiting, env.fs);
  let told = (): void => {};
  const rebalance = new Promise<void>((resolve) => {
    told = resolve;
  });
  const other = log.member({
    group: 'waiting',
    instanceId: 'other',
    // It is not to be given up for another reason.
    sessionMs: 60_000,
    protocols: [TASKS_PROTOCOL],
    topics: () => [],
    userData: () => Buffer.alloc(0),
    assign: async () => new Map(),
    onRebalance: () => told(),
  });
  await other.join();
  const { memberId } = other.identity;
  const flow = runFlow({
    log,
    plan: buildPlan(loaded.flow, {}),
    program: waiting,
    dataDirectory: `${directory}/threads-state`,
    workers: 2,
    connection: { kind: 'port', port: () => log.port() },
  });
  await rebalance;
  await flow.stop();
  await flow.done;
  await other.join();
  // Had they waited, the group would have given up the other one.
  const how = other.identity.memberId === memberId ? 'did not wait' : 'waited';
  await other.leave();
  return `who was stopped ${how}`;
}

const tasks = running.assignment()?.members.map((member) => member.tasks.length) ?? [];
const known = await customers();
await running.stop();
await running.done;
const failed = await failure();
const waited = await stopped();
const faults = await audit(reader, 'shop', ORDERS);
await log.close();
process.stdout.write(
  `tasks ${tasks.join(' and ')}, state of ${known} customers, ${faults.length} faults\n${failed}\n${waited}\n`,
);
