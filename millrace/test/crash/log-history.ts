/**
 * What happened to a log store, as plain data: one event per line of JSON, in the order in which a single observer saw
 * them. The workload writes it, `log-checker.ts` judges it; neither knows how the store works inside.
 *
 * A record is known by `id`, which is unique over the whole history: a record that shows up at a second offset, at
 * another offset than it was given, or without ever having been written, is therefore visible as such.
 */

export interface RecordFact {
  readonly offset: number;
  /** Unique per record. A record whose bytes do not match its id gets an id that was never written. */
  readonly id: string;
  readonly key: string | null;
  readonly tombstone: boolean;
  readonly timestampMs: number;
}

export interface BatchFact {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly bytes: number;
  /** -1 for a plain producer. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly transactional: boolean;
  /** Transaction markers end what the producer has open. `emptied`: compaction has left only the header of one. */
  readonly control: 'none' | 'commit' | 'abort' | 'emptied';
  /** Timestamp of the marker; -1 for data. */
  readonly markerMs: number;
  readonly leaderEpoch: number;
  /** Fewer than the offsets span when compaction took some out. Empty for a marker. */
  readonly records: readonly RecordFact[];
}

export interface AbortedFact {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface ProducerFact {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  /** -1 when no transaction is open. */
  readonly transactionStartOffset: number;
}

/** The configuration that matters to what a log may forget. */
export interface ConfigFact {
  readonly flush: 'commit' | 'interval' | 'os';
  /** For `interval`: what was written this long before a power cut, and the time of a sync, survives it. */
  readonly flushMs: number;
  readonly cleanupDelete: boolean;
  readonly cleanupCompact: boolean;
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly deleteRetentionMs: number;
  readonly minCompactionLagMs: number;
}

export interface View {
  /** Of the `read` event that began it, when other things may have happened since. */
  readonly read?: number;
  /** Wall clock when it was seen: upper bound of every retention or compaction run that it shows. */
  readonly atMs: number;
  readonly isolation: 'read_uncommitted' | 'read_committed';
  readonly from: number;
  /** The reader went on until nothing was left: what is not in `batches` does not exist. */
  readonly complete: boolean;
  readonly error: string;
  readonly batches: readonly BatchFact[];
  readonly aborted: readonly AbortedFact[];
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
}

/** One log after a start: everything that can be read from it, in both isolations. */
export interface RecoveredLog {
  readonly log: string;
  readonly logEndOffset: number;
  readonly uncommitted: View;
  readonly committed: View;
  readonly producers: readonly ProducerFact[];
  /** What the log answers for each leader epoch up to its own: the epoch that it knows, and where that one ends. */
  readonly epochEnds: readonly (readonly [epoch: number, known: number, endOffset: number])[];
  /** The offset that has the largest timestamp; -1 for none, undefined when it could not be asked for. */
  readonly maxTimestampOffset: number | undefined;
}

export type LogEvent =
  /** A log is created, or its configuration is changed. */
  | { readonly kind: 'config'; readonly log: string; readonly config: ConfigFact }
  /** `append` returned: the offsets are the ones it gave. */
  | {
      readonly kind: 'appended';
      readonly log: string;
      readonly atMs: number;
      readonly duplicate: boolean;
      readonly batches: readonly BatchFact[];
    }
  /** `append` said no. `legal`: the workload asked for something that had to be refused, or the disk was full. */
  | {
      readonly kind: 'refused';
      readonly log: string;
      readonly error: string;
      readonly legal: boolean;
    }
  /** `whenDurable(endOffset)` resolved: what a client would have been told. */
  | { readonly kind: 'durable'; readonly log: string; readonly endOffset: number }
  /** A read begins: what it will say may be as old as this. */
  | { readonly kind: 'read'; readonly log: string; readonly read: number }
  | { readonly kind: 'view'; readonly log: string; readonly view: View }
  /** What the first record at or after a time was said to be; offset -1 for none. The bounds of the log are those
   * before the question and after the answer. */
  | {
      readonly kind: 'lookup';
      readonly log: string;
      readonly timestampMs: number;
      readonly offset: number;
      readonly start: readonly [before: number, after: number];
      readonly highWatermark: readonly [before: number, after: number];
    }
  | {
      readonly kind: 'delete-records';
      readonly log: string;
      readonly phase: 'invoke' | 'ok' | 'fail';
      /** As asked (invoke) or as answered (ok): retention that ran meanwhile shows in the answer. */
      readonly offset: number;
      /** Wall clock of the answer (ok). */
      readonly atMs?: number;
    }
  | { readonly kind: 'drop'; readonly log: string; readonly phase: 'invoke' | 'ok' }
  /** A checkpoint, or a clean stop, resolved: everything up to these ends, which were read before it began, is on disk
   * whatever the flush policy. */
  | { readonly kind: 'synced'; readonly ends: readonly (readonly [log: string, end: number])[] }
  /** The machine lost power, or (power: false) only the process was killed and the page cache lives on. */
  | { readonly kind: 'cut'; readonly power: boolean; readonly atMs: number }
  /** The store said that it cannot go on. */
  | { readonly kind: 'fatal' }
  /** The store came up. `logs` are all that live; a log that is not listed is gone. */
  | {
      readonly kind: 'recovered';
      readonly leaderEpoch: number;
      readonly logs: readonly RecoveredLog[];
    };

/** What is wrong, by name. The names are what a report or a planted fault is matched by. */
export type LogAnomalyName =
  | 'aborted-read'
  | 'changed-batch'
  | 'compacted-too-early'
  | 'deleted-log-is-back'
  | 'duplicate'
  | 'end-inside-a-batch'
  | 'epoch-end-wrong'
  | 'epoch-went-back'
  | 'inconsistent-offset'
  | 'lookup-wrong'
  | 'lost-acknowledged'
  | 'lost-after-interval'
  | 'lost-latest-value'
  | 'lost-record'
  | 'lost-seen'
  | 'offsets-not-dense'
  | 'open-transaction-read'
  | 'phantom'
  | 'phantom-log'
  | 'producer-state-wrong'
  | 'read-above-stable-offset'
  | 'read-above-watermark'
  | 'read-failed'
  | 'refused'
  | 'resurrected'
  | 'stable-offset-wrong'
  | 'start-too-high'
  | 'start-went-back'
  | 'torn-transaction'
  | 'watermark-went-back';

export interface LogAnomaly {
  readonly name: LogAnomalyName;
  readonly log: string;
  /** Index of the event that shows it. */
  readonly event: number;
  readonly detail: string;
}
