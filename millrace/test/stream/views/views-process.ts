/** One process of a flow that serves its views: `node views-process.ts BROKERS DATA PROGRAM WORKERS`. Says where, when it processes; SIGTERM ends it. */
import { connectKafka } from '../../../src/client/kafka/kafka-log.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { buildPlan, loadProgram } from '../../../src/engine/batch/program/load-program.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import { openHttp } from '../../../src/server/http/open-http.ts';

const [brokers = '', dataDirectory = '', path = '', workers = '0'] = process.argv.slice(2);
const env = realEnv();
const program = { path, settings: {} };
const { flow } = await loadProgram(program, env.fs);
const log = await connectKafka(env, { brokers });
const http = await openHttp({ env, port: 0 });
const running = runFlow({
  log,
  plan: buildPlan(flow, {}),
  program,
  dataDirectory,
  workers: Number(workers),
  connection: { kind: 'brokers', brokers },
  sessionMs: 6_000,
  address: http.address,
});
http.serve(log, running);
process.on('SIGTERM', () => {
  running.stop().catch(() => {});
});
running.ready.then(
  () => process.stdout.write(`${http.address}\n`),
  () => {},
);
await running.done;
await http.close();
await log.close();
