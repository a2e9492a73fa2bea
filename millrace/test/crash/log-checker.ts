/**
 * Judges a history of a log store (`log-history.ts`). It shares no code with the store: it keeps its own trace of what
 * was written, knows what was promised to whom, and works out what may be missing.
 *
 * The promises
 * - acknowledged = present; what a reader saw stays; what came back after a crash is a prefix of what was written;
 * - offsets are dense and never change; nothing turns up that was not written, nothing twice;
 * - the log start only moves forward, and only as far as somebody asked or the retention allows;
 * - compaction takes only what is superseded, aborted, or a tombstone or marker past its delay;
 * - readers of committed data get all of a committed transaction and nothing of an aborted or open one;
 * - the state of producers after a start is what the log says.
 */
import type {
  AbortedFact,
  BatchFact,
  ConfigFact,
  LogAnomaly,
  LogAnomalyName,
  LogEvent,
  ProducerFact,
  RecordFact,
  RecoveredLog,
  View,
} from './log-history.ts';

const SEQUENCE_MODULUS = 2 ** 31;

type Outcome = 'plain' | 'open' | 'committed' | 'aborted';

interface TraceBatch {
  readonly fact: BatchFact;
  readonly atMs: number;
  readonly durablePolicy: boolean;
  /** When a sync by interval must have taken it, at the latest. */
  readonly syncedByMs: number;
  outcome: Outcome;
  /** Offset of the marker that ended the transaction; -1 while there is none. */
  markerOffset: number;
}

interface Transaction {
  readonly firstOffset: number;
  markerOffset: number;
}

/** One log as it must be. `batchAt[o]` and `recordAt[o]` are indexed by offset: a trace has no holes. */
interface Model {
  readonly log: string;
  config: ConfigFact;
  batchAt: TraceBatch[];
  recordAt: (RecordFact | undefined)[];
  transactions: Transaction[];
  open: Map<number, { transaction: Transaction; batches: TraceBatch[] }>;
  /** Offset of the latest value per key that readers of committed data get. */
  latest: Map<string, number>;
  /** Below it everything must survive a power cut. */
  durableEnd: number;
  /** Below it everything must survive the death of the process. */
  writtenEnd: number;
  seenEnd: number;
  start: number;
  startAsked: number;
  /** The log, not flushed at every commit, lost all that it had up to its log start: of what was written below nobody
   * knows how much the log still remembers in the state of its producers. */
  startedAnew: boolean;
  highWatermark: number;
  lastStableOffset: number;
  compacted: boolean;
  dropped: boolean;
  /** The least that was ever configured: the most that the log may have forgotten. */
  retentionMs: number;
  retentionBytes: number;
  deleteRetentionMs: number;
  minCompactionLagMs: number;
}

/** What an interval sync itself may take before it counts as forgotten. */
const INTERVAL_SLACK_MS = 10_000;

interface Bounds {
  readonly start: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
}

/** Stops after this many, so that a broken store does not bury its first fault. */
const ANOMALIES_MAX = 50;

export function checkLogHistory(events: Iterable<LogEvent>): LogAnomaly[] {
  const checker = new LogChecker();
  for (const event of events) checker.observe(event);
  return checker.anomalies;
}

export class LogChecker {
  readonly anomalies: LogAnomaly[] = [];
  private readonly models = new Map<string, Model>();
  private readonly idsWritten = new Set<string>();
  /** Where a record is, as `log@offset`. */
  private readonly places = new Map<string, string>();
  private leaderEpoch = -1;
  private powerWasCut = false;
  /** When the power went first since the last start. */
  private cutAtMs = 0;
  /** What was known when a read that has not ended began. */
  private readonly reads = new Map<number, Bounds>();
  private index = -1;

