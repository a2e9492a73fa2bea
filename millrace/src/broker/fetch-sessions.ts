/**
 * Incremental fetch sessions: what a consumer reads is kept here, so that its requests and answers name only what
 * changed.
 *
 *   request  id 0, epoch 0       full: everything is named; a session is made if there is room
 *            id n, epoch k       incremental: changes and removals; k must be the next epoch
 *            id n, epoch 0 / -1  full again; the old session ends, with -1 no new one is made
 *
 * Owns: the sessions, least recently used first. Invariants: no more sessions than slots and no more partitions in all
 * than FETCH_SESSION_PARTITIONS_MAX; who gets no session (id 0) fetches in full, which costs bytes and nothing else. A
 * session that was in use within FETCH_SESSION_EVICTION_MS is not taken from its owner.
 *
 * Source: KIP-227, KIP-516 (topic ids).
 */
import type { Env } from '../core/env.ts';
import { FETCH_SESSION_EVICTION_MS, FETCH_SESSION_PARTITIONS_MAX } from '../core/limits.ts';
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import type { FetchedPartition } from './fetch.ts';

/** A partition as a consumer asks for it. */
export interface SessionPartition {
  /** '' when topics are named by id. */
  readonly topicName: string;
  /** The zero uuid when topics are named by name. */
  readonly topicId: string;
  readonly partition: number;
  readonly fetchOffset: number;
  readonly maxBytes: number;
  readonly currentLeaderEpoch: number;
  readonly lastFetchedEpoch: number;
}

export type PartitionName = Pick<SessionPartition, 'topicName' | 'topicId' | 'partition'>;

export interface SessionRequest {
  readonly sessionId: number;
  readonly sessionEpoch: number;
  /** Topics are named by id (v13). */
  readonly byId: boolean;
  readonly partitions: readonly SessionPartition[];
  readonly forgotten: readonly PartitionName[];
}

/** What to read for a request, and how to answer it. */
export interface FetchPlan {
  readonly error: ErrorName;
  /** 0: there is no session. */
  readonly sessionId: number;
  readonly partitions: readonly SessionPartition[];
  /** The indexes of those results that the answer has to carry, in its order. Call once. */
  readonly select: (results: readonly FetchedPartition[]) => readonly number[];
}

const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;
const EPOCH_MAX = 2_147_483_647;
const ID_TRIES_MAX = 8;

interface Kept {
  asked: SessionPartition;
  /** As last answered. */
  highWatermark: number;
  logStartOffset: number;
}

interface Session {
  readonly id: number;
  readonly byId: boolean;
  /** What the next request must say. */
  epoch: number;
  /** In the order in which they are read: those that gave records go last. */
  readonly kept: Map<string, Kept>;
  usedMs: number;
}

export class FetchSessions {
  private readonly env: Pick<Env, 'clock' | 'random'>;
  private readonly slots: number;
  /** Least recently used first. */
  private readonly sessions = new Map<number, Session>();
  private partitionTotal = 0;

  constructor(options: { readonly env: Pick<Env, 'clock' | 'random'>; readonly slots: number }) {
    this.env = options.env;
    this.slots = options.slots;
  }

  get count(): number {
    return this.sessions.size;
  }

  get partitionCount(): number {
    return this.partitionTotal;
  }

  open(request: SessionRequest): FetchPlan {
    const { sessionId, sessionEpoch } = request;
    if (sessionEpoch !== INITIAL_EPOCH && sessionEpoch !== FINAL_EPOCH)
      return this.continue(request);
    const old = this.sessions.get(sessionId);
    if (old !== undefined) this.end(old);
    const session = sessionEpoch === FINAL_EPOCH ? undefined : this.begin(request);
    return {
      error: 'NONE',
      sessionId: session?.id ?? 0,
      partitions: request.partitions,
      select: (results) => {
        if (session !== undefined) remember(session, request.partitions, results);
        return request.partitions.map((_, index) => index);
      },
    };
  }

