/**
 * The bodies of the frames, and errors as plain JSON: what a worker says of a failure has to reach the person at the driver whole,
 * with the position of the record and the stack of the user's function.
 */
import { ERRORS, MillraceError, type ErrorCode } from '../../../core/errors.ts';
import type { ProgramRef } from '../program/program.ts';
import type { PlanFacts, TaskResult, TaskSpec } from '../stage.ts';

export interface InitMessage {
  readonly program: ProgramRef;
  /** Directory that relative paths of the program start from. */
  readonly directory: string;
  /** `--brokers`. */
  readonly brokers: string | null;
}

export interface PlanMessage {
  readonly facts: PlanFacts;
  /** Of the driver's plan: the worker's must be the same. */
  readonly fingerprint: string;
}

export interface TaskMessage {
  readonly spec: TaskSpec;
}

export interface ReadyMessage {
  readonly fingerprint: string;
}

/** What a worker process took so far. */
export interface WorkerUsage {
  /** The most that was resident at any time. */
  readonly residentBytesMax: number;
  /** Processor time, user and system. */
  readonly cpuMs: number;
}

export interface DoneMessage {
  readonly result: TaskResult;
  readonly usage: WorkerUsage;
}

export interface LogMessage {
  readonly line: string;
}

/** An error between two processes. */
export interface ErrorMessage {
  /** null: not one of ours, so a bug. */
  readonly code: string | null;
  readonly message: string;
  readonly hint: string;
  readonly retriable: boolean;
  readonly stack: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
  readonly cause: ErrorMessage | null;
}

/** Causes of causes that are kept. */
const CAUSES_MAX = 5;

export function errorToMessage(error: unknown, depth = 0): ErrorMessage {
  const cause = error instanceof Error ? error.cause : undefined;
  const known = error instanceof MillraceError ? error : undefined;
  return {
    code: known?.code ?? null,
    message: error instanceof Error ? error.message : String(error),
    hint: known?.hint ?? '',
    retriable: known?.retriable ?? saysRetriable(error),
    stack: error instanceof Error ? (error.stack ?? '') : '',
    fields: known?.fields ?? {},
    cause: cause === undefined || depth === CAUSES_MAX ? null : errorToMessage(cause, depth + 1),
  };
}

/** The error that `errorToMessage` was given, as far as it matters: class, code, texts, stacks, causes. */
export function errorFromMessage(message: ErrorMessage): Error {
  const cause = message.cause === null ? undefined : errorFromMessage(message.cause);
  const options = cause === undefined ? {} : { cause };
  const error = isCode(message.code)
    ? new MillraceError(message.code, message.message, {
        ...options,
        hint: message.hint,
        retriable: message.retriable,
        fields: message.fields,
      })
    : Object.assign(new Error(message.message, options), { retriable: message.retriable });
  error.stack = message.stack;
  return error;
}

/** A user's function may mark what it throws as worth another attempt: `Object.assign(new Error(…), { retriable: true })`. */
export function saysRetriable(error: unknown): boolean {
  return (
    typeof error === 'object' && error !== null && 'retriable' in error && error.retriable === true
  );
}

function isCode(code: string | null): code is ErrorCode {
  return code !== null && Object.hasOwn(ERRORS, code);
}