  observe(event: LogEvent): void {
    this.index++;
    if (this.anomalies.length >= ANOMALIES_MAX) return;
    switch (event.kind) {
      case 'config':
        this.configure(event.log, event.config);
        break;
      case 'appended':
        this.appended(event.log, event.batches, event.duplicate, event.atMs);
        break;
      case 'refused':
        if (!event.legal) this.report('refused', event.log, event.error);
        break;
      case 'durable':
        this.durable(event.log, event.endOffset);
        break;
      case 'read': {
        const { start, highWatermark, lastStableOffset } = this.model(event.log);
        this.reads.set(event.read, { start, highWatermark, lastStableOffset });
        break;
      }
      case 'view':
        this.view(this.model(event.log), event.view);
        break;
      case 'lookup':
        this.lookup(event);
        break;
      case 'delete-records': {
        const model = this.model(event.log);
        if (event.phase === 'invoke') model.startAsked = Math.max(model.startAsked, event.offset);
        else if (event.phase === 'ok')
          this.moveStart(model, event.offset, event.atMs ?? 0, event.offset);
        break;
      }
      case 'drop':
        this.model(event.log).dropped = true;
        break;
      case 'synced':
        for (const [log, end] of event.ends) {
          const model = this.model(log);
          model.durableEnd = Math.max(model.durableEnd, end);
        }
        break;
      case 'cut':
        if (event.power && !this.powerWasCut) this.cutAtMs = event.atMs;
        if (event.power) this.powerWasCut = true;
        this.reads.clear();
        break;
      case 'fatal':
        // What was acknowledged before has to be there after the next start; nothing else follows from it.
        break;
      case 'recovered':
        this.recovered(event.leaderEpoch, event.logs);
        break;
    }
  }

  private report(name: LogAnomalyName, log: string, detail: string): void {
    this.anomalies.push({ name, log, event: this.index, detail });
  }

  private model(log: string): Model {
    const model = this.models.get(log);
    if (model === undefined)
      throw new Error(`event ${this.index}: log ${log} has no configuration`);
    return model;
  }

  private configure(log: string, config: ConfigFact): void {
    let model = this.models.get(log);
    if (model === undefined) {
      model = newModel(log, config);
      this.models.set(log, model);
    }
    model.config = config;
    if (config.cleanupDelete) {
      model.retentionMs = leastLimit(model.retentionMs, config.retentionMs);
      model.retentionBytes = leastLimit(model.retentionBytes, config.retentionBytes);
    }
    if (config.cleanupCompact) {
      model.compacted = true;
      model.deleteRetentionMs = Math.min(model.deleteRetentionMs, config.deleteRetentionMs);
      model.minCompactionLagMs = Math.min(model.minCompactionLagMs, config.minCompactionLagMs);
    }
  }

  private appended(
    log: string,
    batches: readonly BatchFact[],
    duplicate: boolean,
    atMs: number,
  ): void {
    const model = this.model(log);
    for (const batch of batches) {
      if (duplicate) {
        for (const record of batch.records) {
          const place = this.places.get(record.id);
          const told = `${log}@${record.offset}`;
          if (place !== told)
            this.report(
              'inconsistent-offset',
              log,
              `record ${record.id} answered as a duplicate at ${told}, is at ${place ?? 'no offset'}`,
            );
        }
        continue;
      }
      const end = model.batchAt.length;
      if (batch.baseOffset !== end) {
        this.report('offsets-not-dense', log, `appended at ${batch.baseOffset}, expected ${end}`);
        return;
      }
      if (batch.leaderEpoch !== this.leaderEpoch)
        this.report(
          'epoch-went-back',
          log,
          `batch ${batch.baseOffset} has epoch ${batch.leaderEpoch}, not ${this.leaderEpoch}`,
        );
      for (const record of batch.records) {
        const place = this.places.get(record.id);
        if (place !== undefined)
          this.report(
            'duplicate',
            log,
            `record ${record.id} is at ${place} and was written again at ${record.offset}`,
          );
        this.places.set(record.id, `${log}@${record.offset}`);
        this.idsWritten.add(record.id);
      }
      extend(model, {
        fact: batch,
        atMs,
        durablePolicy: model.config.flush === 'commit',
        syncedByMs:
          model.config.flush === 'interval'
            ? atMs + model.config.flushMs + INTERVAL_SLACK_MS
            : Number.POSITIVE_INFINITY,
        outcome: 'plain',
        markerOffset: -1,
      });
    }
  }

  private durable(log: string, endOffset: number): void {
    const model = this.model(log);
    const last = model.batchAt[endOffset - 1];
    if (endOffset === 0) return;
    if (last === undefined) {
      this.report('phantom', log, `acknowledged up to ${endOffset}, which was never written`);
      return;
    }
    model.writtenEnd = Math.max(model.writtenEnd, endOffset);
    if (last.durablePolicy) model.durableEnd = Math.max(model.durableEnd, endOffset);
  }