  private continue(request: SessionRequest): FetchPlan {
    const session = this.sessions.get(request.sessionId);
    if (session === undefined) return refused('FETCH_SESSION_ID_NOT_FOUND');
    if (session.epoch !== request.sessionEpoch) return refused('INVALID_FETCH_SESSION_EPOCH');
    if (session.byId !== request.byId) return refused('FETCH_SESSION_TOPIC_ID_ERROR');
    const before = session.kept.size;
    for (const name of request.forgotten) session.kept.delete(keyOf(name));
    for (const asked of request.partitions) {
      const known = session.kept.get(keyOf(asked));
      if (known === undefined)
        session.kept.set(keyOf(asked), { asked, highWatermark: -1, logStartOffset: -1 });
      else known.asked = asked;
    }
    this.partitionTotal += session.kept.size - before;
    if (this.partitionTotal > FETCH_SESSION_PARTITIONS_MAX) {
      this.end(session);
      return refused('FETCH_SESSION_ID_NOT_FOUND');
    }
    session.epoch = session.epoch === EPOCH_MAX ? 1 : session.epoch + 1;
    this.touch(session);
    const partitions = [...session.kept.values()].map(({ asked }) => asked);
    return {
      error: 'NONE',
      sessionId: session.id,
      partitions,
      select: (results) => changed(session, partitions, results),
    };
  }

  /** undefined when there is no room. */
  private begin(request: SessionRequest): Session | undefined {
    const { partitions, byId } = request;
    if (partitions.length === 0 || this.slots === 0) return undefined;
    if (this.partitionTotal + partitions.length > FETCH_SESSION_PARTITIONS_MAX) return undefined;
    if (this.sessions.size >= this.slots && !this.evict()) return undefined;
    const id = this.newId();
    if (id === undefined) return undefined;
    const usedMs = this.env.clock.monotonicMs();
    const session: Session = { id, byId, epoch: INITIAL_EPOCH + 1, kept: new Map(), usedMs };
    for (const asked of partitions)
      session.kept.set(keyOf(asked), { asked, highWatermark: -1, logStartOffset: -1 });
    this.partitionTotal += session.kept.size;
    this.sessions.set(id, session);
    return session;
  }

  private newId(): number | undefined {
    for (let tries = 0; tries < ID_TRIES_MAX; tries++) {
      const id = 1 + Math.floor(this.env.random.next() * (EPOCH_MAX - 1));
      if (!this.sessions.has(id)) return id;
    }
    return undefined;
  }

  /** Ends the session that was not used for the longest time, if that is long enough. */
  private evict(): boolean {
    const [oldest] = this.sessions.values();
    if (oldest === undefined) return false;
    if (this.env.clock.monotonicMs() - oldest.usedMs < FETCH_SESSION_EVICTION_MS) return false;
    this.end(oldest);
    return true;
  }

  private end(session: Session): void {
    this.sessions.delete(session.id);
    this.partitionTotal -= session.kept.size;
  }

  private touch(session: Session): void {
    session.usedMs = this.env.clock.monotonicMs();
    this.sessions.delete(session.id);
    this.sessions.set(session.id, session);
  }
}

/** Notes what a full answer said. */
function remember(
  session: Session,
  asked: readonly SessionPartition[],
  results: readonly FetchedPartition[],
): void {
  for (let index = 0; index < asked.length; index++) {
    const partition = asked[index];
    const result = results[index];
    if (partition === undefined || result === undefined) continue;
    note(session, partition, result);
  }
}

/** Those results that a session's owner does not know yet. */
function changed(
  session: Session,
  asked: readonly SessionPartition[],
  results: readonly FetchedPartition[],
): number[] {
  const indexes: number[] = [];
  for (let index = 0; index < asked.length; index++) {
    const partition = asked[index];
    const result = results[index];
    if (partition === undefined || result === undefined) continue;
    if (note(session, partition, result)) indexes.push(index);
  }
  return indexes;
}

/** Keeps what is answered for a partition; returns whether it is news. */
function note(session: Session, asked: SessionPartition, result: FetchedPartition): boolean {
  const key = keyOf(asked);
  const kept = session.kept.get(key);
  if (kept === undefined) return true;
  const news =
    result.records.length > 0 ||
    result.error !== 'NONE' ||
    result.diverging !== undefined ||
    result.highWatermark !== kept.highWatermark ||
    result.logStartOffset !== kept.logStartOffset;
  kept.highWatermark = result.highWatermark;
  kept.logStartOffset = result.logStartOffset;
  if (result.error !== 'NONE') kept.highWatermark = -1;
  if (result.records.length > 0) {
    // Next time the others come first, so that a limit on bytes starves nobody.
    session.kept.delete(key);
    session.kept.set(key, kept);
  }
  return news;
}

function keyOf({ topicName, topicId, partition }: PartitionName): string {
  return `${partition}:${topicName === '' ? topicId : topicName}`;
}

function refused(error: ErrorName): FetchPlan {
  return { error, sessionId: 0, partitions: [], select: () => [] };
}
