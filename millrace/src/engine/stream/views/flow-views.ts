/**
 * The views of a flow, as they are asked from the outside: by key, by range, and for what changes, over all partitions, wherever their tasks run.
 * All that is shown is committed.
 */
import type { Log } from '../../../client/log.ts';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { VIEW_ROWS, VIEW_ROWS_MAX, VIEW_SNAPSHOT_ROWS } from '../../../core/http-limits.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import { unknownView } from '../runner/answer-question.ts';
import type { RunningFlow } from '../runner/flow-types.ts';
import type { TaskId, Topology } from '../topology.ts';
import { layoutOf } from '../worker/member-data.ts';
import { type AsOf, Reflected } from './as-of.ts';
import { type AskPeer, askPeer, type TaskViewAnswer } from './http-peers.ts';
import { type KeySelection, orderRange } from './key-range.ts';
import { mergePages, rowsOf } from './merge-pages.ts';
import { placeOfKey } from './partition-of-key.ts';
import { moving, TaskAsker } from './task-asker.ts';
import { followView, type ViewEvent } from './view-changes.ts';
import type { PagePosition, ViewKind, ViewQuestion, ViewRow } from './view-row.ts';
import type { ViewSpec } from './view-spec.ts';
import { viewsOf } from './view-specs.ts';

export interface FlowViewsOptions {
  readonly log: Log;
  readonly running: RunningFlow;
  /** Where this process serves views, as it was given to `runFlow`; undefined: nowhere. */
  readonly address?: string | undefined;
  /** For tests. */
  readonly askPeer?: AskPeer;
  /** Rows of one step of a snapshot; for tests. */
  readonly snapshotRows?: number;
}

export interface ViewInfo {
  readonly name: string;
  readonly kind: ViewKind;
  readonly partitions: number;
  /** Whether its changes can be followed. */
  readonly changes: boolean;
}