  private lookup(event: Extract<LogEvent, { kind: 'lookup' }>): void {
    const model = this.model(event.log);
    if (model.compacted) return;
    const { start, highWatermark, timestampMs, offset } = event;
    const first = (from: number): number => {
      for (let at = from; at < highWatermark[1]; at++) {
        if (timeAt(model, at) >= timestampMs) return at;
      }
      return -1;
    };
    const expected = first(start[0]);
    for (const possible of [expected, first(start[1])]) {
      if (offset === possible) return;
      // It came into being while the question was being answered.
      if (offset === -1 && possible >= highWatermark[0]) return;
    }
    this.report(
      'lookup-wrong',
      event.log,
      `time ${timestampMs} answered with offset ${offset}, expected ${expected}`,
    );
  }

  /** @param known the start that the one who tells may not be behind */
  private moveStart(model: Model, start: number, atMs: number, known: number): void {
    if (start < known) {
      this.report('start-went-back', model.log, `log start ${start} after ${known}`);
      return;
    }
    if (start <= model.start) return;
    if (start > model.startAsked && !retentionAllows(model, start, atMs))
      this.report('start-too-high', model.log, `log start ${start}, asked ${model.startAsked}`);
    model.start = start;
  }

  private view(model: Model, view: View): void {
    const { log } = model;
    const known = (view.read === undefined ? undefined : this.reads.get(view.read)) ?? model;
    this.moveStart(model, view.logStartOffset, view.atMs, known.start);
    if (view.error === 'OFFSET_OUT_OF_RANGE') {
      if (view.from >= view.logStartOffset && view.from <= view.highWatermark)
        this.report('read-failed', log, `${view.from} is said to be out of range`);
      return;
    }
    if (view.error !== 'NONE') {
      this.report('read-failed', log, `reading ${view.from} answered ${view.error}`);
      return;
    }
    this.watermarks(model, view, known);
    const committed = view.isolation === 'read_committed';
    const limit = committed ? view.lastStableOffset : view.highWatermark;
    let next = Math.max(view.from, view.logStartOffset);
    for (const batch of view.batches) {
      if (batch.lastOffset >= limit)
        this.report(
          committed ? 'read-above-stable-offset' : 'read-above-watermark',
          log,
          `batch ${batch.baseOffset}..${batch.lastOffset} was read below ${limit}`,
        );
      if (!this.batchAsWritten(model, batch)) return;
      next = this.recordsAsWritten(model, view, batch, next);
      if (model.batchAt[batch.baseOffset]?.durablePolicy === true)
        model.seenEnd = Math.max(model.seenEnd, batch.lastOffset + 1);
    }
    // A read returns at least one batch when there is one: nothing returned says that nothing is left.
    if (view.complete || view.batches.length === 0)
      for (let offset = next; offset < limit; offset++) this.absent(model, offset, view.atMs);
    if (committed) this.committedOnly(model, view.batches, view.aborted);
    if (view.complete && model.compacted) this.resurrected(model, view, limit);
  }

  /** A tombstone may only be forgotten after everything that it hides. */
  private resurrected(model: Model, view: View, limit: number): void {
    const present = new Set(
      view.batches.flatMap((batch) => batch.records.map((record) => record.offset)),
    );
    for (const offset of present) {
      const key = model.recordAt[offset]?.key;
      if (key === undefined || key === null) continue;
      const latest = model.latest.get(key) ?? -1;
      if (latest > offset && latest < limit && !present.has(latest))
        this.report(
          'resurrected',
          model.log,
          `key ${key}: offset ${offset} is there, the later ${latest} is not`,
        );
    }
  }

  private watermarks(model: Model, view: View, known: Bounds): void {
    const { log } = model;
    const end = model.batchAt.length;
    if (view.highWatermark > end)
      this.report('phantom', log, `high watermark ${view.highWatermark}, end of the log ${end}`);
    if (view.highWatermark < known.highWatermark)
      this.report(
        'watermark-went-back',
        log,
        `high watermark ${view.highWatermark} after ${known.highWatermark}`,
      );
    const { lastStableOffset } = known;
    model.highWatermark = Math.max(model.highWatermark, view.highWatermark);
    if (model.batchAt[view.highWatermark - 1]?.durablePolicy === true)
      model.seenEnd = Math.max(model.seenEnd, view.highWatermark);
    const stable = stableOffset(model, view.highWatermark, view.logStartOffset);
    const isUnknown = model.startedAnew && view.lastStableOffset <= view.highWatermark;
    if (view.lastStableOffset !== stable && !isUnknown)
      this.report(
        'stable-offset-wrong',
        log,
        `last stable offset ${view.lastStableOffset}, expected ${stable}`,
      );
    if (view.lastStableOffset < lastStableOffset)
      this.report(
        'stable-offset-wrong',
        log,
        `last stable offset ${view.lastStableOffset} after ${lastStableOffset}`,
      );
    model.lastStableOffset = Math.max(model.lastStableOffset, view.lastStableOffset);
  }

