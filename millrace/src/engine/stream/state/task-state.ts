/** The stores of a task together: one transaction, one directory. */
import { MillraceError } from '../../../core/errors.ts';
import type { Append } from './change-writer.ts';
import { StateStore } from './state-store.ts';
import type { ReadableStore, Store, StoreSpec, TaskState } from './store.ts';

export interface TaskStateOptions {
  /** false: no store has a changelog, and `committed` needs no `flush` before. Default true. */
  readonly isLogged?: boolean;
}

/** All state of a task, empty, in memory: the changelogs are what is durable. */
export function openMemoryState(options: TaskStateOptions = {}): TaskState {
  return new MemoryState(options.isLogged ?? true);
}

/** What tasks' states have in common: all of it, where there is no disk. */
export class MemoryState implements TaskState {
  protected readonly byName = new Map<string, StateStore>();
  private readonly checkpoints = new Map<string, number>();
  protected readonly isLogged: boolean;

  constructor(isLogged: boolean) {
    this.isLogged = isLogged;
  }

  get stores(): readonly StoreSpec[] {
    return [...this.byName.values()].map((store) => store.spec);
  }

  get bytes(): number {
    let bytes = 0;
    for (const store of this.byName.values()) bytes += store.bytes;
    return bytes;
  }

  store<V>(spec: StoreSpec<V>): Store<V> {
    const open = this.byName.get(spec.name);
    if (open !== undefined) return open as unknown as Store<V>;
    const store = this.create(spec);
    this.byName.set(spec.name, store as unknown as StateStore);
    return store;
  }

  committedView(store: string): ReadableStore | undefined {
    const open = this.byName.get(store);
    return open?.view();
  }

  checkpoint(store: string): number | undefined {
    return this.checkpoints.get(store);
  }

  restore(store: string, key: Buffer, value: Buffer | null): void {
    this.open(store).restore(key, value);
  }

  restored(store: string, checkpoint: number): Promise<void> {
    this.checkpoints.set(store, checkpoint);
    return Promise.resolve();
  }

  flush(append: Append): void {
    for (const store of this.byName.values()) store.flush(append);
  }

  committed(checkpoints: ReadonlyMap<string, number>): void {
    for (const store of this.byName.values()) store.commit();
    for (const [store, checkpoint] of checkpoints) this.checkpoints.set(store, checkpoint);
  }

  settled(): Promise<void> {
    return Promise.resolve();
  }

  abort(): void {
    for (const store of this.byName.values()) store.abort();
  }

  wipe(): Promise<void> {
    for (const store of this.byName.values()) store.clear();
    this.checkpoints.clear();
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.wipe();
  }

  protected create<V>(spec: StoreSpec<V>): StateStore<V> {
    return new StateStore<V>(spec, this.isLogged && spec.isLogged !== false);
  }

  private open(name: string): StateStore {
    const store = this.byName.get(name);
    if (store !== undefined) return store;
    throw new MillraceError('ML_ASSERT', `there is no store ${name} to restore`);
  }
}
