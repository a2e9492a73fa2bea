/** One process of a flow: `node flow-process.ts BROKERS DATA PROGRAM WORKERS SESSION_MS`. Says `ready` when it processes; SIGTERM ends it in order. */
import { connectKafka } from '../../../src/client/kafka/kafka-log.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { buildPlan, loadProgram } from '../../../src/engine/batch/program/load-program.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';

const [brokers = '', dataDirectory = '', path = '', workers = '0', sessionMs = '6000'] =
  process.argv.slice(2);
const env = realEnv();
const program = { path, settings: {} };
const { flow } = await loadProgram(program, env.fs);
const log = await connectKafka(env, { brokers });
const running = runFlow({
  log,
  plan: buildPlan(flow, {}),
  program,
  dataDirectory,
  workers: Number(workers),
  connection: { kind: 'brokers', brokers },
  sessionMs: Number(sessionMs),
  onEvent: (event) => {
    if (event.kind === 'worker' && event.event.kind !== 'committed')
      process.stderr.write(`${env.clock.nowMs()} ${event.worker} ${JSON.stringify(event.event)}\n`);
  },
});
process.on('SIGTERM', () => {
  running.stop().catch(() => {});
});
running.ready.then(
  () => process.stdout.write('ready\n'),
  () => {},
);
await running.done;
await log.close();