  private batchAsWritten(model: Model, batch: BatchFact): boolean {
    const written = model.batchAt[batch.baseOffset]?.fact;
    if (written === undefined) {
      this.report('phantom', model.log, `batch at ${batch.baseOffset} was never written`);
      return false;
    }
    const differs = (
      [
        'baseOffset',
        'lastOffset',
        'producerId',
        'producerEpoch',
        'baseSequence',
        'transactional',
        'control',
        'leaderEpoch',
      ] as const
    ).find((field) => written[field] !== batch[field] && !isEmptiedMarker(model, field, batch));
    if (differs !== undefined)
      this.report(
        'changed-batch',
        model.log,
        `batch ${batch.baseOffset}: ${differs} is ${batch[differs]}, was ${written[differs]}`,
      );
    return differs === undefined;
  }

  /** Checks the records of a batch and the gap before them. Returns the offset after the batch. */
  private recordsAsWritten(model: Model, view: View, batch: BatchFact, from: number): number {
    let next = from;
    for (const record of batch.records) {
      for (; next < record.offset; next++) this.absent(model, next, view.atMs);
      next = Math.max(next, record.offset + 1);
      const written = model.recordAt[record.offset];
      if (written?.id === record.id) {
        if (
          written.key !== record.key ||
          written.timestampMs !== record.timestampMs ||
          written.tombstone !== record.tombstone
        )
          this.report('changed-batch', model.log, `record ${record.id} is not as written`);
        continue;
      }
      const place = this.places.get(record.id);
      if (!this.idsWritten.has(record.id) || place === undefined)
        this.report('phantom', model.log, `record ${record.id} at ${record.offset}`);
      else
        this.report(
          'inconsistent-offset',
          model.log,
          `record ${record.id} at ${record.offset}, was written at ${place}`,
        );
    }
    const isMarker = batch.control === 'commit' || batch.control === 'abort';
    if (isMarker) next = Math.max(next, batch.lastOffset + 1);
    for (; next <= batch.lastOffset; next++) this.absent(model, next, view.atMs);
    return next;
  }

  /** A record of the trace was not returned where it should be. May it be missing? */
  private absent(model: Model, offset: number, atMs: number): void {
    if (offset < model.start) return;
    const batch = model.batchAt[offset];
    if (batch === undefined) return;
    if (!model.compacted) {
      this.report('lost-record', model.log, `offset ${offset} is missing`);
      return;
    }
    const expired = atMs >= batch.atMs + model.deleteRetentionMs;
    const record = model.recordAt[offset];
    if (record === undefined) {
      if (!expired) this.report('compacted-too-early', model.log, `marker ${offset} is gone`);
      return;
    }
    if (atMs < record.timestampMs + model.minCompactionLagMs) {
      this.report('compacted-too-early', model.log, `record ${offset} is younger than the lag`);
      return;
    }
    if (batch.outcome === 'aborted' || record.key === null) return;
    const latest = model.latest.get(record.key) ?? -1;
    if (latest > offset || (record.tombstone && expired && latest === offset)) return;
    this.report(
      record.tombstone && latest === offset ? 'compacted-too-early' : 'lost-latest-value',
      model.log,
      `offset ${offset}, key ${record.key}: missing, though the latest is ${latest}`,
    );
  }

