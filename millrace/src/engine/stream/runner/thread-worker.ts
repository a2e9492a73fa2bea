/** A worker in a thread of its own: starts it, and speaks with it. */
import { Worker } from 'node:worker_threads';
import { MillraceError } from '../../../core/errors.ts';
import { streamWorkerUrl } from '../../batch/workers/entry-points.ts';
import { errorFromMessage } from '../../batch/workers/messages.ts';
import type { TaskId } from '../topology.ts';
import type { WorkerEvent, WorkerStatus } from '../worker/worker-types.ts';
import type { TaskAnswer, TaskQuestion } from './answer-question.ts';
import {
  type FromThread,
  type ThreadStart,
  type ToThread,
  unpackEvent,
} from './thread-messages.ts';
import type { WorkerHandle } from './worker-handle.ts';

interface Question {
  readonly resolve: (answer: TaskAnswer) => void;
  readonly reject: (error: Error) => void;
}

export function startThreadWorker(
  start: ThreadStart,
  onEvent: (event: WorkerEvent) => void,
): WorkerHandle {
  const { connection } = start;
  const thread = new Worker(new URL(streamWorkerUrl()), {
    workerData: start,
    transferList: connection.kind === 'port' ? [connection.port] : [],
  });
  const questions = new Map<number, Question>();
  let nextId = 0;
  let status: WorkerStatus | undefined;
  const send = (message: ToThread): void => {
    thread.postMessage(message, []);
  };
  const done = new Promise<void>((resolve, reject) => {
    let ended: FromThread | undefined;
    thread.on('message', (message: FromThread) => {
      switch (message.kind) {
        case 'event':
          onEvent(unpackEvent(message.event));
          break;
        case 'status':
          status = message.status;
          break;
        case 'answer':
          questions.get(message.id)?.resolve(message.answer);
          questions.delete(message.id);
          break;
        case 'refusal':
          questions.get(message.id)?.reject(errorFromMessage(message.error));
          questions.delete(message.id);
          break;
        case 'ended':
          ended = message;
          break;
      }
    });
    thread.on('error', reject);
    thread.on('exit', (code) => {
      for (const { reject: refuse } of questions.values()) refuse(lost(start.worker.label, code));
      questions.clear();
      if (ended === undefined) reject(lost(start.worker.label, code));
      else if (ended.kind === 'ended' && ended.error !== undefined)
        reject(errorFromMessage(ended.error));
      else resolve();
    });
  });
  return {
    done,
    status: () => status,
    stop: () => {
      send({ kind: 'stop' });
    },
    ask: (task: TaskId, question: TaskQuestion) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        questions.set(id, { resolve, reject });
        send({ kind: 'ask', id, task, question });
      }),
  };
}

function lost(label: string, code: number): MillraceError {
  return new MillraceError(
    'ML_WORKER_LOST',
    `the thread of worker ${label} ended by itself with exit code ${code}`,
    { fields: { worker: label, exitCode: code } },
  );
}