export interface RowOptions {
  /** Of windows: only the one that starts there, milliseconds since 1970. Default: all that are open. */
  readonly start?: number | undefined;
  /** Of a history: what was true at that time, milliseconds since 1970. Default: what is true now. */
  readonly at?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RangeOptions extends KeySelection {
  /** 1 to 1,000. Default 100. */
  readonly limit?: number | undefined;
  /** Where another answer has ended: its `cursor`. */
  readonly cursor?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ViewAnswer {
  /** Empty: the key is not there. */
  readonly rows: readonly ViewRow[];
  readonly asOf: AsOf;
}

export interface RangeAnswer extends ViewAnswer {
  /** undefined: there are no more rows. */
  readonly cursor: string | undefined;
}

export interface ChangesOptions extends KeySelection {
  /** Goes on behind the event with this id. Default: begins with a snapshot. */
  readonly after?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class FlowViews {
  readonly flow: string;
  readonly running: RunningFlow;
  readonly #log: Log;
  readonly #asker: TaskAsker;
  readonly #snapshotRows: number;
  #known:
    | { readonly topology: Topology; readonly views: ReadonlyMap<string, ViewSpec> }
    | undefined;

  constructor(options: FlowViewsOptions) {
    const { log, running, address, askPeer: ask = askPeer } = options;
    this.#snapshotRows = options.snapshotRows ?? VIEW_SNAPSHOT_ROWS;
    this.flow = running.name;
    this.running = running;
    this.#log = log;
    this.#asker = new TaskAsker({ env: log.env, running, address, askPeer: ask });
  }

  /** @throws {MillraceError} ML_VIEW_MOVING: the flow has only begun to start */
  list(): readonly ViewInfo[] {
    return [...this.#plan().views.values()].map(infoOf);
  }

  /** @throws {MillraceError} ML_VIEW_UNKNOWN */
  info(view: string): ViewInfo {
    return infoOf(this.#spec(view));
  }

  /**
   * The row of a key; of windows all that the key has, or the one that starts at `start`.
   * @throws {MillraceError} ML_VIEW_UNKNOWN, ML_VIEW_REQUEST, ML_KEY_INVALID; ML_VIEW_MOVING and ML_VIEW_UNREACHABLE, which may pass
   */
  async get(view: string, key: unknown, options: RowOptions = {}): Promise<ViewAnswer> {
    const spec = this.#spec(view);
    const { start, at, signal } = options;
    checkRowOptions(spec, options);
    const question: ViewQuestion = {
      kind: 'view',
      view,
      limit: VIEW_ROWS_MAX,
      by: 'key',
      key,
      start,
      at,
    };
    const reflected = new Reflected();
    const ask = async (partition: number): Promise<readonly ViewRow[]> => {
      const answer = await this.#asker.ask({ stage: spec.stage, partition }, question, signal);
      reflected.add(answer);
      return rowsOf(answer);
    };
    const place = placeOfKey(this.#plan().topology, spec, key);
    if (place !== undefined) {
      const rows = await ask(place.partition);
      if (rows.length > 0 || place.isSure) return { rows, asOf: reflected.asOf };
    }
    const others = partitionsOf(spec).filter((partition) => partition !== place?.partition);
    const rows = await Promise.all(others.map(ask));
    return { rows: rows.flat(), asOf: reflected.asOf };
  }

  /**
   * Rows in the order of their keys, of all partitions.
   * @throws {MillraceError} as `get`
   */
  async range(view: string, options: RangeOptions = {}): Promise<RangeAnswer> {
    const spec = this.#spec(view);
    const { limit = VIEW_ROWS, cursor, signal, ...selection } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > VIEW_ROWS_MAX)
      throw new MillraceError('ML_VIEW_REQUEST', `limit is 1 to ${VIEW_ROWS_MAX}, not ${limit}`);
    const { from, to } = orderRange(selection);
    const begin: PagePosition = { order: from, after: Number.NEGATIVE_INFINITY };
    const position = cursor === undefined ? begin : decodeCursor(cursor);
    const { rows, next, asOf } = await mergePages({
      spec,
      from: position.order < from ? begin : position,
      limit,
      ask: (partition, { order, after }, rowsMax) =>
        this.#asker.ask(
          { stage: spec.stage, partition },
          { kind: 'view', view, limit: rowsMax, by: 'range', from: order, to, after },
          signal,
        ),
    });
    return { rows, cursor: next === undefined ? undefined : encodeCursor(next), asOf };
  }

  /**
   * What changes, from now on: first a snapshot, or, behind the event that `after` names, what has come since. It reads from the log at the
   * speed at which it is asked, and is done when `signal` fires.
   * @throws {MillraceError} as `get`; ML_VIEW_UNFOLLOWED
   */
  async *changes(view: string, options: ChangesOptions = {}): AsyncGenerator<ViewEvent, undefined> {
    const spec = this.#spec(view);
    const fault = followFault(spec);
    if (fault !== undefined) throw fault;
    const { after, signal, ...selection } = options;
    const place =
      'key' in selection ? placeOfKey(this.#plan().topology, spec, selection.key) : undefined;
    yield* followView({
      log: this.#log,
      flow: this.flow,
      spec,
      partitions: place?.isSure === true ? [place.partition] : partitionsOf(spec),
      range: orderRange(selection),
      snapshotRows: this.#snapshotRows,
      after,
      signal,
      ask: (partition, question) =>
        this.#asker.ask({ stage: spec.stage, partition }, question, signal),
    });
    return undefined;
  }

  /**
   * Answers another process, for a task of this one.
   * @param layout what stages and tasks are, for who asks
   * @throws {MillraceError} ML_VIEW_MOVING
   */
  async answer(layout: string, task: TaskId, question: ViewQuestion): Promise<TaskViewAnswer> {
    const isSame = layoutOf(this.#plan().topology) === layout;
    const answer = isSame ? await this.#asker.askHere(task, question) : undefined;
    if (answer === undefined) throw moving(this.flow, task);
    return answer;
  }

  #spec(view: string): ViewSpec {
    const { views } = this.#plan();
    const spec = views.get(view);
    if (spec === undefined) throw unknownView(view, [...views.keys()]);
    return spec;
  }

  #plan(): { readonly topology: Topology; readonly views: ReadonlyMap<string, ViewSpec> } {
    if (this.#known !== undefined) return this.#known;
    const topology = this.running.topology();
    if (topology === undefined)
      throw new MillraceError('ML_VIEW_MOVING', `flow '${this.flow}' is starting`, {
        fields: { flow: this.flow },
      });
    this.#known = { topology, views: viewsOf(topology) };
    return this.#known;
  }
}

function infoOf(spec: ViewSpec): ViewInfo {
  const { name, kind, partitions } = spec;
  return { name, kind, partitions, changes: followFault(spec) === undefined };
}

function partitionsOf({ partitions }: ViewSpec): number[] {
  return Array.from({ length: partitions }, (_, partition) => partition);
}

function checkRowOptions({ name, kind }: ViewSpec, { start, at }: RowOptions): void {
  if (start !== undefined && kind !== 'window' && kind !== 'session')
    throw new MillraceError('ML_VIEW_REQUEST', `'${name}' is a ${kind}, whose rows have no start`, {
      hint: 'Leave out start',
      fields: { view: name },
    });
  if (at !== undefined && kind !== 'history')
    throw new MillraceError('ML_VIEW_REQUEST', `'${name}' does not know what was true before`, {
      hint: 'Leave out at; or keep a history: table(…, { history })',
      fields: { view: name },
    });
}

/** Why the changes of a view cannot be followed. */
function followFault({ name, stage, rows }: ViewSpec): MillraceError | undefined {
  const fields = { view: name };
  if (stage < 0)
    return new MillraceError(
      'ML_VIEW_UNFOLLOWED',
      `'${name}' is a global table, which has no changelog`,
      {
        hint: 'Read the topic that it is made of',
        fields,
      },
    );
  if (rows.by === 'key')
    return new MillraceError(
      'ML_VIEW_UNFOLLOWED',
      `the windows of '${name}' share what they are made of until they close, so that nobody writes down how each of them changes`,
      { hint: "Let every change be told: emit: 'changes'", fields },
    );
  return undefined;
}

function encodeCursor({ order, after }: PagePosition): string {
  const writer = new ByteWriter(64);
  encodeValue([order, after], writer);
  return writer.buffer.toString('base64url', 0, writer.length);
}

function decodeCursor(text: string): PagePosition {
  const bytes = Buffer.from(text, 'base64url');
  try {
    const value: unknown = decodeValue(bytes, 0, bytes.length);
    if (Array.isArray(value)) {
      const [order, after] = value as readonly unknown[];
      if (typeof order === 'string' && typeof after === 'number') return { order, after };
    }
  } catch {
    // Said below.
  }
  throw new MillraceError('ML_VIEW_REQUEST', 'cursor is not what another answer has ended with');
}