  /** What a consumer does with the list of aborted transactions (KIP-98), and what must be left. */
  private committedOnly(
    model: Model,
    batches: readonly BatchFact[],
    aborted: readonly AbortedFact[],
  ): void {
    const waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
    const skipping = new Set<number>();
    let taken = 0;
    for (const batch of batches) {
      for (let entry = waiting[taken]; entry !== undefined; entry = waiting[taken]) {
        if (entry.firstOffset > batch.lastOffset) break;
        skipping.add(entry.producerId);
        taken++;
      }
      if (batch.control !== 'none') {
        if (batch.control === 'abort') skipping.delete(batch.producerId);
        continue;
      }
      if (!batch.transactional || batch.records.length === 0) continue;
      const outcome = model.batchAt[batch.baseOffset]?.outcome;
      const skipped = skipping.has(batch.producerId);
      const what = `batch ${batch.baseOffset} of producer ${batch.producerId}`;
      if (outcome === 'open') this.report('open-transaction-read', model.log, what);
      else if (outcome === 'aborted' && !skipped) this.report('aborted-read', model.log, what);
      else if (outcome === 'committed' && skipped) this.report('torn-transaction', model.log, what);
    }
  }

  private recovered(leaderEpoch: number, logs: readonly RecoveredLog[]): void {
    if (leaderEpoch <= this.leaderEpoch)
      this.report('epoch-went-back', '', `leader epoch ${leaderEpoch} after ${this.leaderEpoch}`);
    this.leaderEpoch = leaderEpoch;
    const present = new Set<string>();
    for (const recovered of logs) {
      present.add(recovered.log);
      const model = this.models.get(recovered.log);
      if (model === undefined) this.report('phantom-log', recovered.log, 'was never created');
      else if (model.dropped) this.report('deleted-log-is-back', recovered.log, 'was deleted');
      else this.recoveredLog(model, recovered);
    }
    for (const model of this.models.values()) {
      if (present.has(model.log) || model.dropped) continue;
      const needed = Math.max(model.durableEnd, this.powerWasCut ? 0 : model.writtenEnd);
      if (needed > 0) this.report('lost-acknowledged', model.log, 'the whole log is gone');
      this.cutTrace(model, 0);
    }
    this.powerWasCut = false;
  }

  private recoveredLog(model: Model, recovered: RecoveredLog): void {
    const { log } = model;
    const end = recovered.logEndOffset;
    const acknowledged = Math.max(model.durableEnd, this.powerWasCut ? 0 : model.writtenEnd);
    if (end < acknowledged)
      this.report('lost-acknowledged', log, `ends at ${end}, acknowledged to ${acknowledged}`);
    else if (this.powerWasCut && (model.batchAt[end]?.syncedByMs ?? Infinity) < this.cutAtMs)
      this.report('lost-after-interval', log, `ends at ${end}, the interval had passed`);
    else if (end < model.seenEnd)
      this.report('lost-seen', log, `ends at ${end}, readers saw up to ${model.seenEnd}`);
    if (end > model.batchAt.length)
      this.report('phantom', log, `ends at ${end}, written up to ${model.batchAt.length}`);
    const last = model.batchAt[end - 1];
    // A log that lost all that it had up to its log start goes on from there, wherever that is.
    const isEmpty = recovered.uncommitted.logStartOffset === end;
    if (isEmpty && end > 0) model.startedAnew = true;
    if (end > 0 && !isEmpty && last !== undefined && last.fact.lastOffset !== end - 1)
      this.report('end-inside-a-batch', log, `ends at ${end}`);
    if (recovered.uncommitted.highWatermark !== end)
      this.report(
        'watermark-went-back',
        log,
        `high watermark ${recovered.uncommitted.highWatermark} after a start, end ${end}`,
      );
    // Retention went by what was there before.
    const { atMs, logStartOffset } = recovered.uncommitted;
    this.moveStart(model, logStartOffset, atMs, model.start);
    this.cutTrace(model, end);
    model.highWatermark = 0;
    model.lastStableOffset = 0;
    this.view(model, recovered.uncommitted);
    this.view(model, recovered.committed);
    if (!model.startedAnew) this.producers(model, recovered.producers);
    this.epochEnds(model, recovered);
    const { maxTimestampOffset } = recovered;
    if (!model.compacted && maxTimestampOffset !== undefined)
      this.maxTimestamp(model, maxTimestampOffset);
  }

