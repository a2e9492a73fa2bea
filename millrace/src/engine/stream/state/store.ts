/**
 * State of one operator in one task. Entries are ordered by key (as `core/key-codec` orders), then by `sub`: a number within the key, such as
 * the start of a window or the time of a record; 0 where a key has one entry.
 *
 * Writes are seen at once by who reads here, and are durable only when the transaction that they belong to has committed: until then they
 * are an overlay, which an abort drops. A value that was changed in place must be put again.
 */

export interface StoreSpec<V = unknown> {
  /** Unique in the plan; names the changelog: the node's name, or with a suffix where a node has several (`orders-left`). */
  readonly name: string;
  /** When an entry is due, by event time, for `due`; Infinity: never. Must follow from what it is given. */
  readonly dueOf?: (value: V, sub: number, key: unknown) => number;
  /** false: it has no changelog, and is made anew at every start (global tables). Default true. */
  readonly isLogged?: boolean;
}

export interface Store<V = unknown> {
  readonly name: string;
  get(key: unknown, sub: number): V | undefined;
  /** @param value undefined deletes @param time of the record in the changelog */
  put(key: unknown, sub: number, value: V | undefined, time: number): void;
  /** Entries of one key with from <= sub <= to, ascending. `visit` may put and delete those it was shown; false ends it. */
  scan(
    key: unknown,
    from: number,
    to: number,
    visit: (sub: number, value: V) => boolean | void,
  ): void;
  /** The entry of the key with the largest sub that is at most `sub`. */
  floor(key: unknown, sub: number): { readonly sub: number; readonly value: V } | undefined;
  /** Entries of keys with from <= key < to (undefined: no bound), in order; false ends it. For views and prefixes: not for every record. */
  range(
    from: unknown,
    to: unknown,
    visit: (key: unknown, sub: number, value: V) => boolean | void,
  ): void;
  /** Entries of all keys that are arrays beginning with these elements, in order. */
  prefix(
    elements: readonly unknown[],
    visit: (key: unknown, sub: number, value: V) => boolean | void,
  ): void;
  /** Entries that are due at or before `until`, by (due, key, sub). `visit` puts or deletes each, so that it is due later or never. */
  due(until: number, visit: (key: unknown, sub: number, value: V) => void): void;
  /** The smallest time at which an entry is due, or earlier; Infinity: none. Cheap. */
  readonly nextDue: number;
  /** Entries, about. */
  readonly size: number;
}

/** What a store holds as of the last commit: for views, which never see what may be undone. */
export interface ReadableStore<V = unknown> {
  /** A value of its own, which may be changed. */
  get(key: unknown, sub: number): V | undefined;
  /** At most `limit` entries of keys with from <= key < to (undefined: no bound), in order. */
  range(from: unknown, to: unknown, limit: number): readonly StoredEntry<V>[];
  /** All entries of a key, by sub. */
  ofKey(key: unknown): readonly StoredEntry<V>[];
  /**
   * As `range`, with what `orderOf` makes of keys, to go on where a page ended.
   * @param after of the key whose order `from` is, only entries with a greater sub
   */
  page(
    from: string,
    after: number,
    to: string | undefined,
    limit: number,
  ): readonly StoredEntry<V>[];
  /** Entries, about. */
  readonly size: number;
}

export interface StoredEntry<V = unknown> {
  readonly key: unknown;
  readonly sub: number;
  readonly value: V;
}

/** All stores of a task, from the side of who commits. */
export interface TaskState {
  /** Opens a store; before restore. The same spec each time. */
  store<V>(spec: StoreSpec<V>): Store<V>;
  readonly stores: readonly StoreSpec[];
  /** The same store as others may read it between two calls, at any time. Undefined: there is none of that name. */
  committedView(store: string): ReadableStore | undefined;
  /** Offset in its changelog up to which the durable part of a store holds it; undefined: nothing is there. */
  checkpoint(store: string): number | undefined;
  /** Puts in a record of the changelog that was committed. null deletes. */
  restore(store: string, key: Buffer, value: Buffer | null): void;
  /** A batch of restored records ended; the durable part may take them, with the checkpoint. */
  restored(store: string, checkpoint: number): Promise<void>;
  /** Hands every change since the last flush to the changelog, each entry once; later changes of the same transaction may follow. The
   * bytes do not change afterwards. @throws {MillraceError} ML_VALUE_INVALID, naming store and key */
  flush(
    append: (store: string, key: Uint8Array, value: Uint8Array | null, time: number) => void,
  ): void;
  /** The transaction has committed: the overlay becomes part of the base. The durable part follows when it likes. @param checkpoints
   * offset behind the last record of each changelog that was written */
  committed(checkpoints: ReadonlyMap<string, number>): void;
  /** Resolves when all that is committed is durable. Who waits for it after a commit bounds what waits for the disk in memory.
   * @throws {MillraceError} ML_DISK_FULL and so on: what the disk said */
  settled(): Promise<void>;
  /** Drops everything since the last commit. */
  abort(): void;
  /** Throws away the durable part, too: the changelog is the truth. */
  wipe(): Promise<void>;
  readonly bytes: number;
  /** What is committed becomes durable, then it closes. Idempotent. */
  close(): Promise<void>;
}
