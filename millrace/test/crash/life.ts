/**
 * One life of a log store on a simulated machine: from its start, over a random workload, to a clean stop or to
 * whatever the machine does to it. Everything that it shows to the outside goes into the history.
 */
import type { Env } from '../../src/core/env.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { SimMachine } from '../../src/core/sim/sim-machine.ts';
import { SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import type {
  AbortedTransaction,
  AppendOptions,
  AppendResult,
  Isolation,
  LogStore,
  PartitionLog,
} from '../../src/log/types.ts';
import type { ClientSide } from './client-side.ts';
import { appendMarker, produce } from './clients.ts';
import { factsOf } from './facts.ts';
import type { BatchFact, LogEvent, RecoveredLog, View } from './log-history.ts';
import { configFact, type KnownLog, randomConfig, type World } from './world.ts';

export interface LifeOptions {
  readonly world: World;
  /** Absent on a real one. */
  readonly machine?: SimMachine;
  readonly env: Env;
  /** Opens the store under test; `onFatal` runs when it cannot go on. */
  readonly open: (env: Env, onFatal: (error: unknown) => void) => Promise<LogStore>;
  /** Operations of all clients together. */
  readonly operations: number;
  /** The last stop was clean: nothing may have to be replayed. */
  readonly expectsCleanStart: boolean;
  /** The power went since the last start that came to its end. */
  readonly powerWasCut: boolean;
  readonly isLast: boolean;
}

export type LifeEnd = 'closed' | 'fatal' | 'left';

/** How long a store has to take appends again after a full disk has room: it looks every second. */
const HEAL_MS = 5_000;

export class Life implements ClientSide {
  readonly world: World;
  leaderEpoch = -1;
  /** The start came to its end. */
  hasRecovered = false;
  private readonly options: LifeOptions;
  private readonly env: Env;
  private readonly open = new Map<KnownLog, PartitionLog>();
  private store: LogStore | undefined;
  private operationsLeft: number;
  private isOver = false;
  private isFatal = false;
  /** The machine stopped the process in the middle of a call, and the store has noticed. */
  private isCut = false;
  /** The device has had too little room since the start, or had until `tightUntilMs`. */
  private isTight = false;
  private tightUntilMs = -1;

  constructor(options: LifeOptions) {
    this.options = options;
    this.world = options.world;
    this.env = options.env;
    this.operationsLeft = options.operations;
  }

  /** The machine has stopped the process: what its promises still do is no event of the outside. */
  over(): void {
    this.isOver = true;
  }

  async run(): Promise<LifeEnd> {
    try {
      await this.start();
    } catch (error) {
      // A sync that failed while the store came up: the process ends here.
      if (this.isFatal || isFsyncFailure(error)) return 'fatal';
      throw error;
    }
    const actors = [
      ...this.world.producers.map((producer) => produce(this, producer)),
      this.read(),
      this.read(),
      this.administer(),
    ];
    await Promise.all(actors);
    if (this.isFatal) return 'fatal';
    if (this.isTight || this.tightUntilMs >= 0) await this.heals();
    if (this.isFatal) return 'fatal';
    if (!this.options.isLast && this.world.random.chance(0.4)) return 'left';
    return this.close();
  }

  get powerWasCut(): boolean {
    return this.options.powerWasCut;
  }

  isRunning(): boolean {
    return !this.isOver && !this.isCut && !this.isFatal && !this.world.hasFailed();
  }

  takeOperation(): boolean {
    if (!this.isRunning() || this.operationsLeft <= 0) return false;
    this.operationsLeft--;
    return true;
  }

  pause(delayMs: number): Promise<void> {
    return this.env.timers.sleep(delayMs);
  }

  nowMs(): number {
    return this.env.clock.nowMs();
  }

  append(
    known: KnownLog,
    bytes: Buffer,
    origin: AppendOptions['origin'],
    facts: (baseOffset: number) => BatchFact[],
  ): AppendResult | undefined {
    const log = this.open.get(known);
    if (log === undefined || !this.isRunning()) return undefined;
    const atMs = this.nowMs();
    const expected = log.logEndOffset;
    const appended = (baseOffset: number, duplicate: boolean): LogEvent => ({
      kind: 'appended',
      log: known.name,
      atMs,
      duplicate,
      batches: facts(baseOffset),
    });
    const say = (baseOffset: number, duplicate: boolean): void =>
      this.record(appended(baseOffset, duplicate));
    this.world.intend(appended(expected, false));
    let result: AppendResult | undefined;
    let thrown: unknown;
    try {
      result = log.append(bytes, { origin });
    } catch (error) {
      thrown = error;
    }
    if (this.isCut || thrown instanceof SimPowerCut) {
      // The power went in the middle of it: the batch may be there or not.
      say(expected, false);
      this.isOver = true;
      throw new SimPowerCut('the process was stopped in an append');
    }
    if (result === undefined) throw thrown;
    if (result.ok) say(result.baseOffset, result.duplicate);
    return result;
  }

  refused(log: KnownLog, error: string, legal?: boolean): void {
    const isLegal =
      legal ??
      (error === 'KAFKA_STORAGE_ERROR' &&
        (this.isTight || this.isFatal || this.nowMs() < this.tightUntilMs));
    this.record({ kind: 'refused', log: log.name, error, legal: isLegal });
  }

  whenDurable(known: KnownLog, endOffset: number, then: () => void): void {
    const log = this.open.get(known);
    if (log === undefined) return;
    log.whenDurable(endOffset).then(
      () => {
        if (this.isOver) return;
        this.record({ kind: 'durable', log: known.name, endOffset });
        then();
      },
      () => {
        // The store is stopping: whoever waits tries again after the next start.
      },
    );
  }

  async durable(known: KnownLog, endOffset: number): Promise<boolean> {
    const state = { isDurable: false };
    this.whenDurable(known, endOffset, () => {
      state.isDurable = true;
    });
    while (!state.isDurable) {
      if (!this.isRunning() || !this.open.has(known)) return false;
      await this.pause(1);
    }
    return true;
  }

  private record(event: LogEvent): void {
    // What a stopped process still says to itself is not heard, except for the append that it was stopped in.
    if (this.isOver || (this.isCut && event.kind !== 'appended')) return;
    this.world.record(event);
  }

  private async start(): Promise<void> {
    const store = await this.options.open(this.env, (error) => {
      // A call that the machine has stopped is no failure of the store.
      if (error instanceof SimPowerCut) {
        this.isCut = true;
        return;
      }
      this.isFatal = true;
      this.record({ kind: 'fatal' });
    });
    this.store = store;
    this.leaderEpoch = store.leaderEpoch;
    if (this.options.expectsCleanStart && !store.cleanStart)
      throw new Error('the store was closed in order, and does not know it');
    for (const known of this.world.logs)
      this.open.set(known, store.openLog(known.id, known.config));
    await store.finishRecovery();
    this.checkExisting(store);
    const logs: RecoveredLog[] = [];
    for (const [known, log] of this.open) logs.push(await this.recovered(known, log));
    this.record({ kind: 'recovered', leaderEpoch: store.leaderEpoch, logs });
    this.hasRecovered = true;
    for (const [known, log] of this.open) this.endStrangers(known, log);
    if (this.world.logs.length === 0) this.create();
  }

  /** Aborts what clients that died with an earlier process have left open. */
  private endStrangers(known: KnownLog, log: PartitionLog): void {
    for (const { producerId, producerEpoch, currentTransactionStartOffset } of log.producers()) {
      const isOurs = this.world.producers.some((producer) => producer.producerId === producerId);
      if (isOurs || currentTransactionStartOffset < 0) continue;
      const end = appendMarker(this, { producerId, epoch: producerEpoch + 1 }, known, false);
      if (end >= 0) this.whenDurable(known, end, () => {});
    }
  }

  private checkExisting(store: LogStore): void {
    const names = (ids: readonly { topicId: string; partition: number }[]): string[] =>
      ids.map((id) => `${id.topicId}/${id.partition}`).toSorted();
    const existing = names(store.existing());
    const expected = names(this.world.logs.map((log) => log.id));
    if (existing.join(' ') !== expected.join(' '))
      throw new Error(
        `logs after the recovery: ${existing.join(' ')}; must be ${expected.join(' ')}`,
      );
  }

  private async recovered(known: KnownLog, log: PartitionLog): Promise<RecoveredLog> {
    const epochEnds: [number, number, number][] = [];
    for (let epoch = 0; epoch < log.leaderEpoch; epoch++) {
      const { leaderEpoch, endOffset } = log.endOffsetForEpoch(epoch);
      epochEnds.push([epoch, leaderEpoch, endOffset]);
    }
    const start = log.logStartOffset;
    const largest = (await log.maxTimestamp())?.offset ?? -1;
    const { logEndOffset } = log;
    const uncommitted = await this.readAll(log, 'read_uncommitted');
    const committed = await this.readAll(log, 'read_committed');
    return {
      log: known.name,
      logEndOffset,
      uncommitted,
      committed,
      epochEnds,
      // Retention, which runs beside this, may have taken it since.
      maxTimestampOffset: log.logStartOffset === start ? largest : undefined,
      producers: log.producers().map((producer) => ({
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        lastSequence: producer.lastSequence,
        transactionStartOffset: producer.currentTransactionStartOffset,
      })),
    };
  }

  private async readAll(log: PartitionLog, isolation: Isolation): Promise<View> {
    const batches: BatchFact[] = [];
    const aborted = new Map<string, AbortedTransaction>();
    const from = log.logStartOffset;
    for (let next = from; ; ) {
      const result = await log.read(next, { maxBytes: 4096, atLeastOneBatch: true, isolation });
      const facts = result.error === 'NONE' ? factsOf(result.records) : [];
      result.release();
      for (const entry of result.abortedTransactions)
        aborted.set(`${entry.producerId}@${entry.firstOffset}`, entry);
      batches.push(...facts);
      const last = facts.at(-1);
      if (last !== undefined) {
        next = last.lastOffset + 1;
        continue;
      }
      return {
        atMs: this.nowMs(),
        isolation,
        from,
        complete: true,
        error: result.error,
        batches,
        aborted: [...aborted.values()],
        highWatermark: result.highWatermark,
        lastStableOffset: result.lastStableOffset,
        logStartOffset: result.logStartOffset,
      };
    }
  }

  /** A reader: pieces from anywhere, and questions for times. */
  private async read(): Promise<void> {
    const { world } = this;
    const { random } = world;
    while (this.takeOperation()) {
      const known = world.pick(world.logs);
      const log = known === undefined ? undefined : this.open.get(known);
      if (known !== undefined && log !== undefined) {
        if (random.chance(0.2)) await this.lookUp(known, log);
        else await this.readPiece(known, log);
      }
      await this.pause(random.between(0, 4));
    }
  }

  private async readPiece(known: KnownLog, log: PartitionLog): Promise<void> {
    const { random } = this.world;
    const isolation = random.chance(0.5) ? 'read_committed' : 'read_uncommitted';
    const span = log.highWatermark - log.logStartOffset + 2;
    const from = Math.max(0, log.logStartOffset - 1 + random.below(span + 1));
    const read = this.world.id();
    this.record({ kind: 'read', log: known.name, read });
    const result = await log.read(from, {
      maxBytes: random.below(4096),
      atLeastOneBatch: true,
      isolation,
    });
    if (!this.isRunning() || !this.open.has(known)) return;
    const batches = result.error === 'NONE' ? factsOf(result.records) : [];
    result.release();
    const { highWatermark, lastStableOffset, logStartOffset } = result;
    this.record({
      kind: 'view',
      log: known.name,
      view: {
        read,
        atMs: this.nowMs(),
        isolation,
        from,
        complete: false,
        error: result.error,
        batches,
        aborted: result.abortedTransactions,
        highWatermark,
        lastStableOffset,
        logStartOffset,
      },
    });
  }

  private async lookUp(known: KnownLog, log: PartitionLog): Promise<void> {
    const timestampMs = this.nowMs() - this.world.random.below(200);
    const before = [log.logStartOffset, log.highWatermark] as const;
    let found: Awaited<ReturnType<PartitionLog['offsetForTimestamp']>>;
    try {
      found = await log.offsetForTimestamp(timestampMs, 'read_uncommitted');
    } catch (error) {
      // The log was deleted under the question.
      if (!this.isRunning() || !this.open.has(known)) return;
      throw error;
    }
    if (!this.isRunning() || !this.open.has(known)) return;
    this.record({
      kind: 'lookup',
      log: known.name,
      timestampMs,
      offset: found?.offset ?? -1,
      start: [before[0], log.logStartOffset],
      highWatermark: [before[1], log.highWatermark],
    });
  }

  /** Everything that is not reading or writing. */
  private async administer(): Promise<void> {
    const { world } = this;
    const { random } = world;
    const { store } = this;
    if (store === undefined) return;
    while (this.takeOperation()) {
      const known = world.pick(world.logs);
      const choice = random.below(100);
      if (choice < 12) await this.checkpoint(store);
      else if (choice < 24) await this.tolerant(() => store.runRetention());
      else if (choice < 40) await this.tolerant(() => store.runCompaction());
      else if (choice < 44) {
        if (world.logs.length < 6) this.create();
      } else if (known === undefined) continue;
      else if (choice < 54) await this.deleteRecords(known);
      else if (choice < 62) this.reconfigure(known);
      else if (choice < 65) await this.drop(store, known);
      else if (choice < 69) this.tighten();
      else await this.pause(random.chance(0.05) ? 2_000 : random.between(0, 30));
    }
  }

  private async checkpoint(store: LogStore): Promise<void> {
    const ends = this.ends();
    if (!(await this.tolerant(() => store.checkpoint()))) return;
    this.synced(ends);
  }

  /** Ends up to which a checkpoint that begins now has to sync. */
  private ends(): [KnownLog, number][] {
    return [...this.open].map(([known, log]) => [
      known,
      known.config.flush === 'commit' ? log.highWatermark : log.logEndOffset,
    ]);
  }

  private synced(ends: readonly [KnownLog, number][]): void {
    this.record({
      kind: 'synced',
      ends: ends
        .filter(([known]) => this.world.logs.includes(known))
        .map(([known, end]) => [known.name, end] as const),
    });
  }

  private async deleteRecords(known: KnownLog): Promise<void> {
    const log = this.open.get(known);
    if (log === undefined) return;
    const span = log.highWatermark - log.logStartOffset;
    const offset = log.logStartOffset + this.world.random.below(span + 1);
    this.record({ kind: 'delete-records', log: known.name, phase: 'invoke', offset });
    let start = -1;
    if (!(await this.tolerant(async () => (start = await log.deleteRecordsBefore(offset))))) return;
    if (!this.open.has(known)) return;
    const atMs = this.nowMs();
    this.record({ kind: 'delete-records', log: known.name, phase: 'ok', offset: start, atMs });
  }

  private reconfigure(known: KnownLog): void {
    const { random } = this.world;
    const { segmentBytes } = known.config;
    // A batch that was sent must still fit when it is sent again.
    const config = { ...randomConfig(random, known), segmentBytes };
    // How a log is cleaned changes rarely; how it is flushed, and how it rolls, may change at any time.
    known.config = random.chance(0.3)
      ? config
      : {
          ...known.config,
          flush: config.flush,
          segmentMs: config.segmentMs,
        };
    this.record({ kind: 'config', log: known.name, config: configFact(known.config) });
    this.open.get(known)?.updateConfig(known.config);
  }

  private create(): void {
    const { store } = this;
    if (store === undefined) return;
    const known = this.world.addLog();
    try {
      this.open.set(known, store.openLog(known.id, known.config));
    } catch (error) {
      if (!this.isTight || !isDiskFull(error)) throw error;
      this.world.forget(known);
      this.record({ kind: 'drop', log: known.name, phase: 'invoke' });
    }
  }

  private async drop(store: LogStore, known: KnownLog): Promise<void> {
    this.record({ kind: 'drop', log: known.name, phase: 'invoke' });
    this.world.forget(known);
    this.open.delete(known);
    if (await this.tolerant(() => store.deleteLog(known.id)))
      this.record({ kind: 'drop', log: known.name, phase: 'ok' });
  }

  /** The device gets nearly full, and gets its room back after a while. */
  private tighten(): void {
    const { machine } = this.options;
    if (this.isTight || machine === undefined) return;
    const { random } = this.world;
    machine.setCapacity(machine.disk.usedBytes + 4096 * random.below(12));
    this.isTight = true;
    this.env.timers.after(random.between(1, 300), () => {
      machine.setCapacity(2 ** 40);
      this.isTight = false;
      this.tightUntilMs = this.nowMs() + HEAL_MS;
    });
  }

  /** With room again on the device, a store takes appends again by itself. */
  private async heals(): Promise<void> {
    while (this.isTight) await this.pause(50);
    await this.pause(HEAL_MS);
    this.tightUntilMs = -1;
  }

  /** Runs what may fail when the device is full or the store is stopping. Returns whether it did not. */
  private async tolerant(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return this.isRunning();
    } catch (error) {
      if (this.isFatal || this.isOver) return false;
      if (isDiskFull(error) && (this.isTight || this.nowMs() < this.tightUntilMs)) return false;
      throw error;
    }
  }

  private async close(): Promise<LifeEnd> {
    const { store } = this;
    if (store === undefined) return 'left';
    const ends = [...this.open].map(
      ([known, log]) => [known, log.logEndOffset] as [KnownLog, number],
    );
    try {
      if (!(await this.tolerant(() => store.close()))) return this.isFatal ? 'fatal' : 'left';
    } catch (error) {
      // It is ending anyway: it only says that the end was not clean.
      if (isFsyncFailure(error)) return 'fatal';
      throw error;
    }
    this.synced(ends);
    return 'closed';
  }
}

function isFsyncFailure(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'ML_FSYNC_FAILED';
}

function isDiskFull(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'ML_DISK_FULL';
}