  /** KIP-320: an epoch ends where the first batch of a later one begins. Asked only for epochs that are in the log. */
  private epochEnds(model: Model, recovered: RecoveredLog): void {
    const firsts = new Map<number, number>();
    for (let offset = model.start; offset < model.batchAt.length; offset++) {
      const epoch = model.batchAt[offset]?.fact.leaderEpoch ?? -1;
      if (!firsts.has(epoch)) firsts.set(epoch, offset);
    }
    const epochs = [...firsts.keys()];
    for (const [epoch, known, endOffset] of recovered.epochEnds) {
      const index = epochs.indexOf(epoch);
      if (index < 0) continue;
      const next = epochs[index + 1];
      const expected = next === undefined ? recovered.logEndOffset : firsts.get(next);
      if (known !== epoch || endOffset !== expected)
        this.report(
          'epoch-end-wrong',
          model.log,
          `epoch ${epoch} answered with ${known}, ${endOffset}; it ends at ${expected}`,
        );
    }
  }

  private maxTimestamp(model: Model, told: number): void {
    // Of a batch that the log start cuts through, the record with the largest time may be one that is gone.
    const isCutThrough = model.batchAt[model.start]?.fact.baseOffset !== model.start;
    if (model.start < model.batchAt.length && isCutThrough) return;
    let most = -1;
    let expected = -1;
    for (let offset = model.start; offset < model.batchAt.length; offset++) {
      const timestampMs = timeAt(model, offset);
      if (timestampMs <= most) continue;
      most = timestampMs;
      expected = offset;
    }
    if (told !== expected)
      this.report(
        'lookup-wrong',
        model.log,
        `the largest timestamp is said to be at ${told}, it is at ${expected}`,
      );
  }

  /** What was not on disk never happened. */
  private cutTrace(model: Model, end: number): void {
    for (let offset = end; offset < model.recordAt.length; offset++) {
      const record = model.recordAt[offset];
      if (record !== undefined) this.places.delete(record.id);
    }
    const kept: TraceBatch[] = [];
    for (const batch of model.batchAt.slice(0, end)) if (kept.at(-1) !== batch) kept.push(batch);
    model.batchAt = [];
    model.recordAt = [];
    model.transactions = [];
    model.open = new Map();
    model.latest = new Map();
    for (const batch of kept) {
      batch.outcome = 'plain';
      batch.markerOffset = -1;
      extend(model, batch);
    }
    model.batchAt.length = Math.min(end, model.batchAt.length);
    model.recordAt.length = model.batchAt.length;
    // A start ends with a checkpoint.
    model.durableEnd = end;
    model.writtenEnd = end;
    model.seenEnd = end;
  }

  private producers(model: Model, told: readonly ProducerFact[]): void {
    const expected = producerStates(model);
    const byId = new Map(told.map((producer) => [producer.producerId, producer]));
    for (const [producerId, state] of expected) {
      const actual = byId.get(producerId);
      const { lastBatchOffset } = state;
      const gone = lastBatchOffset < model.start || lastBatchOffset >= model.batchAt.length;
      if (actual === undefined) {
        if (!gone)
          this.report('producer-state-wrong', model.log, `producer ${producerId} is not known`);
        continue;
      }
      const opened = state.transactionStartOffset;
      const same =
        (gone ||
          (actual.producerEpoch === state.producerEpoch &&
            actual.lastSequence === state.lastSequence)) &&
        (actual.transactionStartOffset === opened || opened < model.start);
      if (!same)
        this.report(
          'producer-state-wrong',
          model.log,
          `producer ${producerId} is ${JSON.stringify(actual)}, the log says ${JSON.stringify(state)}`,
        );
    }
    for (const producer of told)
      if (!expected.has(producer.producerId))
        this.report(
          'producer-state-wrong',
          model.log,
          `producer ${producer.producerId} never wrote`,
        );
  }
}

/** Compaction may leave only the header of a marker, once nothing of its transaction is left and its delay is over. */
function isEmptiedMarker(model: Model, field: string, batch: BatchFact): boolean {
  return field === 'control' && batch.control === 'emptied' && model.compacted;
}

function newModel(log: string, config: ConfigFact): Model {
  return {
    log,
    config,
    batchAt: [],
    recordAt: [],
    transactions: [],
    open: new Map(),
    latest: new Map(),
    durableEnd: 0,
    writtenEnd: 0,
    seenEnd: 0,
    start: 0,
    startAsked: 0,
    startedAnew: false,
    highWatermark: 0,
    lastStableOffset: 0,
    compacted: false,
    dropped: false,
    retentionMs: -1,
    retentionBytes: -1,
    deleteRetentionMs: Number.POSITIVE_INFINITY,
    minCompactionLagMs: Number.POSITIVE_INFINITY,
  };
}

