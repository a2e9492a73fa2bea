/**
 * The worker's side of the conversation, without the transport: bytes come in through `receive`, frames go out through `send`.
 *
 * ```
 * driver  INIT ──────────────▶ PLAN ▶ TASK ───────────────────▶ TASK …            (CANCEL during a task)
 * worker        load… ▶ READY               PROGRESS… ▶ DONE or ERROR
 *               or ERROR
 * ```
 *
 * One task runs at a time. PLAN and TASK may be sent before READY: they wait. What does not fit into this order ends the
 * conversation: it would be a mistake of ours, or the pipe is not ours.
 */
import { MillraceError } from '../../../core/errors.ts';
import { encodeFrame, FrameDecoder, type Frame, type FrameName } from './frames.ts';
import {
  errorToMessage,
  type DoneMessage,
  type InitMessage,
  type PlanMessage,
  type TaskMessage,
} from './messages.ts';
import type { TaskProgress, TaskSpec } from '../stage.ts';

/** What a session drives. */
export interface SessionEngine {
  /** Loads the program and returns the fingerprint of its plan. */
  load(init: InitMessage): Promise<string>;
  /** Builds the stages. @throws {MillraceError} ML_PROGRAM_INVALID when the fingerprint is another one */
  prepare(message: PlanMessage): void;
  run(
    spec: TaskSpec,
    onProgress: (progress: TaskProgress) => void,
    signal: AbortSignal,
  ): Promise<DoneMessage>;
}

export interface SessionOptions {
  readonly engine: SessionEngine;
  readonly send: (frame: Uint8Array) => void;
  /** The other side has broken the rules: the conversation is over. */
  readonly onBroken: (error: Error) => void;
}

/** Frames that may wait while the program is loaded: one PLAN, one TASK. */
const WAITING_FRAMES_MAX = 2;

export class WorkerSession {
  readonly #options: SessionOptions;
  readonly #decoder = new FrameDecoder();
  readonly #waiting: Frame[] = [];
  #state: 'new' | 'loading' | 'loaded' | 'idle' | 'busy' | 'broken' = 'new';
  #cancel: AbortController | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  receive(chunk: Uint8Array): void {
    if (this.#state === 'broken') return;
    try {
      for (const frame of this.#decoder.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#break(error);
    }
  }

  log(line: string): void {
    this.#send('log', { line });
  }

  #take(frame: Frame): void {
    if (frame.name === 'cancel') {
      // It may cross the end of the task on its way.
      this.#cancel?.abort();
      return;
    }
    if (this.#state === 'loading' && this.#waiting.length < WAITING_FRAMES_MAX) {
      this.#waiting.push(frame);
      return;
    }
    if (frame.name === 'init' && this.#state === 'new') {
      this.#state = 'loading';
      this.#load(frame.body as InitMessage).catch((error: unknown) => this.#break(error));
    } else if (frame.name === 'plan' && this.#state === 'loaded') {
      this.#prepare(frame.body as PlanMessage);
    } else if (frame.name === 'task' && this.#state === 'idle') {
      this.#state = 'busy';
      this.#run((frame.body as TaskMessage).spec).catch((error: unknown) => this.#break(error));
    } else {
      throw new MillraceError(
        'ML_WIRE_MALFORMED',
        `a frame '${frame.name}' came to a worker that is ${this.#state}`,
      );
    }
  }

  async #load(init: InitMessage): Promise<void> {
    let fingerprint: string;
    try {
      fingerprint = await this.#options.engine.load(init);
    } catch (error) {
      this.#send('error', errorToMessage(error));
      this.#state = 'broken';
      return;
    }
    this.#state = 'loaded';
    this.#send('ready', { fingerprint });
    for (const frame of this.#waiting.splice(0)) this.#take(frame);
  }

  #prepare(message: PlanMessage): void {
    try {
      this.#options.engine.prepare(message);
      this.#state = 'idle';
    } catch (error) {
      this.#send('error', errorToMessage(error));
      this.#state = 'broken';
    }
  }

  async #run(spec: TaskSpec): Promise<void> {
    const cancel = new AbortController();
    this.#cancel = cancel;
    let name: 'done' | 'error' = 'done';
    let body: unknown;
    try {
      body = await this.#options.engine.run(
        spec,
        (progress) => {
          this.#send('progress', progress);
        },
        cancel.signal,
      );
    } catch (error) {
      name = 'error';
      body = errorToMessage(error);
    }
    this.#cancel = undefined;
    this.#state = 'idle';
    try {
      this.#send(name, body);
    } catch (error) {
      // A result that does not fit into a frame fails the attempt, not the worker.
      this.#send('error', errorToMessage(error));
    }
  }

  #send(name: FrameName, body: unknown): void {
    this.#options.send(encodeFrame(name, body));
  }

  #break(error: unknown): void {
    this.#state = 'broken';
    this.#options.onBroken(error instanceof Error ? error : new Error(String(error)));
  }
}
