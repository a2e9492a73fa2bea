/**
 * Where the fused operators of a stage get their records from: a split, the groups of an exchange, a join. One loop pushes records
 * through all operators; the input stops when they cannot take more (promises of user functions, a sink that is busy).
 */

/** Takes one record. Returns false to pause: the record was taken, the caller returns and goes on when it is called again. */
export type Emit = (value: unknown, key: unknown) => boolean;

export interface RecordInput {
  /** Emits until a chunk is done or `emit` returned false. True (or a promise of it) at the end. */
  read(emit: Emit): boolean | Promise<boolean>;
  /** Where the record is that was emitted last, for errors. */
  position(): string;
  readonly records: number;
  readonly bytes: number;
  close(): void | Promise<void>;
}

/** What a join algorithm calls for each pair: undefined stands for the side without a match. False pauses. */
export type EmitPair = (left: unknown, right: unknown, key: unknown) => boolean;

/** A join of two inputs of one task, however it is done. */
export interface JoinRunner {
  read(emit: EmitPair): boolean;
  readonly records: number;
  readonly bytes: number;
  /** Runs that were written because the memory was used up, and the bytes of all runs that were. */
  readonly spills: number;
  readonly spilledBytes: number;
  close(): void;
}