/** Markers have times too, and Kafka answers with them. */
function timeAt(model: Model, offset: number): number {
  return model.recordAt[offset]?.timestampMs ?? model.batchAt[offset]?.fact.markerMs ?? -1;
}

/** -1 means no limit. */
function leastLimit(a: number, b: number): number {
  if (a < 0) return b;
  return b < 0 ? a : Math.min(a, b);
}

function extend(model: Model, batch: TraceBatch): void {
  const { fact } = batch;
  for (let offset = fact.baseOffset; offset <= fact.lastOffset; offset++) {
    model.batchAt[offset] = batch;
    model.recordAt[offset] = undefined;
  }
  for (const record of fact.records) model.recordAt[record.offset] = record;
  if (fact.control !== 'none') {
    const open = model.open.get(fact.producerId);
    model.open.delete(fact.producerId);
    if (open === undefined) return;
    open.transaction.markerOffset = fact.baseOffset;
    for (const written of open.batches) {
      written.outcome = fact.control === 'commit' ? 'committed' : 'aborted';
      written.markerOffset = fact.baseOffset;
      if (fact.control === 'commit') noteLatest(model, written.fact);
    }
    return;
  }
  if (!fact.transactional) {
    noteLatest(model, fact);
    return;
  }
  batch.outcome = 'open';
  const open = model.open.get(fact.producerId);
  if (open !== undefined) {
    open.batches.push(batch);
    return;
  }
  const transaction: Transaction = { firstOffset: fact.baseOffset, markerOffset: -1 };
  model.transactions.push(transaction);
  model.open.set(fact.producerId, { transaction, batches: [batch] });
}

function noteLatest(model: Model, fact: BatchFact): void {
  for (const record of fact.records)
    if (record.key !== null && (model.latest.get(record.key) ?? -1) < record.offset)
      model.latest.set(record.key, record.offset);
}

function stableOffset(model: Model, highWatermark: number, start: number): number {
  for (const transaction of model.transactions) {
    if (transaction.firstOffset >= highWatermark) break;
    if (transaction.markerOffset < 0 || transaction.markerOffset >= highWatermark)
      return Math.max(start, transaction.firstOffset);
  }
  return highWatermark;
}

/** May retention, at or before `atMs`, have taken all below `start`? */
function retentionAllows(model: Model, start: number, atMs: number): boolean {
  if (model.retentionBytes >= 0) {
    let bytes = 0;
    for (let offset = start; offset < model.batchAt.length; ) {
      const fact = model.batchAt[offset]?.fact;
      if (fact === undefined) break;
      bytes += fact.bytes;
      offset = fact.lastOffset + 1;
    }
    if (bytes >= model.retentionBytes) return true;
  }
  if (model.retentionMs < 0) return false;
  for (let offset = model.start; offset < start; offset++) {
    const record = model.recordAt[offset];
    if (record !== undefined && record.timestampMs >= atMs - model.retentionMs) return false;
  }
  return true;
}

function producerStates(model: Model): Map<number, ProducerFact & { lastBatchOffset: number }> {
  const states = new Map<number, ProducerFact & { lastBatchOffset: number }>();
  for (let offset = 0; offset < model.batchAt.length; ) {
    const fact = model.batchAt[offset]?.fact;
    if (fact === undefined) break;
    offset = fact.lastOffset + 1;
    if (fact.producerId < 0) continue;
    const before = states.get(fact.producerId);
    if (fact.control !== 'none') {
      const sameEpoch = before !== undefined && before.producerEpoch === fact.producerEpoch;
      states.set(fact.producerId, {
        producerId: fact.producerId,
        producerEpoch: fact.producerEpoch,
        lastSequence: sameEpoch ? before.lastSequence : -1,
        transactionStartOffset: -1,
        lastBatchOffset: fact.lastOffset,
      });
      continue;
    }
    const opened = before?.transactionStartOffset ?? -1;
    states.set(fact.producerId, {
      producerId: fact.producerId,
      producerEpoch: fact.producerEpoch,
      lastSequence: (fact.baseSequence + fact.lastOffset - fact.baseOffset) % SEQUENCE_MODULUS,
      transactionStartOffset: opened >= 0 || !fact.transactional ? opened : fact.baseOffset,
      lastBatchOffset: fact.lastOffset,
    });
  }
  return states;
}
