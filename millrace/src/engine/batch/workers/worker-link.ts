/**
 * The driver's side of the conversation with one worker, without the transport: the counterpart of `worker-session.ts`, which
 * draws the order of the frames.
 */
import { MillraceError } from '../../../core/errors.ts';
import { encodeFrame, FrameDecoder, type Frame, type FrameName } from './frames.ts';
import {
  errorFromMessage,
  type DoneMessage,
  type ErrorMessage,
  type InitMessage,
  type LogMessage,
  type PlanMessage,
  type ReadyMessage,
} from './messages.ts';
import type { TaskProgress, TaskSpec } from '../stage.ts';

export interface WorkerLinkOptions {
  readonly send: (frame: Uint8Array) => void;
  /** The program is loaded there: tasks can be given. */
  readonly onReady: () => void;
  /** The worker is of no use any more: it cannot load the program, or breaks the rules. The caller ends it. */
  readonly onFailed: (error: Error) => void;
  readonly onLog: (line: string) => void;
}

interface RunningTask {
  readonly onProgress: (progress: TaskProgress) => void;
  readonly resolve: (done: DoneMessage) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerLink {
  readonly #options: WorkerLinkOptions;
  readonly #decoder = new FrameDecoder();
  #state: 'starting' | 'ready' | 'ended' = 'starting';
  /** Why it has ended. */
  #end: Error | undefined;
  #fingerprint: string | undefined;
  #running: RunningTask | undefined;

  constructor(options: WorkerLinkOptions, init: InitMessage) {
    this.#options = options;
    this.#send('init', init);
  }

  /** It has loaded the program, whatever has become of it since. */
  get wasReady(): boolean {
    return this.#fingerprint !== undefined;
  }

  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** What the worker has built; undefined until it is ready. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  prepare(plan: PlanMessage): void {
    this.#send('plan', plan);
  }

  /** @throws what the attempt failed with, in the worker; ML_WORKER_LOST */
  run(spec: TaskSpec, onProgress: (progress: TaskProgress) => void): Promise<DoneMessage> {
    // Between being chosen and being asked it may have ended.
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      this.#running = { onProgress, resolve, reject };
      this.#send('task', { spec });
    });
  }

  /** The task that runs ends soon, with ML_ABORTED or its result. */
  cancel(): void {
    if (this.#running !== undefined) this.#send('cancel', {});
  }

  receive(chunk: Uint8Array): void {
    if (this.#state === 'ended') return;
    try {
      for (const frame of this.#decoder.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The process has gone. What it ran fails with `error`. */
  end(error: Error): void {
    this.#state = 'ended';
    this.#end ??= error;
    const running = this.#running;
    this.#running = undefined;
    running?.reject(error);
  }

  #take(frame: Frame): void {
    const running = this.#running;
    if (frame.name === 'log') {
      this.#options.onLog((frame.body as LogMessage).line);
    } else if (frame.name === 'ready' && this.#state === 'starting') {
      this.#state = 'ready';
      this.#fingerprint = (frame.body as ReadyMessage).fingerprint;
      this.#options.onReady();
    } else if (frame.name === 'error' && running === undefined) {
      this.#fail(errorFromMessage(frame.body as ErrorMessage));
    } else if (frame.name === 'progress' && running !== undefined) {
      running.onProgress(frame.body as TaskProgress);
    } else if (frame.name === 'done' && running !== undefined) {
      this.#running = undefined;
      running.resolve(frame.body as DoneMessage);
    } else if (frame.name === 'error' && running !== undefined) {
      this.#running = undefined;
      running.reject(errorFromMessage(frame.body as ErrorMessage));
    } else {
      throw new MillraceError(
        'ML_WIRE_MALFORMED',
        `a frame '${frame.name}' came from a worker that is ${this.#state}`,
      );
    }
  }

  #fail(error: Error): void {
    this.end(error);
    this.#options.onFailed(error);
  }

  #send(name: FrameName, body: unknown): void {
    if (this.#state !== 'ended') this.#options.send(encodeFrame(name, body));
  }
}
