/**
 * What a worker thread runs: imports the program, plans the same topology, and works until it is told to stop. Every end is told to the
 * flow that started it, with its error.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { connectKafka } from '../../../client/kafka/kafka-log.ts';
import type { Log } from '../../../client/log.ts';
import { connectPort } from '../../../client/port-log.ts';
import { assert } from '../../../core/errors.ts';
import { STREAM_STATUS_MS } from '../../../core/stream-limits.ts';
import { realEnv } from '../../../core/real-env.ts';
import { buildPlan, loadProgram } from '../../batch/program/load-program.ts';
import { programChanged } from '../../batch/workers/fingerprint.ts';
import { errorToMessage } from '../../batch/workers/messages.ts';
import { watchStrays } from '../../batch/workers/stray-errors.ts';
import { startLocalWorker } from './local-worker.ts';
import { planFlow } from './prepare-flow.ts';
import { type FromThread, packEvent, type ThreadStart, type ToThread } from './thread-messages.ts';
import type { WorkerHandle } from './worker-handle.ts';

const env = realEnv();

async function work(start: ThreadStart): Promise<void> {
  const { flow } = await loadProgram(start.program, env.fs);
  const plan = buildPlan(flow, start.program.settings);
  if (plan.fingerprint !== start.fingerprint) throw programChanged(start.program.path);
  const topology = planFlow(plan, start.partitionsByTopic, start.worker.partitions);
  const log = await openLog(start);
  try {
    const worker = startLocalWorker({
      log,
      topology,
      settings: start.worker,
      onEvent: (event) => {
        // Tasks that are closed now take their numbers with them.
        if (event.kind === 'committed') tellStatus(worker);
        send({ kind: 'event', event: packEvent(event) });
      },
      atStep: undefined,
    });
    listen(worker);
    await worker.done;
    tellStatus(worker);
  } finally {
    await log.close();
  }
}

function openLog({ connection }: ThreadStart): Promise<Log> {
  return connection.kind === 'port'
    ? connectPort(env, connection.port)
    : connectKafka(env, { brokers: connection.brokers });
}

function listen(worker: WorkerHandle): void {
  parentPort?.on('message', (message: ToThread) => {
    if (message.kind === 'stop') {
      worker.stop();
      return;
    }
    const { id, task, question } = message;
    worker.ask(task, question).then(
      (answer) => {
        send({ kind: 'answer', id, answer });
      },
      (error: unknown) => {
        send({ kind: 'refusal', id, error: errorToMessage(error) });
      },
    );
  });
  const tell = (): void => {
    tellStatus(worker);
    env.timers.after(STREAM_STATUS_MS, tell);
  };
  tell();
}

function tellStatus(worker: WorkerHandle): void {
  const status = worker.status();
  if (status !== undefined) send({ kind: 'status', status });
}

function send(message: FromThread): void {
  assert(parentPort !== null, 'this module runs in a worker thread');
  parentPort.postMessage(message, []);
}

try {
  await watchStrays(env.timers, () => work(workerData as ThreadStart));
  send({ kind: 'ended', error: undefined });
} catch (error) {
  send({ kind: 'ended', error: errorToMessage(error) });
}
parentPort?.close();
