/** A worker in this thread. */
import type { Log } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { TaskId, Topology } from '../topology.ts';
import { GLOBAL_STAGE, viewsOf } from '../views/view-specs.ts';
import { taskName } from '../worker/assign-tasks.ts';
import { StreamWorker } from '../worker/stream-worker.ts';
import type { CommitStep, WorkerEvent, WorkerStatus } from '../worker/worker-types.ts';
import { answerGlobal, answerQuestion, type TaskAnswer } from './answer-question.ts';
import { recordTopics } from './saved-state.ts';
import { TaskOpener } from './task-opener.ts';
import type { WorkerSettings } from './thread-messages.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface LocalWorkerOptions {
  readonly log: Log;
  readonly topology: Topology;
  readonly settings: WorkerSettings;
  readonly onEvent: (event: WorkerEvent) => void;
  readonly atStep: ((step: CommitStep) => Promise<void> | void) | undefined;
}

export function startLocalWorker(options: LocalWorkerOptions): WorkerHandle {
  const { log, topology, settings, onEvent, atStep } = options;
  const flow = topology.plan.name;
  const views = viewsOf(topology);
  const opener = new TaskOpener(log.env, topology, settings);
  const worker = new StreamWorker({
    log,
    topology,
    openTask: (id, host) => opener.open(id, host),
    globals: opener.globals,
    recordTopics: (names) => recordTopics(log, flow, names),
    label: settings.label,
    claims: settings.claims,
    address: settings.address,
    from: settings.from,
    commitIntervalMs: settings.commitIntervalMs,
    sessionMs: settings.sessionMs,
    transactionMs: settings.transactionMs,
    onEvent,
    ...(atStep === undefined ? {} : { atStep }),
  });
  const work = async (): Promise<void> => {
    try {
      await worker.run();
    } finally {
      await opener.globals.close();
    }
  };
  return {
    done: work(),
    status: () => worker.status,
    stop: () => {
      worker.stop();
    },
    // What throws in it rejects.
    ask: async (id, question) => {
      const run = worker.task(id);
      let answer: TaskAnswer | undefined;
      if (id.stage === GLOBAL_STAGE) {
        const isKnown = question.kind === 'view' && isWorking(worker.status);
        if (isKnown) answer = answerGlobal(opener.globals, views, question);
      } else if (run?.isRestored === true) answer = answerQuestion(run, views, question);
      if (answer === undefined) throw elsewhere(flow, id);
      return answer;
    },
  };
}

/** Global tables are whole before the first task is. */
function isWorking({ tasks }: WorkerStatus): boolean {
  return tasks.some(({ phase }) => phase === 'running');
}

export function elsewhere(flow: string, id: TaskId): MillraceError {
  return new MillraceError(
    'ML_TASK_ELSEWHERE',
    `task ${taskName(id)} of flow '${flow}' does not run in this process, or is being restored`,
    { fields: { flow, task: taskName(id) } },
  );
}
