/**
 * Questions about tasks that other processes run, over HTTP. A question and its answer are what `core/value-codec` makes of them, because JSON
 * would not bring back every key and value.
 *
 *   POST /flows/<flow>/tasks/<stage>-<partition>?layout=<layout>      the body is the question, because keys may be long
 *
 * Whoever is asked answers for its own tasks and asks nobody else: so no question ever goes round.
 */
import type { TopicPartition } from '../../../client/log.ts';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { httpAsk } from '../../../core/http-client.ts';
import {
  VIEW_FORWARD_BYTES_MAX,
  VIEW_FORWARD_MS,
  VIEW_ROWS_MAX,
} from '../../../core/http-limits.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import { errorFromMessage, type ErrorMessage } from '../../batch/workers/messages.ts';
import { taskName } from '../worker/assign-tasks.ts';
import type { TaskId } from '../topology.ts';
import type { ViewPage, ViewQuestion } from './view-row.ts';

export interface TaskViewAnswer {
  readonly reflects: readonly (TopicPartition & { readonly offset: number })[];
  readonly page: ViewPage;
}

/** Asks a task of another process. @throws {MillraceError} what that says; ML_CONNECTION_LOST */
export type AskPeer = (
  address: string,
  flow: string,
  layout: string,
  task: TaskId,
  question: ViewQuestion,
  signal: AbortSignal | undefined,
) => Promise<TaskViewAnswer>;

export const askPeer: AskPeer = async (address, flow, layout, task, question, signal) => {
  const url = `http://${address}/flows/${encodeURIComponent(flow)}/tasks/${taskName(task)}?layout=${layout}`;
  const { status, body } = await httpAsk(url, {
    body: encodeQuestion(question),
    timeoutMs: VIEW_FORWARD_MS,
    bytesMax: VIEW_FORWARD_BYTES_MAX,
    signal,
  });
  if (status === 200) return decodeAnswer(body, address);
  throw refusalOf(body) ?? strange(address, `it answers with status ${status}`);
};

export function encodeQuestion(question: ViewQuestion): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(256);
  encodeValue(question, writer);
  return new Uint8Array(writer.buffer.subarray(0, writer.length));
}

/** undefined: it is none. */
export function decodeQuestion(bytes: Buffer): ViewQuestion | undefined {
  const value = decoded(bytes);
  return isQuestion(value) ? value : undefined;
}

export function encodeTaskAnswer({ reflects, page }: TaskViewAnswer): Uint8Array {
  const writer = new ByteWriter(page.rows.length + 256);
  encodeValue({ reflects, page }, writer);
  return writer.buffer.subarray(0, writer.length);
}

function decodeAnswer(body: Buffer, address: string): TaskViewAnswer {
  const value = decoded(body);
  if (isAnswer(value)) return value;
  throw strange(address, 'it answers with something else');
}

function isQuestion(value: unknown): value is ViewQuestion {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, view, limit, by, start, at, from, to, after } = value as Partial<
    Record<string, unknown>
  >;
  const isNumber = (given: unknown): boolean => given === undefined || typeof given === 'number';
  const isBounded = typeof limit === 'number' && limit >= 1 && limit <= VIEW_ROWS_MAX;
  if (kind !== 'view' || typeof view !== 'string' || !isBounded) return false;
  if (by === 'key') return isNumber(start) && isNumber(at);
  return (
    by === 'range' &&
    typeof from === 'string' &&
    (to === undefined || typeof to === 'string') &&
    typeof after === 'number'
  );
}

function isAnswer(value: unknown): value is TaskViewAnswer {
  if (typeof value !== 'object' || value === null) return false;
  const { reflects, page } = value as Partial<Record<string, unknown>>;
  if (!Array.isArray(reflects) || typeof page !== 'object' || page === null) return false;
  return 'rows' in page && page.rows instanceof Uint8Array && 'position' in page;
}

function decoded(bytes: Buffer): unknown {
  try {
    return decodeValue(bytes, 0, bytes.length);
  } catch {
    return undefined;
  }
}

/** The error that it answers with. */
function refusalOf(body: Buffer): Error | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (typeof value !== 'object' || value === null || !('message' in value)) return undefined;
    return errorFromMessage(value.message as ErrorMessage);
  } catch {
    return undefined;
  }
}

function strange(address: string, what: string): MillraceError {
  return new MillraceError(
    'ML_CONNECTION_LOST',
    `what listens at ${address} is no process of this flow: ${what}`,
    { fields: { address } },
  );
}
